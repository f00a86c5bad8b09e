package deliver

import (
	"iter"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/transact"
)

// txnState is what the transactions that an item was part of have found out about it.
type txnState struct {
	work   *consume.Work
	source any // tells the partition that it was read from from others

	// Of the transaction under way, or the last one.
	queue *queue
	out   *kgo.Record // what is written: the item's record, or one that stands for it
	err   error

	group   int      // of suspects that are sent together, apart from others; 0: none
	retried bool     // refused alone for its size, and to be tried once more
	refusal *Refusal // what it is a dead letter for

	packing packing     // how it is sent
	letter  *kgo.Record // the whole dead letter, where it is cut down
}

// transaction is the records that one transaction writes.
type transaction struct {
	selection
	items    []*item // in the order in which they were written
	producer *transact.Producer
	sticky   int32 // where its records without a key go, together

	fault   error           // what it has to be aborted for, if it is no record's answer
	outcome consume.Outcome // of the commit
	ended   bool            // there is nothing left to abort

	unanswered atomic.Int64
	failed     atomic.Bool
	news       chan struct{} // has room for one: all is answered, or something failed
}

const (
	// txnGather is how long a transaction takes on more, while answers are waited
	// for: its end costs as much as thousands of records.
	txnGather = 5 * time.Millisecond
	// answerWithin is how long no answer may come. A target that does not give one
	// is unavailable.
	answerWithin = time.Second
)

func newTransaction(s selection, sticky int32) *transaction {
	return &transaction{selection: s, sticky: sticky, news: make(chan struct{}, 1)}
}

// empty reports whether it has nothing to write, and not because something failed.
func (t *transaction) empty() bool { return len(t.items) == 0 && t.fault == nil }

// broken says that it has to be aborted.
func (t *transaction) broken() bool { return t.fault != nil || t.failed.Load() }

// works are those of its records.
func (t *transaction) works() iter.Seq[*consume.Work] {
	return func(yield func(*consume.Work) bool) {
		for _, it := range t.items {
			if !yield(it.txn.work) {
				return
			}
		}
	}
}

// candidate returns what a selection has to know of an item that was routed.
func (it *item) candidate() candidate {
	st := it.txn
	return candidate{
		source: st.source, target: it.facts.Topic, topic: st.queue, packing: st.packing, group: st.group, bytes: record.BatchBytes(st.out),
	}
}

// write produces what it.txn says.
func (t *transaction) write(it *item, c candidate, o *Outbox, now time.Time) {
	st := it.txn
	st.err = nil
	it.attempts++
	rec := st.out
	rec.Partition, rec.Timestamp = ByKey, stamp(it.owner, now)
	switch {
	case it.parkedBy != nil:
		rec.Partition = it.parkedOn
	case st.queue.kind != own:
		rec.Partition = it.facts.Partition
	}
	if rec.Partition == ByKey && rec.Key == nil {
		rec.Partition = st.queue.stickyPartition(t.sticky)
	}
	rec.Context = it
	t.take(c)
	t.items = append(t.items, it)
	t.unanswered.Add(1)
	st.queue.unanswered.Add(1)
	t.producer.Produce(o.ctx, rec, t.answered)
}

// answered is franz-go's promise. Nothing may be produced from here.
func (t *transaction) answered(rec *kgo.Record, err error) {
	st := rec.Context.(*item).txn
	if err != nil {
		st.err = err
		t.failed.Store(true)
	}
	st.queue.unanswered.Add(-1)
	if t.unanswered.Add(-1) == 0 || err != nil {
		signal(t.news)
	}
}

// signal leaves a note in a channel that has room for one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// silent returns the queues that have not answered all.
func (t *transaction) silent() []*queue {
	var qs []*queue
	seen := make(map[*queue]bool)
	for _, it := range t.items {
		if q := it.txn.queue; !seen[q] && q.unanswered.Load() > 0 {
			seen[q] = true
			qs = append(qs, q)
		}
	}
	return qs
}

// partitions are where a transaction wrote, by topic. They are known once all is
// answered.
func (t *transaction) partitions() map[string][]int32 {
	parts := make(map[string][]int32)
	topic := ""
	var in []int32
	for _, it := range t.items {
		out := it.txn.out
		if out.Topic != topic {
			if topic != "" {
				parts[topic] = in
			}
			topic, in = out.Topic, parts[out.Topic]
		}
		if out.Partition >= 0 && !slices.Contains(in, out.Partition) { // else it was not written
			in = append(in, out.Partition)
		}
	}
	if topic != "" {
		parts[topic] = in
	}
	maps.DeleteFunc(parts, func(_ string, in []int32) bool { return len(in) == 0 })
	return parts
}
