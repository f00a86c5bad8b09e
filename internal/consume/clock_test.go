package consume

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// broker is a true clock, and what is known of it here.
type broker struct {
	clock
	here   time.Time     // our monotonic clock
	shows  time.Time     // the broker's clock
	drifts time.Duration // the broker's clock gains in a second of ours
}

func newBroker(ahead time.Duration) *broker {
	return &broker{here: epoch, shows: epoch.Add(-ahead)}
}

func (b *broker) pass(d time.Duration) {
	b.here = b.here.Add(d)
	b.shows = b.shows.Add(d + time.Duration(d.Seconds()*float64(b.drifts)))
}

// stamped is what the broker stamps now.
func (b *broker) stamped() time.Time { return time.UnixMilli(b.shows.UnixMilli()) }

// fetch appends a record, and reads it after delay.
func (b *broker) fetch(delay time.Duration, tail bool) {
	stamp := b.stamped()
	b.pass(delay)
	b.observe(stamp, b.here, tail)
}

// fetches appends n records, a second apart, that are waited for.
func (b *broker) fetches(n int, delay time.Duration) {
	for range n {
		b.fetch(delay, true)
		b.pass(time.Second - delay)
	}
}

// probe has the broker append a record in the middle of a round trip.
func (b *broker) probe(there, back time.Duration) {
	sent := b.here
	b.pass(there)
	stamp := b.stamped()
	b.pass(back)
	b.probed(stamp, sent, b.here)
}

// late is how far what is known is behind the broker's clock; early is below zero.
func (b *broker) late() time.Duration { return b.shows.Sub(b.known.Load().now(b.here)) }

// TestClockIsNeverAhead: whatever the offset, the delays, the drift and steps forward,
// what is known is not ahead of the broker's clock, and near it after a probe.
func TestClockIsNeverAhead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		span := func(name string, most time.Duration) time.Duration {
			return time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, name))
		}
		b := newBroker(span("offset", 2*time.Hour) - time.Hour)
		b.drifts = span("drift", 2*time.Second/clockDrift) - time.Second/clockDrift
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			switch rapid.IntRange(0, 4).Draw(t, "event") {
			case 0:
				b.fetch(span("delay", time.Second), true)
			case 1:
				b.fetch(span("lay", time.Hour), false)
			case 2:
				there, back := span("there", time.Second), span("back", 100*time.Millisecond)
				b.probe(there, back)
				if most := back + back/1000 + time.Millisecond; b.late() > most {
					t.Fatalf("after a probe that came back in %v the clock is %v behind", back, b.late())
				}
			case 3:
				b.pass(span("pass", time.Hour))
			case 4:
				b.shows = b.shows.Add(span("step", time.Hour))
			}
			if b.known.Load() != nil && b.late() < 0 {
				t.Fatalf("early by %v", -b.late())
			}
		}
	})
}

// TestClockConverges: a quick record is worth more than many slow ones, and what is
// known stays near in between.
func TestClockConverges(t *testing.T) {
	for _, ahead := range []time.Duration{0, time.Millisecond, -time.Millisecond, 200 * time.Millisecond, time.Hour, -time.Hour} {
		b := newBroker(ahead)
		b.fetches(10, 900*time.Millisecond)
		b.fetches(1, time.Millisecond)
		b.fetches(60, 900*time.Millisecond)
		if late := b.late(); late < 0 || late > time.Millisecond+61*time.Second/clockDrift {
			t.Errorf("%v ahead: %v late", ahead, late)
		}
	}
}

// TestClockOfABacklog: from the first record on it is not ahead, and one that lay for
// long only makes it late.
func TestClockOfABacklog(t *testing.T) {
	b := newBroker(30 * time.Second)
	b.fetch(time.Hour, false)
	if late := b.late(); late < time.Hour || late > time.Hour+time.Second {
		t.Errorf("%v late after a record that lay for an hour", late)
	}
	if b.known.Load().fresh {
		t.Error("it counts as known well")
	}
	b.probe(time.Millisecond, time.Millisecond)
	if late := b.late(); late < 0 || late > 2*time.Millisecond || !b.known.Load().fresh {
		t.Errorf("%v late after a probe", late)
	}
}

// TestClockSetBack: a broker's clock that was set back is followed from the first record
// on that was waited for, and a probe is asked for. A probe alone is enough, too.
func TestClockSetBack(t *testing.T) {
	const delay = 2 * time.Millisecond
	for _, step := range []time.Duration{2 * time.Second, 10 * time.Second, time.Hour} {
		b := newBroker(0)
		b.fetches(20, delay)
		b.shows = b.shows.Add(-step)
		b.fetch(delay, true)
		if late := b.late(); late < 0 || late > 2*clockNoise || !b.suspect {
			t.Errorf("set back by %v: %v late, a probe is asked for: %t", step, late, b.suspect)
		}
	}
	for _, step := range []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, 10 * time.Second, time.Hour} {
		b := newBroker(0)
		b.fetches(20, delay)
		b.shows = b.shows.Add(-step)
		b.probe(delay, delay)
		if late := b.late(); late < 0 || late > 2*clockNoise {
			t.Errorf("set back by %v: %v late after a probe", step, late)
		}
	}
}

// TestClockSetBackALittle: less than clockStep is found out by a probe after
// clockRecheck, and without one after clockForget.
func TestClockSetBackALittle(t *testing.T) {
	b := newBroker(0)
	b.fetches(20, 2*time.Millisecond)
	b.shows = b.shows.Add(-200 * time.Millisecond)
	b.fetches(int(clockRecheck/time.Second)+2, 2*time.Millisecond)
	if !b.suspect {
		t.Error("no probe is asked for")
	}
	b.fetches(int((clockForget-clockRecheck)/time.Second), 2*time.Millisecond)
	if late := b.late(); late < 0 || late > 2*clockNoise {
		t.Errorf("%v late after %v", late, clockForget)
	}
}

// TestClockOfASlowNetwork: records that come late cost lateness until one comes soon,
// or a probe.
func TestClockOfASlowNetwork(t *testing.T) {
	b := newBroker(0)
	b.fetches(10, time.Millisecond)
	before := b.late()
	for range 10 {
		for range clockSamples - 1 {
			b.fetch(3*time.Second, true)
		}
		b.fetches(1, time.Millisecond)
	}
	if late := b.late(); late > before+5*time.Millisecond {
		t.Errorf("%v late, %v before", late, before)
	}
}

// TestClockProbing: a clock that is known is probed again only while records wait, and
// every few minutes; one that a clock was set for, sooner.
func TestClockProbing(t *testing.T) {
	b := newBroker(0)
	if !b.probing(b.here, false, false) {
		t.Error("not probed at the start")
	}
	b.probe(0, 0)
	for _, c := range []struct {
		name  string
		after time.Duration
		waits bool
		soon  bool
		want  bool
	}{
		{"idle", time.Hour, false, false, false},
		{"something waits", time.Second, true, false, true},
		{"probed just now", probeAge - time.Second, true, false, false},
		{"again", time.Second, true, false, true},
		{"due soon, and probed just now", probeDueAge - time.Second, true, true, false},
		{"due soon", time.Second, true, true, true},
	} {
		b.pass(c.after)
		if got := b.probing(b.here, c.waits, c.soon); got != c.want {
			t.Errorf("%s: probed %t", c.name, got)
		}
		if c.want {
			b.probe(0, 0)
		}
	}
	b.jumped()
	b.pass(probeAgain)
	if !b.probing(b.here, false, false) {
		t.Error("not probed after the wall clock had jumped")
	}
	probes := 0
	for range 3600 { // they fail
		b.pass(time.Second)
		if b.probing(b.here, true, true) {
			probes++
		}
	}
	if probes > 16 {
		t.Errorf("%d probes that fail in an hour", probes)
	}
}

// TestClockGoesByTheMonotonicClock: a wall clock that is set changes nothing.
func TestClockGoesByTheMonotonicClock(t *testing.T) {
	at := time.Now() // both clocks; nothing here goes by the real time
	r := reading{stamp: epoch, at: at}
	for _, set := range []time.Duration{0, time.Hour, -time.Hour} {
		if got := r.now(wallStep(t, at.Add(time.Second), set)); got.Sub(seconds(1)).Abs() > time.Millisecond {
			t.Errorf("set by %v: %v has passed, want a second", set, got.Sub(epoch))
		}
	}
}
