package consume

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// clockDrift bounds how fast two clocks that run freely part: by one part in so
	// many, 200 µs in a second. Quartz is better than half of that.
	clockDrift = 5000
	// clockNoise is by how much a record may come later than expected and still
	// confirm what is known of the clock.
	clockNoise = 5 * time.Millisecond
	// clockStep is by how much later than expected a record has to come until the
	// broker's clock counts as set back. A slow network looks the same, but costs no
	// more than lateness, until the next record or a probe.
	clockStep = time.Second
	// clockForget is for how long all records have to come later than expected, at
	// least clockSamples of them, until that counts as a clock set back by less. A
	// probe is asked for after clockRecheck.
	clockForget  = 5 * time.Minute
	clockSamples = 10
	clockRecheck = time.Minute
	// probeAge is how old the last confirmation has to be for a probe while records
	// wait. Probes that clocks which were set call for are probeAgain apart, and so
	// are those that fail, twice as far each time up to probeAge.
	probeAge   = 5 * time.Minute
	probeAgain = 30 * time.Second
	// probeDueAge takes the place of probeAge when a record is due before the next look: by
	// then the bound is 200 µs behind for each second since the last confirmation.
	probeDueAge = 10 * time.Second
)

// reading is a proof: at is by our monotonic clock, and by then the broker's clock
// showed stamp.
type reading struct {
	stamp, at time.Time
	// fresh says that stamp was taken shortly before at. Otherwise it may be as old as
	// a record that lay on the log.
	fresh bool
}

// now returns the broker's time at t. It is never later than the true one, however
// our wall clock is set.
func (r *reading) now(t time.Time) time.Time {
	elapsed := t.Sub(r.at)
	return r.stamp.Add(elapsed - elapsed.Abs()/clockDrift)
}

// clock is a lower bound of one broker's time, the largest that has been proved. A
// broker that stamps a record proves that its clock is not behind the stamp; from
// there on it advances, as far as anybody's drift allows. Due times are judged by
// that, so nothing is handled early, whatever this host's clock says.
type clock struct {
	known atomic.Pointer[reading] // nil: nothing is known

	mu        sync.Mutex
	confirmed time.Time // when the reading was last raised or confirmed
	tried     time.Time // when it was last probed
	failed    int       // probes since one told something
	suspect   bool      // a clock seems to have been set: probe
	doubts    doubts
}

// lockedClock is a clock whose lock is held. What needs the lock is a method of it.
type lockedClock clock

func (c *clock) lock() *lockedClock {
	c.mu.Lock()
	return (*lockedClock)(c)
}

func (c *lockedClock) unlock() { c.mu.Unlock() }

// doubts are fresh records that came later than the reading explains, one after the
// other.
type doubts struct {
	since time.Time
	n     int
	best  *reading // the latest bound among them
}

// observe takes the stamp of a record received at at. tail says that it was waited for
// at the end of the log. It returns by how much the bound has been raised, and whether
// the broker's clock seems to have been set back.
func (c *clock) observe(stamp, at time.Time, tail bool) (raised time.Duration, suspect bool) {
	lc := c.lock()
	defer lc.unlock()
	raised, behind := lc.raise(&reading{stamp, at, tail})
	switch {
	case raised > 0 || !tail:
	case behind <= clockNoise:
		lc.confirm(at)
	default:
		lc.doubt(&reading{stamp, at, true}, behind)
	}
	return raised, c.suspect
}

// probed takes the stamp of an append that was requested at sent and answered at
// received: the broker's clock showed it in between.
func (c *clock) probed(stamp, sent, received time.Time) (raised time.Duration) {
	lc := c.lock()
	defer lc.unlock()
	c.failed = 0
	r := &reading{stamp, received, true}
	if old := c.known.Load(); old != nil && stamp.Add(time.Millisecond).Before(old.now(sent)) {
		lc.set(r) // it was set back
		return 0
	}
	raised, _ = lc.raise(r)
	lc.confirm(received)
	return raised
}

// raise takes r if it proves more than what is known, and says by how much; else how
// far it is behind.
func (c *lockedClock) raise(r *reading) (raised, behind time.Duration) {
	old := c.known.Load()
	if old == nil {
		c.set(r)
		return r.stamp.Sub(time.Time{}), 0
	}
	if behind = old.now(r.at).Sub(r.stamp); behind >= 0 {
		if r.fresh && !old.fresh {
			old = &reading{old.stamp, old.at, true}
			c.known.Store(old)
		}
		return 0, behind
	}
	r.fresh = r.fresh || old.fresh
	c.set(r)
	return -behind, 0
}

func (c *lockedClock) set(r *reading) {
	c.known.Store(r)
	c.confirm(r.at)
}

func (c *lockedClock) confirm(at time.Time) { c.confirmed, c.suspect, c.doubts = at, false, doubts{} }

// doubt takes a fresh record that came later than expected, by behind. The reading is
// replaced by it where that is much, or by the best where all records come late.
func (c *lockedClock) doubt(r *reading, behind time.Duration) {
	if behind > clockStep {
		c.set(r)
		c.suspect = true
		return
	}
	d := &c.doubts
	if d.n == 0 {
		d.since = r.at
	}
	if d.n++; d.best == nil || d.best.now(r.at).Before(r.stamp) {
		d.best = r
	}
	lasted := r.at.Sub(d.since)
	c.suspect = c.suspect || lasted >= clockRecheck
	if d.n >= clockSamples && lasted >= clockForget {
		c.set(d.best)
	}
}

// jumped notes that our clocks do not agree on how much time has passed: after a
// suspension the monotonic one is behind.
func (c *clock) jumped() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.suspect = true
}

// probing says whether the clock is to be probed at now, and notes that it is. waits
// says that records wait for it, and soon that one of them is due soon.
func (c *clock) probing(now time.Time, waits, soon bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.known.Load()
	fresh := r != nil && r.fresh
	age := probeAge
	if soon {
		age = probeDueAge
	}
	if !c.suspect && fresh && (!waits || now.Sub(c.confirmed) < age) {
		return false
	}
	switch {
	case c.suspect || !fresh && waits:
		age = min(probeAge, probeAgain<<min(c.failed, 8))
	case soon:
		age = min(probeAge, probeDueAge<<min(c.failed, 8))
	}
	if !c.tried.IsZero() && now.Sub(c.tried) < age {
		return false
	}
	c.tried = now
	c.failed++
	return true
}

// clocks are those of the brokers.
type clocks struct {
	mu sync.Mutex
	of map[int32]*clock
}

// broker returns a broker's clock.
func (cs *clocks) broker(id int32) *clock {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.of == nil {
		cs.of = make(map[int32]*clock)
	}
	if cs.of[id] == nil {
		cs.of[id] = new(clock)
	}
	return cs.of[id]
}

// each calls f for all of them.
func (cs *clocks) each(f func(c *clock)) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, c := range cs.of {
		f(c)
	}
}

// least returns the time of the broker that is furthest behind, among those whose
// clocks are known well; nil where none is.
func (cs *clocks) least(now time.Time) (least *time.Time) {
	cs.each(func(c *clock) {
		if r := c.known.Load(); r != nil && r.fresh {
			if t := r.now(now); least == nil || t.Before(*least) {
				least = &t
			}
		}
	})
	return least
}

// skew returns by how much this host's clock is ahead of a broker's (behind, below
// zero), of the one for which that is furthest from zero.
func (cs *clocks) skew(now time.Time) (skew time.Duration) {
	cs.each(func(c *clock) {
		if r := c.known.Load(); r != nil && r.fresh {
			if d := now.Round(0).Sub(r.now(now)); d.Abs() > skew.Abs() {
				skew = d
			}
		}
	})
	return skew
}
