package deliver

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/telemetry"
)

// item is one record on its way to a topic. It is the context under which its
// record is produced, so that franz-go's promise finds it.
type item struct {
	batch    *Batch // nil outside of one
	owner    Owner
	src      *kgo.Record // what a dead letter keeps
	facts    Facts
	rec      *kgo.Record
	put      bool        // to a topic of the service itself
	parkedBy *queue      // the queue that set it aside
	parkedOn int32       // where, if one did
	code     levels.Code // of a dead letter

	txn *txnState // in transactions

	attempts  int
	since     time.Time   // when it first failed, or was parked
	err       error       // of the last attempt
	alone     bool        // it has no company in its batch
	withdrawn bool        // it was cancelled
	small     bool        // compressed as far as possible: its topic refused it for its size
	whole     *kgo.Record // the dead letter before it was cut down
}

// As a context an item has nothing to say, and its fields are not looked at: franz-go
// may ask it once more when the record has arrived and the item is another's.

// Deadline is none.
func (*item) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done is never closed: what ends a produce is the outbox's own context.
func (*item) Done() <-chan struct{} { return nil }

// Err is nil.
func (*item) Err() error { return nil }

// Value is nil.
func (*item) Value(any) any { return nil }

// written tells everyone concerned that the item is on its topic.
func (o *Outbox) written(k kind, it *item, now time.Time) {
	o.count(k, it, it.rec, now)
	it.owner.Done(now)
}

// count tells everyone but the owner that the item is on its topic, as rec.
func (o *Outbox) count(k kind, it *item, rec *kgo.Record, now time.Time) {
	switch {
	case it.code != "":
		o.cfg.Metrics.Dead.WithLabelValues(string(it.code)).Inc()
		o.trace(it, rec, now)
	case it.parkedBy != nil:
		it.parkedBy.gate.parked.end(rec)
		o.cfg.Metrics.Park(it.facts.Granted)
	case k != own:
		o.cfg.Metrics.Late(it.facts.Granted, time.UnixMilli(it.facts.Due), clock(it.owner, now))
		o.trace(it, rec, now)
	}
}

// trace makes the span of an item that has come to its end, as rec.
func (o *Outbox) trace(it *item, rec *kgo.Record, now time.Time) {
	if o.cfg.Tracer == nil {
		return
	}
	end := telemetry.End{Record: rec, Level: it.facts.Granted, Now: now, Code: it.code}
	if it.facts.Due > 0 {
		end.Due = time.UnixMilli(it.facts.Due)
	}
	o.cfg.Tracer.Ended(end)
}

// dropped forgets an item whose partition is another instance's now.
func (o *Outbox) dropped(it *item) {
	if it.parkedBy != nil {
		it.parkedBy.gate.parked.end(nil)
	}
}
