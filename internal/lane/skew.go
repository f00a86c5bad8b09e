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

	estimate atomic.Int64 // ns; zero until it is known
}

type window struct {
	least time.Duration
	n     int
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
	if s.current.n == 0 || d < s.current.least {
		s.current.least = d
	}
	s.current.n++
	if s.current.n+s.before.n < skewSamples {
		return
	}
	least := s.current.least
	if s.before.n > 0 {
		least = min(least, s.before.least)
	}
	s.estimate.Store(int64(least))
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
