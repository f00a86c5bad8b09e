package levels

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"
)

// DefaultSpec is RocketMQ's default ladder, so that its level numbers keep
// their meaning: 1 is 1s, 3 is 10s, 18 is 2h.
const DefaultSpec = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h"

// MaxLevels is the most levels that a ladder may have. Every level is a topic
// with partitions of its own, which cost the cluster and each process something
// while they are empty; with 64 levels, each 1.35 times the one before, one
// second to several years are covered.
const MaxLevels = 64

// MaxDelay is the longest delay that a level may have: 3650 days, about ten
// years. It is beyond what anyone leaves in a topic, and far enough below the
// 292 years of a time.Duration that a level's delay can be added to without
// care.
const MaxDelay = 3650 * 24 * time.Hour

// Ladder is the sorted list of the levels that there are. It never changes once
// it is made; the zero value has no levels. Make one with [Parse] or [Default].
type Ladder struct {
	levels []Level // rising delays, levels[i].Number == i+1; shared by copies and never written
}

var defaultLadder = mustParse(DefaultSpec)

// Default is the ladder of [DefaultSpec].
func Default() Ladder { return defaultLadder }

func mustParse(spec string) Ladder {
	l, err := Parse(spec)
	if err != nil {
		panic(err)
	}
	return l
}

// newLadder numbers delays, which have to rise.
func newLadder(delays []time.Duration) Ladder {
	levels := make([]Level, len(delays))
	for i, d := range delays {
		levels[i] = Level{Number: i + 1, Delay: d}
	}
	return Ladder{levels}
}

// String is the ladder in canonical names with single spaces between them, in
// the form that [Parse] reads.
func (l Ladder) String() string {
	names := make([]string, len(l.levels))
	for i, level := range l.levels {
		names[i] = level.String()
	}
	return strings.Join(names, " ")
}

// MarshalText is String, for JSON.
func (l Ladder) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Len is the number of levels.
func (l Ladder) Len() int { return len(l.levels) }

// All ranges over the levels from the shortest to the longest.
func (l Ladder) All() iter.Seq[Level] { return slices.Values(l.levels) }

// Number is the level with that number, counted from 1. It is false for every
// other number, 0 included.
func (l Ladder) Number(n int) (Level, bool) {
	if n < 1 || n > len(l.levels) {
		return Level{}, false
	}
	return l.levels[n-1], true
}

// First is the shortest level, the zero Level where there is none.
func (l Ladder) First() Level {
	if len(l.levels) == 0 {
		return Level{}
	}
	return l.levels[0]
}

// Last is the longest level, the zero Level where there is none.
func (l Ladder) Last() Level {
	if len(l.levels) == 0 {
		return Level{}
	}
	return l.levels[len(l.levels)-1]
}

// AtLeast is the shortest level that is not shorter than d, which for a d of
// zero or less is the first. It is false where every level is shorter.
func (l Ladder) AtLeast(d time.Duration) (Level, bool) {
	i := l.search(d)
	if i == len(l.levels) {
		return Level{}, false
	}
	return l.levels[i], true
}

// Round is the level that a record gets which asks for the delay d.
//
// A d that is a level gets it, and one between two levels gets the one that r
// says. Above zero and below the first level it is the first, under every
// rounding. Above the last level it is the last, and over is true: whether that
// is good enough is for the caller to decide. A d of zero or less gets the zero
// Level, no wait. Where there are no levels everything above zero is over.
func (l Ladder) Round(d time.Duration, r Rounding) (level Level, over bool) {
	if d <= 0 {
		return Level{}, false
	}
	i := l.search(d)
	switch {
	case i == len(l.levels):
		return l.Last(), true
	case i == 0 || l.levels[i].Delay == d:
		return l.levels[i], false
	}
	below, above := l.levels[i-1], l.levels[i]
	switch r {
	case Up:
		return above, false
	case Down:
		return below, false
	}
	if d-below.Delay < above.Delay-d {
		return below, false
	}
	return above, false
}

// Grant is the level that a record gets which asks for q: a level number is
// that level, a delay is rounded as [Ladder.Round] does it. A number above the
// last level gets the last, and over is true, as for a delay above it. Number 0
// gets the zero Level, no wait.
func (l Ladder) Grant(q Request, r Rounding) (level Level, over bool) {
	if !q.ByNumber {
		return l.Round(q.Delay, r)
	}
	if q.Number <= 0 {
		return Level{}, false
	}
	if level, ok := l.Number(q.Number); ok {
		return level, false
	}
	return l.Last(), true
}

// farAbove is how many times as many levels as there are a number may ask for.
const farAbove = 2

// FarAbove reports whether q is a number so far above the last level that it is none: a
// time without its unit. What RocketMQ numbers never is, nor is anything up to twice
// the number of levels.
func (l Ladder) FarAbove(q Request) bool {
	return q.ByNumber && q.Number > max(farAbove*len(l.levels), defaultLadder.Len())
}

// search is the index of the first level that is not shorter than d.
func (l Ladder) search(d time.Duration) int {
	i, _ := slices.BinarySearchFunc(l.levels, d, func(level Level, d time.Duration) int {
		return cmp.Compare(level.Delay, d)
	})
	return i
}
