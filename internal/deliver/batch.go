package deliver

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
)

// Batch is records that are due together. What they need on their way is
// allocated together, and reused for another batch when all have arrived: in a
// release allocations are most of what a record costs.
type Batch struct {
	o         *Outbox
	items     []item
	records   []kgo.Record
	room      record.Room
	sources   []kgo.Record // of parked records, as they were read first
	target    destination  // of the parked record that was added last
	kind      kind         // direct, or again
	txnStates []txnState   // in transactions
	left      atomic.Int32 // items that have not arrived at the first attempt
}

// batchRoom is how many records a batch has room for that is used again. A smaller
// one is made to measure: a target that hangs can keep thousands of batches.
const batchRoom = 64

var batches = sync.Pool{New: func() any { return newBatch(batchRoom) }}

func newBatch(n int) *Batch {
	return &Batch{items: make([]item, 0, n), records: make([]kgo.Record, 0, n)}
}

// NewBatch is a batch with room for n records. Send ends its use by the caller.
func (o *Outbox) NewBatch(n int) (b *Batch) {
	if n > batchRoom/2 && n <= batchRoom {
		b = batches.Get().(*Batch)
	} else {
		b = newBatch(n)
	}
	b.o = o
	return b
}

// arrived is called when an item of the batch was written at the first attempt:
// nobody refers to it any more. Where anything else happens to one, the batch is
// left to the garbage collector.
func (b *Batch) arrived() {
	if b.left.Add(-1) > 0 || cap(b.items) != batchRoom {
		return
	}
	clear(b.items)
	clear(b.records)
	clear(b.txnStates)
	b.items, b.records = b.items[:0], b.records[:0]
	b.room.Reset()
	b.txnStates = b.txnStates[:0]
	clear(b.sources)
	b.sources, b.target, b.kind = b.sources[:0], destination{}, direct
	batches.Put(b)
}

// Deliver adds src, whose headers are h, to be sent to its target as the record that the
// target's consumer gets.
func (b *Batch) Deliver(owner Owner, src *kgo.Record, h *record.Headers, f Facts) {
	b.deliver(owner, src, h, f)
}

func (b *Batch) deliver(owner Owner, src *kgo.Record, h *record.Headers, f Facts) *item {
	b.records = append(b.records, kgo.Record{})
	rec := &b.records[len(b.records)-1]
	rec.Topic, rec.Key, rec.Value, rec.Headers = f.Topic, src.Key, src.Value, b.room.Final(src, h, &f, cap(b.items)-len(b.items))
	return b.add(owner, src, rec, f)
}

// Put adds rec, to be written to a topic of the service itself. src is what a
// dead letter would keep.
func (b *Batch) Put(owner Owner, src, rec *kgo.Record, f Facts) {
	b.add(owner, src, rec, f).put = true
}

// DeadLetter adds src, to be written to the dead letters for r.
func (b *Batch) DeadLetter(owner Owner, src *kgo.Record, f Facts, r Refusal) {
	b.o.logDeadLetter(src, f, r)
	it := b.add(owner, src, record.Dead(src, b.o.dead, f, r, 0), f)
	it.put, it.code = true, r.Code
}

// add fills an item where it stands: they are large, and copying one costs the
// garbage collector's barriers too.
func (b *Batch) add(owner Owner, src, rec *kgo.Record, f Facts) *item {
	b.items = append(b.items, item{})
	it := &b.items[len(b.items)-1]
	it.batch, it.owner, it.src, it.rec, it.facts = b, owner, src, rec, f
	return it
}

// Send has the records written in the order in which they were added.
func (b *Batch) Send() {
	if len(b.items) == 0 {
		return
	}
	b.left.Store(int32(len(b.items)))
	if b.o.cfg.TransactionalID != "" {
		b.addTxnStates()
	}
	if b.kind == again && b.o.cfg.TransactionalID != "" {
		b.o.parkedIntake.put(b)
		return
	}
	b.o.intake.put(b)
}

// addTxnStates gives its items what they need in transactions.
func (b *Batch) addTxnStates() {
	if cap(b.txnStates) < len(b.items) {
		b.txnStates = make([]txnState, 0, cap(b.items))
	}
	b.txnStates = b.txnStates[:len(b.items)]
	for i := range b.items {
		it := &b.items[i]
		it.txn = &b.txnStates[i]
		it.txn.work = it.owner.Work()
		it.txn.source = it.txn.work.Source()
	}
}

// pass writes each run of records for one topic behind what came before.
func (b *Batch) pass(now time.Time) {
	b.o.passed.Add(int64(len(b.items)))
	for rest := b.items; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].rec.Topic == rest[0].rec.Topic {
			n++
		}
		k := b.kind
		if rest[0].put {
			k = own
		}
		b.o.queue(rest[0].rec.Topic, k, now).sendAll(rest[:n], now)
		rest = rest[n:]
	}
}
