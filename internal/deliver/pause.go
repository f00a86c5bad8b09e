package deliver

import (
	"time"

	"github.com/delayd-io/delayd/internal/control"
	"github.com/delayd-io/delayd/internal/target"
)

// A target that is paused is as one that is unavailable, but that nothing is tried: what is
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
	lq := q.lock()
	defer lq.unlock()
	if q.target.Paused() == on {
		return
	}
	if !on {
		q.resumed = now
		lq.resume()
		return
	}
	action := q.target.Pause(q.held, q.inFlight)
	lq.countUnavailable()
	switch {
	case action != target.Park: // a batch in flight may fail, and has to be parked before what comes after it
	case q.target.Parked(): // what waits for it to open is parked
		lq.releaseWaiting()
	default:
		lq.closeGate(ByKey, nil)
	}
}

// resume starts the queue again.
func (q *lockedQueue) resume() {
	action := q.target.Resume()
	q.countUnavailable()
	if action != target.Send {
		return
	}
	q.forgiveAll()
	q.releaseWaiting()
	for n := range q.lines {
		q.ready(int32(n))
	}
}

// forgiveAll has the failures of all records count from when the target was resumed.
func (q *lockedQueue) forgiveAll() {
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
// What is not parked yet is to be, then.
func (q *lockedQueue) holds(it *item) bool {
	if q.kind == again {
		q.forgive(it)
		return q.target.Paused()
	}
	if q.target.Paused() {
		q.closeGate(ByKey, nil)
	}
	return false
}

// forgive has a parked record's failures count from when its target was resumed.
func (q *lockedQueue) forgive(it *item) {
	if it.since.Before(q.resumed) {
		it.since = q.resumed
	}
}
