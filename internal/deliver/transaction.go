package deliver

import (
	"iter"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/lane"
)

// trial is what the transactions that an item was part of have found out about it.
type trial struct {
	work   *lane.Work
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
	items    []*item // in the order in which they were passed
	bytes    int64
	began    time.Time
	producer *producer
	fault    error // what it has to be aborted for, if it is no record's answer

	turn   int32          // where its records without a key go, together
	groups map[*queue]int // of what was passed last, once there are suspects

	packing packing         // of all its records
	light   bool            // it takes no large records
	tries   map[*queue]bool // topics that rest, and that one record of it tries

	unanswered atomic.Int64
	failed     atomic.Bool
	news       chan struct{} // has room for one: all is answered, or something failed
}

const (
	// txnRecords and txnBytes bound a transaction: more would not be faster, and
	// what an abort repeats.
	txnRecords = 40_000
	txnBytes   = 16 << 20
	// txnGather is how long a transaction takes on more, while answers are waited
	// for: its end costs as much as thousands of records.
	txnGather = 5 * time.Millisecond
	// answerWithin is how long no answer may come. A target that does not give one
	// is sick.
	answerWithin = time.Second
)

func newTransaction() *transaction {
	return &transaction{news: make(chan struct{}, 1)}
}

// full says that it takes no more records.
func (t *transaction) full() bool { return len(t.items) >= txnRecords || t.bytes >= txnBytes }

// broken says that it has to be aborted.
func (t *transaction) broken() bool { return t.fault != nil || t.failed.Load() }

// works are those of its records.
func (t *transaction) works() iter.Seq[*lane.Work] {
	return func(yield func(*lane.Work) bool) {
		for _, it := range t.items {
			if !yield(it.trial.work) {
				return
			}
		}
	}
}

// enter says whether all that was passed has to be answered before it is written:
// suspects have no company but their like, and large records have none.
func (t *transaction) enter(it *item) (settle bool) {
	group := it.trial.group
	if t.packing != asUsual {
		return t.unanswered.Load() > 0
	}
	if group == 0 && t.groups == nil {
		return false
	}
	if t.groups == nil {
		t.groups = make(map[*queue]int)
	}
	settle = t.groups[it.trial.queue] != group && t.unanswered.Load() > 0
	t.groups[it.trial.queue] = group
	return settle
}

// write has client produce what it.trial says.
func (t *transaction) write(client *kgo.Client, it *item, o *Outbox, now time.Time) {
	tr := it.trial
	tr.err = nil
	it.attempts++
	rec := tr.out
	rec.Partition, rec.Timestamp = ByKey, stamp(it.owner, now)
	switch {
	case it.parkedBy != nil:
		rec.Partition = it.shelf
	case tr.queue.kind != own:
		rec.Partition = it.facts.Partition
	}
	if rec.Partition == ByKey && rec.Key == nil {
		rec.Partition = tr.queue.turned(t.turn)
	}
	rec.Context = it
	t.items = append(t.items, it)
	t.unanswered.Add(1)
	tr.queue.unanswered.Add(1)
	client.Produce(o.ctx, rec, t.answered)
}

// answered is franz-go's promise. Nothing may be produced from here.
func (t *transaction) answered(rec *kgo.Record, err error) {
	tr := rec.Context.(*item).trial
	if err != nil {
		tr.err = err
		t.failed.Store(true)
	}
	tr.queue.unanswered.Add(-1)
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
