package consume

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
)

const (
	// skewAlarm is from where an operator should look at the clocks; skewAlarmEvery
	// is how often that is logged.
	skewAlarm      = 100 * time.Millisecond
	skewAlarmEvery = time.Minute
	// raiseNews is by how much a clock has to be raised to wake lanes that wait for it.
	raiseNews = time.Millisecond
)

// led notes whose clock stamps what is appended to the partition: the leader's, as of
// the epoch in which it leads.
func (l *lane) led(c *clock, epoch int32) {
	l.clock.Store(c)
	l.epoch.Store(epoch)
}

// observe learns the broker's time from the last record of a fetch received at now. A
// former leader's stamps say nothing of the present one's clock: they only count while
// nothing else is known.
func (l *lane) observe(last *kgo.Record, now time.Time, tail bool) (raised time.Duration) {
	switch {
	case record.Stamped(last):
		l.stamped.Store(true)
	case last.Attrs.IsControl():
		return 0
	default:
		l.stamped.Store(false)
		return 0
	}
	if c := l.clock.Load(); c != nil && last.LeaderEpoch == l.epoch.Load() {
		raised, suspect := c.observe(last.Timestamp, now, tail)
		if suspect {
			signal(l.c.prober.soon)
		}
		return raised
	}
	raised, _ = l.former.observe(last.Timestamp, now, false)
	return raised
}

// now returns the time t by the clock that the lane's due times follow: the leader's,
// and never later than that shows. While it is not known well, the brokers that
// are furthest behind count, and the records that were read. Where the broker does
// not stamp them, this host's clock counts until then.
func (l *lane) now(t time.Time) time.Time {
	var known time.Time
	if c := l.clock.Load(); c != nil {
		if r := c.known.Load(); r != nil {
			known = r.now(t)
			if r.fresh {
				return known
			}
		}
	}
	if !l.stamped.Load() {
		return t
	}
	if least := l.c.clocks.least(t); least != nil {
		return later(*least, known)
	}
	if r := l.former.known.Load(); r != nil {
		known = later(known, r.now(t))
	}
	if known.IsZero() {
		return t
	}
	return known
}

// here returns a due time by this host's clock.
func (l *lane) here(due time.Time) time.Time {
	if due.IsZero() { // at once
		return due
	}
	now := time.Now()
	return due.Add(now.Round(0).Sub(l.now(now)))
}

// stamp returns t by the leader's clock where that is known well, else t.
func (l *lane) stamp(t time.Time) time.Time {
	if c := l.clock.Load(); c != nil {
		if r := c.known.Load(); r != nil && r.fresh {
			return r.now(t)
		}
	}
	return t
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// wakeLanes makes all lanes look again at what is due: a clock was raised.
func (c *Consumer) wakeLanes(raised time.Duration) {
	if raised < raiseNews {
		return
	}
	for _, l := range c.each() {
		l.nudge()
	}
}
