package consume

import (
	"context"
	"sync"
	"time"
)

// lease is the right to handle records: the last successful commit is younger
// than leaseTime. The broker gives our partitions away a whole session after it
// last heard of us. So a process that was frozen finds its lease run out before
// it can repeat what its successor has delivered.
type lease struct {
	mu      sync.Mutex
	from    time.Time     // when the request of the last good commit was made; zero: lost
	renewed chan struct{} // closed at the next renewal
}

func newLease() *lease { return &lease{renewed: make(chan struct{})} }

// held says whether records may be handled at now. Both clocks have to agree:
// the monotonic one stands still while a machine is suspended, the wall clock
// can be set back.
func (l *lease) held(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.from.IsZero() && now.Sub(l.from) < leaseTime && now.Round(0).Sub(l.from.Round(0)) < leaseTime
}

// renew extends the lease by a commit whose request was made at from.
func (l *lease) renew(from time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.from = from
	close(l.renewed)
	l.renewed = make(chan struct{})
}

// lose ends the lease: the broker has said that we are no member any more.
func (l *lease) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.from = time.Time{}
}

// age is the time since the commit that the lease rests on.
func (l *lease) age(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.from.IsZero() {
		return 0
	}
	return now.Sub(l.from)
}

// wait returns true as soon as the lease is held, false when ctx ends first.
func (l *lease) wait(ctx context.Context) bool {
	for !l.held(time.Now()) {
		l.mu.Lock()
		renewed := l.renewed
		l.mu.Unlock()
		if l.held(time.Now()) { // renewed in between
			break
		}
		select {
		case <-renewed:
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}
