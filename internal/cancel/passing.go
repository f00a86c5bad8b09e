package cancel

import (
	"math"
	"time"
)

// standsAfter is how long the router may not move on a partition of the inbox, while it does on
// others, until the partition counts as standing still: longer than a crashed router's
// partitions take to move.
const standsAfter = 20 * time.Second

// spot is where a partition of the inbox ends, and up to where the router has passed it. Where a
// partition is away, as its leader does not answer, nobody knows its end.
type spot struct {
	end, passed int64
	away        bool
}

// passing follows how the router passes what the inbox had accepted. It is pure: it knows no
// client and no clock but what it is given.
type passing struct {
	partitions []partition
	moved      time.Time // when the router moved last, on any of them
	answers    bool      // some partition is not away
}

// partition is one of the inbox.
type partition struct {
	known  time.Time // all that was accepted before is passed
	asked  time.Time // since when aim is waited for; zero: it is not
	aim    int64     // the end at that time
	passed int64     // at the last look
	stalls bool      // a router has said that it stalls there
	away   bool      // its leader does not answer
	moved  time.Time // when passed has changed, or there was nothing to pass
}

func newPassing() *passing { return &passing{} }

// waits reports whether something is waited for since less than a time.
func (p *passing) waits(now time.Time, less time.Duration) bool {
	for i := range p.partitions {
		if asked := p.partitions[i].asked; !asked.IsZero() && now.Sub(asked) < less {
			return true
		}
	}
	return false
}

// look takes what a look has found that began at a time. It returns up to when everything is
// passed, and a partition that lags, -1 for none. stalls are the offsets at which routers
// have said that a partition stalls.
func (p *passing) look(now []spot, begun time.Time, stalls map[int32]int64) (k *known, lagging int) {
	for len(p.partitions) < len(now) {
		p.partitions = append(p.partitions, partition{moved: begun})
	}
	p.partitions = p.partitions[:len(now)]
	lagging, p.answers = -1, false
	for i := range now {
		at := &p.partitions[i]
		if now[i].passed != at.passed {
			at.passed, at.moved, p.moved = now[i].passed, begun, begun
		}
		offset, told := stalls[int32(i)]
		at.stalls = told && offset == at.passed
		at.away = now[i].away
		p.answers = p.answers || !at.away
		if !at.asked.IsZero() && !at.away && at.aim > now[i].end {
			at.aim = now[i].end // the inbox was deleted and created again, or it was away
		}
		if !at.asked.IsZero() && at.passed >= at.aim {
			at.known, at.asked = at.asked, time.Time{}
		}
		switch {
		case at.away && at.asked.IsZero():
			at.asked, at.aim = begun, math.MaxInt64
		case at.away:
		case at.passed >= now[i].end:
			at.known, at.moved, at.asked = begun, begun, time.Time{}
		case at.asked.IsZero():
			at.asked, at.aim = begun, now[i].end
		}
		if !at.asked.IsZero() && (lagging < 0 || at.asked.Before(p.partitions[lagging].asked)) {
			lagging = i
		}
	}
	return p.snapshot(begun), lagging
}

// snapshot is what is known at a time.
func (p *passing) snapshot(now time.Time) *known {
	k := &known{partitions: make([]time.Time, len(p.partitions)), all: now}
	for i := range p.partitions {
		at := &p.partitions[i]
		k.partitions[i] = at.known
		if !p.stands(at, now) && at.known.Before(k.all) {
			k.all = at.known
		}
	}
	return k
}

// stands reports whether a partition stalls: its router says so, or the router has not moved on
// it for long and moves on others. A partition that is away stands where others answer.
func (p *passing) stands(at *partition, now time.Time) bool {
	if at.stalls || at.asked.IsZero() {
		return at.stalls
	}
	since := at.moved
	if at.asked.After(since) {
		since = at.asked // nobody has looked before
	}
	return now.Sub(since) >= standsAfter && (now.Sub(p.moved) < standsAfter || at.away && p.answers)
}
