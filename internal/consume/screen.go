package consume

import "time"

// Screen decides about works that are due, before anything is done for them. It is asked
// with the lane's lock held, and returns at once.
type Screen interface {
	// Soon says that a record may be due within a second.
	Soon()
	// Decide decides about a work that is due.
	Decide(w *Work, rec Screened) Verdict
}

// Screened is what a Screen may ask for about a work.
type Screened struct{ lane *lane }

// Clock is [Work.Clock].
func (s Screened) Clock(now time.Time) time.Time { return s.lane.now(now) }

// Verdict is what becomes of a work that is due.
type Verdict uint8

const (
	// Handle: it goes to the handler.
	Handle Verdict = iota
	// Hold: its lane waits, and asks again.
	Hold
	// Discard: nothing is done for it, and its offset is committed with those around it.
	Discard
)

// screenAgain is how long a lane waits that is held.
const screenAgain = 20 * time.Millisecond

// screened asks the topic's screen about a work that is due. ok is false where the lane
// has to wait. With dropped the work is handled.
func (l *lockedLane) screened(w *Work) (dropped, ok bool) {
	switch l.topic.Screen.Decide(w, Screened{(*lane)(l)}) {
	case Hold:
		return false, false
	case Discard:
		l.discard(w)
		return true, true
	}
	return false, true
}

// discard makes a work that waits one that nothing is done for, like the marker of a
// transaction. A commit passes it, in both deliveries, and lists it nowhere: whoever reads it
// again asks again.
func (l *lockedLane) discard(w *Work) {
	bytes := w.bytes
	w.state, w.Record, w.bytes = done, nil, 0
	l.usage.add(-bytes)
	l.usage.pool.give(bytes)
	l.moved = time.Now()
	l.c.discarded()
}

// Drop says that nothing is to be done for the record of a work that was handed to its
// handler. It takes the place of Done, in transactions too: its offset is committed with those
// around it, or by itself.
func (w *Work) Drop(now time.Time) {
	l := w.lane
	l.mu.Lock()
	if w.state == done {
		l.mu.Unlock()
		panic("lane: work done twice")
	}
	bytes, overdue, overtook := w.bytes, 0, w.overtook
	if w.overdue {
		overdue = 1
	}
	w.state, w.Record, w.bytes = done, nil, 0
	live := l.live.Load()
	if live {
		l.usage.add(-bytes)
		l.usage.release(1, overdue)
	}
	if overtook && live {
		w.overtook = false
		l.queue.overtaken--
	}
	l.usage.unfinished--
	l.progress.finished++
	l.moved = now
	l.mu.Unlock()
	if !live {
		return
	}
	if overtook {
		l.usage.pool.overtaking.Add(-1)
	}
	l.usage.pool.release(1, overdue)
	l.usage.pool.give(bytes)
	l.c.discarded()
}

// discarded has a commit made soon.
func (c *Consumer) discarded() { signal(c.some) }
