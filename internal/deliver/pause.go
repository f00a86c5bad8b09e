package deliver

import (
	"time"

	"github.com/delayd-io/delayd/internal/control"
)

// A target that is paused is as one that is sick, but that nothing is tried: what is
// due for it is parked, in its order, and what is parked waits. Nothing is given up
// for that: it counts from when the target was resumed.

// Pause has the targets be paused that state says, and all others be well.
func (o *Outbox) Pause(state control.State) {
	o.mu.Lock()
	o.pauses = state
	o.mu.Unlock()
	for _, q := range o.all() {
		if q.kind != own {
			q.pause(state.Paused(control.Target, q.topic), time.Now())
		}
	}
}

// pause stops the queue, or starts it again.
func (q *queue) pause(on bool, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.paused == on {
		return
	}
	q.paused = on
	if !on {
		q.resumed = now
	}
	q.countSick()
	switch {
	case on && q.gate.closed: // what waits for it to open is parked
		q.gate.reopening = false
		q.releaseWaiting()
	case on && q.kind == direct && q.held > 0:
		// A batch in flight may fail, and has to be parked before what comes after it.
		q.draining = q.inFlight > 0
		if !q.draining {
			q.closeGate(ByKey, nil)
		}
	case !on && !q.gate.closed:
		q.draining = false
		q.forgiveAll()
		q.releaseWaiting()
		for n := range q.lines {
			q.ready(int32(n))
		}
	}
}

// forgiveAll has the failures of all records count from when the target was resumed.
// It needs q.mu.
func (q *queue) forgiveAll() {
	for _, it := range q.waiting {
		q.forgive(it)
	}
	for n := range q.lines {
		for _, it := range q.lines[n].items {
			q.forgive(it)
		}
	}
}

// holds says, in transactions, whether it has to wait for its target to be resumed.
// What is not parked yet is to be, then. It needs q.mu.
func (q *queue) holds(it *item) bool {
	if q.kind == again {
		q.forgive(it)
		return q.paused
	}
	if q.paused {
		q.closeGate(ByKey, nil)
	}
	return false
}

// forgive has a parked record's failures count from when its target was resumed. It
// needs q.mu.
func (q *queue) forgive(it *item) {
	if it.since.Before(q.resumed) {
		it.since = q.resumed
	}
}
