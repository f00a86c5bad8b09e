package lane

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// observer feeds a skew with records that a broker stamped.
type observer struct {
	skew  skew
	ahead time.Duration // by how much this machine's clock truly is ahead of the broker's
	now   time.Time     // by the broker's clock
}

// fetch observes a record that took delay from its append to here.
func (o *observer) fetch(delay time.Duration, tail bool) {
	o.skew.observe(o.now.Add(o.ahead), o.now.Add(-delay), tail)
}

// fetches observes n records, a second apart, that were waited for at the end of
// the log.
func (o *observer) fetches(n int, delay time.Duration) {
	for range n {
		o.fetch(delay, true)
		o.now = o.now.Add(time.Second)
	}
}

func TestSkewCorrection(t *testing.T) {
	const delay = 2 * time.Millisecond
	for _, c := range []struct {
		name        string
		ahead, want time.Duration
	}{
		{"none", 0, 0},
		{"ahead, but it may be the broker that is busy", skewAhead - delay, 0},
		{"ahead", 300 * time.Millisecond, 302 * time.Millisecond},
		{"ahead by an hour", time.Hour, time.Hour + delay},
		{"behind by less than counts", -skewBehind - delay, 0},
		{"behind", -300 * time.Millisecond, -298 * time.Millisecond},
		{"behind by an hour", -time.Hour, -time.Hour + delay},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := observer{now: epoch, ahead: c.ahead}
			o.fetches(skewSamples-1, delay)
			if (o.skew.estimate.Load() != 0) || o.skew.correction() != 0 {
				t.Errorf("corrected by %v, known %t, after %d fetches", o.skew.correction(), (o.skew.estimate.Load() != 0), skewSamples-1)
			}
			o.fetches(1, delay)
			if got := o.skew.correction(); got != c.want || !(o.skew.estimate.Load() != 0) {
				t.Errorf("corrected by %v, known %t, want %v", got, (o.skew.estimate.Load() != 0), c.want)
			}
		})
	}
}

// TestSkewIsTheLeast: one quick fetch tells more than many slow ones.
func TestSkewIsTheLeast(t *testing.T) {
	o := observer{now: epoch}
	o.fetches(skewSamples, time.Second)
	if got := o.skew.correction(); got != time.Second {
		t.Errorf("corrected by %v, want what cannot be told from a skew, 1s", got)
	}
	o.fetches(1, time.Millisecond)
	if got := o.skew.correction(); got != 0 {
		t.Errorf("corrected by %v after a quick fetch", got)
	}
}

// TestSkewBacklog: how long a record lay on the log says nothing about clocks.
func TestSkewBacklog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observer{now: epoch, ahead: time.Duration(rapid.Int64Range(int64(-skewBehind), int64(time.Hour)).Draw(t, "ahead"))}
		for range rapid.IntRange(1, 3*skewSamples).Draw(t, "fetches") {
			o.fetch(time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "delay")), false)
			o.now = o.now.Add(time.Duration(rapid.Int64Range(0, int64(skewWindow)).Draw(t, "pause")))
		}
		if (o.skew.estimate.Load() != 0) || o.skew.correction() != 0 {
			t.Fatalf("corrected by %v, known %t", o.skew.correction(), (o.skew.estimate.Load() != 0))
		}
	})
}

// TestSkewBacklogBehind: a record cannot arrive before it was appended, so that a
// clock that is behind shows even in a backlog once that is short enough.
func TestSkewBacklogBehind(t *testing.T) {
	o := observer{now: epoch, ahead: -time.Minute}
	for i := range 2 * skewSamples {
		o.fetch(time.Duration(2*skewSamples-i)*4*time.Second, false)
	}
	if got, want := o.skew.correction(), -56*time.Second; got != want {
		t.Errorf("corrected by %v, want %v", got, want)
	}
}

// TestSkewNeverEarly: with the correction this machine's clock is not ahead of the
// broker's by more than what is not corrected for, so that no record is sent
// earlier than that. At worst it is behind by the quickest fetch.
func TestSkewNeverEarly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observer{now: epoch, ahead: time.Duration(rapid.Int64Range(int64(-time.Hour), int64(time.Hour)).Draw(t, "ahead"))}
		quickest := time.Hour
		for range rapid.IntRange(skewSamples, 5*skewSamples).Draw(t, "fetches") {
			delay := time.Duration(rapid.Int64Range(0, int64(skewStep)).Draw(t, "delay"))
			tail := rapid.Bool().Draw(t, "tail")
			if tail {
				quickest = min(quickest, delay)
			}
			o.fetch(delay, tail)
			o.now = o.now.Add(time.Second)
		}
		got := o.skew.correction()
		if got == 0 {
			return
		}
		if got < o.ahead {
			t.Fatalf("corrected by %v, ahead by %v: early", got, o.ahead)
		}
		if quickest < time.Hour && got > o.ahead+quickest {
			t.Fatalf("corrected by %v, ahead by %v, the quickest fetch took %v", got, o.ahead, quickest)
		}
	})
}

// TestSkewRemembers: what the window before saw still counts while this one has
// seen only slow fetches.
func TestSkewRemembers(t *testing.T) {
	o := observer{now: epoch}
	o.fetches(1, 0)
	o.now = epoch.Add(skewWindow + time.Second)
	o.fetches(int(skewWindow/time.Second), skewStep)
	if got := o.skew.correction(); got != 0 {
		t.Errorf("corrected by %v, a quick fetch was in the window before", got)
	}
	o.fetches(2, skewStep)
	if got := o.skew.correction(); got != skewStep {
		t.Errorf("corrected by %v, want 1s: the quick fetch was two windows ago", got)
	}
}

// TestSkewAgesOut: a clock that was set right is believed after two windows.
func TestSkewAgesOut(t *testing.T) {
	window := int(skewWindow / time.Second)
	for _, ahead := range []time.Duration{-time.Minute, -10 * time.Millisecond} {
		o := observer{now: epoch, ahead: ahead}
		o.fetches(window, 0)
		if got := o.skew.correction(); got != ahead {
			t.Fatalf("corrected by %v, want %v", got, ahead)
		}
		o.ahead = 0
		o.fetches(2*window+2, 0)
		if got := o.skew.correction(); got != 0 {
			t.Errorf("corrected by %v two windows after the clock was set right", got)
		}
	}
	// The other way round nothing has to age: what is smaller counts at once.
	o := observer{now: epoch, ahead: time.Minute}
	o.fetches(window, 0)
	o.ahead = 0
	o.fetches(1, 0)
	if got := o.skew.correction(); got != 0 {
		t.Errorf("corrected by %v after the clock was set right", got)
	}
}

// TestSkewKeepsAnEstimate: a window with too few fetches changes nothing.
func TestSkewKeepsAnEstimate(t *testing.T) {
	o := observer{now: epoch, ahead: time.Second}
	o.fetches(skewSamples, 0)
	for range 5 {
		o.now = o.now.Add(skewWindow)
		o.fetches(1, 0)
		if got := o.skew.correction(); got != time.Second {
			t.Fatalf("corrected by %v, want 1s", got)
		}
	}
}

// TestSkewAfterAStep: a clock that was set is known after skewDoubt one way, and at
// once the other way.
func TestSkewAfterAStep(t *testing.T) {
	const delay = 2 * time.Millisecond
	for _, step := range []time.Duration{2 * time.Second, 10 * time.Second, time.Hour} {
		o := observer{now: epoch}
		o.fetches(2*skewSamples, delay)
		o.ahead = step
		o.fetches(int(skewDoubt/time.Second), delay)
		if got := o.skew.correction(); got != 0 {
			t.Errorf("corrected by %v while it may be a slow network", got)
		}
		o.fetches(skewSamples, delay)
		if got := o.skew.correction(); got != step+delay {
			t.Errorf("corrected by %v after the broker's clock was set back by %v", got, step)
		}
		o.ahead = 0
		o.fetches(1, delay)
		if got := o.skew.correction(); got != 0 {
			t.Errorf("corrected by %v after the broker's clock was right again", got)
		}
	}
}

// TestSkewOfASlowNetwork: as long as some records come soon, others that come late
// are no step.
func TestSkewOfASlowNetwork(t *testing.T) {
	o := observer{now: epoch}
	o.fetches(skewSamples, time.Millisecond)
	for range 10 {
		o.fetches(skewSamples-1, 3*time.Second)
		o.fetches(1, skewStep)
	}
	if got := o.skew.correction(); got != 0 {
		t.Errorf("corrected by %v", got)
	}
}
