package forwarder

import (
	"slices"
	"sync"
)

const (
	// lookAhead is how many records of a lane wait for a call, as a multiple of the
	// calls at a time: while records of one key wait for each other, others go on.
	lookAhead = 8
	// maxLookAhead bounds it, because these records hold slots of all lanes.
	maxLookAhead = 1024
)

// calls hands out the records of one lane, several at a time: those with one key in
// their order, those without a key in any.
type calls struct {
	serve func(*task)
	room  chan struct{} // has an element for each record that was added and not served

	mu      sync.Mutex
	idle    int             // calls that nobody makes
	busy    map[string]bool // keys in a call
	waiting []*task         // in order
}

func newCalls(atOnce int, serve func(*task)) *calls {
	room := 1 // all in order, whatever their keys
	if atOnce > 1 {
		room = max(atOnce, min(atOnce*lookAhead, maxLookAhead))
	}
	return &calls{serve: serve, room: make(chan struct{}, room), idle: atOnce, busy: make(map[string]bool)}
}

// add takes over a record. It waits while there are as many as there is room for.
func (c *calls) add(t *task) {
	select {
	case c.room <- struct{}{}:
	case <-t.Halted():
		t.Leave()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, t)
	if c.idle > 0 {
		c.idle--
		go c.run()
	}
}

// run serves records until none can be.
func (c *calls) run() {
	var last *task
	for {
		if last = c.next(last); last == nil {
			return
		}
		c.serve(last)
		<-c.room
	}
}

// next ends the call of last, nil for none, and returns the first record whose key is in
// no call. nil ends the caller's calls.
func (c *calls) next(last *task) *task {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last != nil && last.src.Key != nil {
		delete(c.busy, string(last.src.Key))
	}
	i := slices.IndexFunc(c.waiting, func(t *task) bool { return t.src.Key == nil || !c.busy[string(t.src.Key)] })
	if i < 0 {
		c.idle++
		return nil
	}
	t := c.waiting[i]
	c.waiting = slices.Delete(c.waiting, i, i+1)
	if t.src.Key != nil {
		c.busy[string(t.src.Key)] = true
	}
	return t
}
