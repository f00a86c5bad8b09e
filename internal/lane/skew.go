package lane

import (
	"sync/atomic"
	"time"
)

const (
	// skewWindow is how long the smallest difference is remembered; two windows
	// are looked at, so that an estimate never rests on a moment's traffic.
	skewWindow = 150 * time.Second
	// skewSamples is how many fetches an estimate needs.
	skewSamples = 10
	// skewStep is how much later than the estimate explains every record has to come,
	// for skewDoubt, until it is not a slow network: the broker's clock was set back,
	// or ours ahead. While that is not known, records are delivered early.
	skewStep  = time.Second
	skewDoubt = 5 * time.Second
	// skewAhead is from where a clock that runs ahead of the broker's is
	// corrected for: below it the difference may as well be a busy broker.
	skewAhead = 50 * time.Millisecond
	// skewBehind is the same for a clock that runs behind, which no delay on
	// the way can feign.
	skewBehind = 5 * time.Millisecond
	// skewAlarm is from where an operator should look at the clocks; skewAlarmEvery
	// is how often that is said.
	skewAlarm      = 100 * time.Millisecond
	skewAlarmEvery = time.Minute
)

// skew estimates by how much this machine's clock is ahead of the broker's
// that leads the partition: the smallest receive − append time of records that
// were fetched as soon as they were appended. It costs nothing on the wire.
type skew struct {
	// owned by the poll loop
	started         time.Time
	current, before window
	doubts          window // of late what the estimate does not explain
	doubted         time.Time

	estimate atomic.Int64 // ns; zero until it is known
}

type window struct {
	least time.Duration
	n     int
}

func (w *window) add(d time.Duration) {
	if w.n == 0 || d < w.least {
		w.least = d
	}
	w.n++
}

// observe takes the append time of a record received at now. tail says that
// the lane was waiting for it at the end of the log: an older one only shows
// how long it lay there.
func (s *skew) observe(now, appended time.Time, tail bool) {
	d := now.Sub(appended)
	if !tail && d > -skewBehind {
		return
	}
	if now.Sub(s.started) > skewWindow {
		if now.Sub(s.started) > 2*skewWindow {
			s.current = window{}
		}
		s.before, s.current, s.started = s.current, window{}, now
	}
	s.current.add(d)
	if s.stepped(now, d, tail) {
		s.before, s.current, s.started, s.doubts = window{}, s.doubts, now, window{}
	}
	if s.current.n+s.before.n < skewSamples {
		return
	}
	least := s.current.least
	if s.before.n > 0 {
		least = min(least, s.before.least)
	}
	s.estimate.Store(int64(least))
}

// stepped says whether a clock was set so that the estimate is too small now. One
// that is too large is corrected by the next record.
func (s *skew) stepped(now time.Time, d time.Duration, tail bool) bool {
	switch {
	case d <= time.Duration(s.estimate.Load())+skewStep:
		s.doubts = window{}
		return false
	case !tail:
		return false
	case s.doubts.n == 0:
		s.doubted = now
	}
	s.doubts.add(d)
	return s.doubts.n >= skewSamples && now.Sub(s.doubted) >= skewDoubt
}

// correction is what to take from this machine's clock to have the broker's;
// zero while the difference is too small to tell from a delay on the way.
func (s *skew) correction() time.Duration {
	if d := time.Duration(s.estimate.Load()); d > skewAhead || d < -skewBehind {
		return d
	}
	return 0
}

// widest is the estimate of all lanes that is furthest from zero: they may be led
// by brokers whose clocks differ.
func widest(lanes []*lane) (skew time.Duration) {
	for _, l := range lanes {
		if d := time.Duration(l.skew.estimate.Load()); d.Abs() > skew.Abs() {
			skew = d
		}
	}
	return skew
}
