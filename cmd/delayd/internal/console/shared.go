package console

import (
	"context"
	"sync"
	"time"
)

// patience is how long a request waits for a look that is under way. After that it gets
// what there was before, with the reason.
const patience = 5 * time.Second

// shared is a value that takes requests to the brokers to make, and that all viewers
// share: however many ask, it is made at most once in every, and only while somebody
// asks.
type shared[T any] struct {
	every func(T) time.Duration // how long a value is good
	look  func(context.Context) (T, error)

	mu       sync.Mutex
	value    T
	at       time.Time     // when value was complete; zero before
	err      error         // of the last look
	ended    time.Time     // when that ended
	underway chan struct{} // closed when the look that is under way ends; nil: none is
}

// answer is a shared value as one viewer gets it.
type answer[T any] struct {
	value T
	at    time.Time // zero: there is none yet
	err   error     // why it is not the present one
}

// get returns the value, and waits for it no longer than patience. run runs a look in the
// background.
func (s *shared[T]) get(ctx context.Context, run func(func(context.Context))) answer[T] {
	s.mu.Lock()
	if s.underway == nil && (s.ended.IsZero() || time.Since(s.ended) >= s.every(s.value)) {
		s.underway = make(chan struct{})
		run(s.refresh)
	}
	underway := s.underway
	s.mu.Unlock()
	if underway != nil {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-underway:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := answer[T]{s.value, s.at, s.err}
	if a.err == nil && s.underway != nil && s.underway == underway {
		a.err = errSlow
	}
	return a
}

// refresh looks, and lets those know who wait for it.
func (s *shared[T]) refresh(ctx context.Context) {
	value, err := s.look(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.value, s.at = value, time.Now()
	}
	s.err, s.ended = err, time.Now()
	close(s.underway)
	s.underway = nil
}

// forget has the next viewer get a new value.
func (s *shared[T]) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = time.Time{}
}

func always[T any](d time.Duration) func(T) time.Duration { return func(T) time.Duration { return d } }
