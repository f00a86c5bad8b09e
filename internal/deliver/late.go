package deliver

import (
	"time"

	"github.com/delayd-io/delayd/internal/target"
)

// clock returns now by the clock of the broker that the record came from, which due
// times follow.
func clock(owner Owner, now time.Time) time.Time {
	if w := owner.Work(); w != nil {
		return w.Clock(now)
	}
	return now
}

// stamp returns the timestamp for a record that is written at now: by the broker's
// clock, or a topic may refuse it for ours.
func stamp(owner Owner, now time.Time) time.Time {
	if w := owner.Work(); w != nil {
		return w.Stamp(now)
	}
	return now
}

// TooLate is [target.TooLate] at now, as the owner of the record knows it.
func TooLate(maxLate time.Duration, dueMs int64, owner Owner, now time.Time) *Refusal {
	if maxLate <= 0 {
		return nil // most have no bound
	}
	return target.TooLate(maxLate, dueMs, clock(owner, now))
}

// tooLate returns why an item is too late for its target, nil where it is not.
func (q *queue) tooLate(it *item, now time.Time) *Refusal {
	if q.o.cfg.MaxLate <= 0 || q.kind == own {
		return nil
	}
	return TooLate(q.o.cfg.MaxLate, it.facts.Due, it.owner, now)
}

// expired dead-letters an item that is too late for its target. It is checked before
// each attempt; an attempt in flight is waited for.
func (q *lockedQueue) expired(it *item, now time.Time) bool {
	r := q.self().tooLate(it, now)
	if r == nil {
		return false
	}
	q.o.DeadLetter(it.owner, it.src, it.facts, *r, it.attempts)
	return true
}

// expire does the same in transactions.
func (o *Outbox) expire(it *item, now time.Time) {
	if o.cfg.MaxLate > 0 && !it.put && it.code == "" && it.txn.refusal == nil {
		it.txn.refusal = TooLate(o.cfg.MaxLate, it.facts.Due, it.owner, now)
	}
}
