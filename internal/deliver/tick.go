package deliver

import (
	"time"

	"github.com/delayd-io/delayd/internal/target"
)

// tick finds what makes no progress, and what may be tried again. It returns whether
// the queue has to be checked again soon.
func (q *queue) tick(now time.Time) (busy bool) {
	lq := q.lock()
	defer lq.unlock()
	if q.o.cfg.TransactionalID != "" {
		return q.describing || q.target.Parked()
	}
	if q.target.Stalled(now, lq.counts(now)) {
		lq.closeGate(ByKey, lq.cause(now))
	}
	if q.kind == again {
		lq.tickParked(now)
	}
	if q.place.answer != nil && (q.held > 0 || q.target.Parked()) && now.Sub(q.place.asked) >= askMissing {
		lq.ask(now)
	}
	if lq.mayExpire() {
		lq.expireMissing(now)
	}
	lq.retryAside(now)
	return q.held > 0 || q.target.Parked() || len(q.aside) > 0
}

// tickParked gives up parked records that no broker answers for.
func (q *lockedQueue) tickParked(now time.Time) {
	idle := q.target.Idle(now)
	for n := range q.lines {
		l := &q.lines[n]
		switch {
		case !l.sending:
		case q.target.Paused() && idle >= target.StalledHeldAfter: // or it would be sent whenever its target takes it
			q.abandon(int32(n))
		case idle >= target.StalledAfter && q.self().tooLate(l.items[0], now) != nil:
			q.abandon(int32(n))
			q.cull(l, now)
		case idle >= target.StalledAfter:
			q.giveUp(l, int32(n), now)
		}
	}
}

// retryAside tries dead letters again that their topic refused, each for itself.
func (q *lockedQueue) retryAside(now time.Time) {
	if len(q.aside) == 0 || now.Sub(q.asideAt) < backoffMax {
		return
	}
	q.asideAt = now
	items := q.aside
	q.aside = nil
	for _, it := range items {
		it.alone = true
		q.release(it, now)
	}
}

// release lets go a record that was held back.
func (q *lockedQueue) release(it *item, now time.Time) {
	switch {
	case !it.owner.Live():
		q.o.dropped(it)
	case q.target.Parked():
		q.park(it)
	default:
		q.pass(it, now)
	}
}

// releaseWaiting lets all go that waits.
func (q *lockedQueue) releaseWaiting() {
	items, now := q.waiting, time.Now()
	q.waiting = nil
	q.held -= len(items)
	for _, it := range items {
		q.release(it, now)
	}
}

// parkAll parks everything that the queue holds, in order. The gate is closed.
func (q *lockedQueue) parkAll() {
	for n := range q.lines {
		q.abandon(int32(n))
		l := &q.lines[n]
		q.held -= len(l.items)
		for _, it := range l.items {
			q.release(it, time.Now())
		}
		*l = line{}
	}
	q.releaseWaiting()
	q.tally()
}
