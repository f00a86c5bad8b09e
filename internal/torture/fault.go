package main

import (
	"sync"
	"time"
)

// fault is a time during which something was broken, since the run began. The
// latest is over when To is later than From.
type fault struct {
	Name string        `json:"name"`
	From time.Duration `json:"from_ns"`
	To   time.Duration `json:"to_ns"`
}

// faults are those of a run, in their order.
type faults struct {
	begun time.Time
	mu    sync.Mutex
	list  []fault // guarded by mu
}

// begin notes that something is broken from now on, until the function is called
// that it returns.
func (f *faults) begin(name string) (end func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := len(f.list)
	now := time.Since(f.begun)
	f.list = append(f.list, fault{Name: name, From: now, To: now})
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.list[i].To = time.Since(f.begun)
	}
}

func (f *faults) all() []fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]fault(nil), f.list...)
}

// lastToEnd is the end of the fault that ended last, as a fault of its own.
func lastToEnd(list []fault) []fault {
	last := list[0]
	for _, f := range list {
		if f.To > last.To {
			last = f
		}
	}
	last.From = last.To
	return []fault{last}
}
