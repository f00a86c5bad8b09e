// Package lifecycle guards components that run once: it refuses a second run, and knows
// whether the only one has begun and whether it has ended.
package lifecycle

import (
	"errors"
	"fmt"
	"sync"
)

var (
	errAgain      = errors.New("already run: it runs once; make another with New")
	errNotStarted = errors.New("not started; call Run")
	errStopped    = errors.New("stopped")
)

// Once is the life of a component. The zero value has not begun. Its methods can be
// called from any goroutine.
type Once struct {
	mu    sync.Mutex
	begun bool
	ended error // nil until End
}

// Begin begins the run, and returns an error where another has begun before.
func (o *Once) Begin() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.begun {
		return errAgain
	}
	o.begun = true
	return nil
}

// End ends the run with the error that it returns, nil for a clean stop.
func (o *Once) End(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = errStopped
	if err != nil {
		o.ended = fmt.Errorf("%w: %w", errStopped, err)
	}
}

// Running returns nil between Begin and End, and otherwise an error that says which of
// them is missing or has been.
func (o *Once) Running() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.begun {
		return errNotStarted
	}
	return o.ended
}
