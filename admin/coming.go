package admin

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/offsets"
)

const (
	// ComingMinutes is how many minutes a [Coming] looks ahead.
	ComingMinutes = 60
	// comingRounds bounds the look-ups of one look, each of which is a request to each
	// broker for all partitions at once. A first look at a busy hour takes three of them;
	// after that there is one a minute.
	comingRounds = 20
	// comingSettled is how long ago a time has to be before no record with an earlier
	// timestamp can still be written: it covers the difference between the clocks.
	comingSettled = time.Minute
)

// Coming is how many records come due in each of the next [ComingMinutes] minutes, from
// offset look-ups alone: a record of a level is due its length after it was appended,
// so that what comes due within that length has been written already.
type Coming struct {
	// From is when the first minute begins. Of that minute only what is not due yet
	// counts.
	From time.Time `json:"from"`
	// Counted is how many of the minutes are counted, the nearest first: fewer than all
	// while a first look is not complete.
	Counted int `json:"counted"`
	// Levels are the levels with records that come due in that time, from the shortest to
	// the longest.
	Levels []ComingLevel `json:"levels"`
}

// ComingLevel is what comes due on one level.
type ComingLevel struct {
	Level string `json:"level"`
	// Until is up to when all that comes due has been written. After that the level can
	// still get records.
	Until time.Time `json:"until"`
	// Records are the counts, one for each minute that is counted.
	Records []int64 `json:"records"`
}

// Total adds up what comes due in each minute.
func (c Coming) Total() []int64 {
	total := make([]int64, c.Counted)
	for _, l := range c.Levels {
		for i, n := range l.Records {
			total[i] += n
		}
	}
	return total
}

// edges remembers, for each partition, the first offset at or after a time. Once that
// time is settled the offset never changes.
type edges map[offsets.Partition]map[int64]int64

// find counts the coming hour.
func (e edges) find(ctx context.Context, cl *kgo.Client, list countings, now time.Time) (Coming, error) {
	from := now.Truncate(time.Minute)
	var spans []*comingSpan
	for _, c := range list {
		if c.kind != level {
			continue
		}
		for _, a := range c.ahead {
			if a.from < a.end {
				spans = append(spans, e.span(c, a, from, now))
			}
		}
	}
	e.forget(spans)
	for range comingRounds {
		times := make(map[offsets.Partition]int64)
		for _, s := range spans {
			if t, ok := s.next(); ok {
				times[s.where] = t
			}
		}
		if len(times) == 0 {
			break
		}
		found, err := offsets.List(ctx, cl, times)
		if err != nil {
			return Coming{From: from}, err
		}
		for _, s := range spans {
			if t, ok := times[s.where]; ok {
				s.learn(t, found[s.where], now)
			}
		}
	}
	return coming(spans, from, now), nil
}

// forget drops the partitions that have nothing ahead any more.
func (e edges) forget(spans []*comingSpan) {
	there := make(map[offsets.Partition]bool, len(spans))
	for _, s := range spans {
		there[s.where] = true
	}
	for p := range e {
		if !there[p] {
			delete(e, p)
		}
	}
}

// comingSpan is what is ahead in one partition, and how it is split up into minutes.
type comingSpan struct {
	ahead
	level string
	delay time.Duration
	times []int64         // when the records were appended that the minutes 1, 2, … begin with, in Unix ms
	at    []int64         // their offsets; unlooked where not known
	known map[int64]int64 // those that are settled, by time
}

const unlooked int64 = -1

// span begins with what is known already.
func (e edges) span(c *counting, a ahead, from, now time.Time) *comingSpan {
	s := &comingSpan{ahead: a, level: c.Level, delay: c.delay, known: e[a.where]}
	for t, offset := range s.known {
		if offset > a.end || t < from.Add(-c.delay-dueAfter).UnixMilli() { // another topic of that name; over
			delete(s.known, t)
		}
	}
	if s.known == nil {
		s.known = make(map[int64]int64)
		e[a.where] = s.known
	}
	for k := 1; k <= ComingMinutes; k++ {
		t := from.Add(time.Duration(k)*time.Minute - c.delay - dueAfter).UnixMilli()
		at, ok := s.known[t]
		switch {
		case ok:
		case t > now.Add(clockAhead).UnixMilli():
			at = a.end // nothing has been written since
		default:
			at = unlooked
		}
		s.times, s.at = append(s.times, t), append(s.at, at)
	}
	return s
}

// next is the first time that has to be asked of the brokers.
func (s *comingSpan) next() (int64, bool) {
	for k, at := range s.at {
		if at == unlooked {
			return s.times[k], true
		}
	}
	return 0, false
}

// learn takes the answer to the look-up of time t, which is also that for every later
// time up to the timestamp that was found.
func (s *comingSpan) learn(t int64, found offsets.Found, now time.Time) {
	offset, until := found.Offset, found.Timestamp
	if offset == offsets.None {
		offset, until = s.end, s.times[len(s.times)-1]
	}
	for k, at := range s.at {
		if s.times[k] < t || s.times[k] > max(t, until) || at != unlooked {
			continue
		}
		s.at[k] = offset
		// What is written later has a later timestamp, so that the end of today is the
		// first offset after that time for good.
		if s.times[k] <= now.Add(-comingSettled).UnixMilli() {
			s.known[s.times[k]] = offset
		}
	}
}

// coming adds up the spans. Minutes from the first one on that is not known of every
// partition are left out.
func coming(spans []*comingSpan, from, now time.Time) Coming {
	c := Coming{From: from, Counted: ComingMinutes, Levels: []ComingLevel{}}
	for _, s := range spans {
		for k, at := range s.at[:c.Counted] {
			if at == unlooked {
				c.Counted = k
				break
			}
		}
	}
	for _, s := range spans { // in the order of the levels
		if n := len(c.Levels); n == 0 || c.Levels[n-1].Level != s.level {
			c.Levels = append(c.Levels, ComingLevel{Level: s.level, Until: now.Add(s.delay), Records: make([]int64, c.Counted)})
		}
		counts := c.Levels[len(c.Levels)-1].Records
		before := s.from
		for k := range counts {
			next := min(max(s.at[k], before), s.end)
			counts[k] += next - before
			before = next
		}
	}
	kept := c.Levels[:0]
	for _, l := range c.Levels {
		for _, n := range l.Records {
			if n > 0 {
				kept = append(kept, l)
				break
			}
		}
	}
	c.Levels = kept
	return c
}
