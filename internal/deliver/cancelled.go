package deliver

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Cancelled reports whether a record has been cancelled that was read as src. It counts and
// logs what it reports.
type Cancelled func(src *kgo.Record, f *Facts) bool

// cancelled reports whether a parked record has been cancelled since it was read. Records that
// come due are asked about just before (see consume.Screen), and what is parked may wait for days.
func (o *Outbox) cancelled(k kind, it *item) bool {
	return k == again && o.cfg.Cancelled != nil && it.code == "" && o.cfg.Cancelled(it.src, &it.facts)
}

// withdrawn takes a parked record out that was cancelled. At least once, one that may have
// been written is delivered, not cancelled.
func (q *lockedQueue) withdrawn(it *item) bool {
	return it.attempts == 0 && q.o.cancelled(q.kind, it)
}

// withdraw does the same in transactions, where nothing is written that is pending.
func (l *txnLoop) withdraw(it *item, now time.Time) bool {
	if !l.o.cancelled(l.kind, it) {
		return false
	}
	it.txn.work.Drop(now)
	return true
}
