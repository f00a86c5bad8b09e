package deliver

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/produce"
	"github.com/delayd-io/delayd/internal/target"
)

const (
	// backoffMin and backoffMax bound the wait before a failed batch is sent
	// again. The upper one bounds how late a target's recovery is noticed.
	backoffMin = 20 * time.Millisecond
	backoffMax = 2 * time.Second
)

// kind is what a queue is for.
type kind = target.Kind

const (
	direct = target.Direct
	again  = target.Redelivery
	own    = target.Own
)

// queue is the records on their way to one topic.
//
// At least once, each partition of the topic has a line of its own, and at most one
// batch of it is in flight (package produce). A batch that is refused is cut in
// half until the record at fault stands alone and becomes a dead letter; the records
// after it have not been sent meanwhile. So nothing is ever overtaken.
type queue struct {
	o     *Outbox
	topic string
	kind  kind
	used  time.Time // guarded by Outbox.mu

	mu      sync.Mutex
	target  target.Target
	gate    gate      // what stands in parked; see there
	resumed time.Time // when a pause of it ended; what was parked before failed then

	place    place
	waiting  []*item   // in order, until there is a line for them
	lines    []line    // by partition
	sticky   int       // whose line the next records without a key go to
	held     int       // records in waiting and lines
	inFlight int       // records in batches without an answer
	room     int64     // bytes of a batch before compression
	lowered  time.Time // when the topic refused a batch for its size
	told     int32     // max.message.bytes of the topic; 0: not known
	sized    time.Time // when it was asked for
	keyless  time.Time // when it refused a record without a key
	aside    []*item   // dead letters that their topic refused, each for itself
	asideAt  time.Time // when they were tried again
	logged   time.Time

	// In transactions records are held by the loop and not here.
	missing    atomic.Bool // there is no such topic
	metadata   topicMetadata
	unanswered atomic.Int32
	limit      int64 // a batch that is larger is refused
	keyed      bool  // the topic is compacted: a record without a key is refused
	describing bool  // new records wait until the topic is described
}

// lockedQueue is a queue whose lock is held. What needs the lock is a method of it, so
// that only who has called lock can reach it.
type lockedQueue queue

func (q *queue) lock() *lockedQueue {
	q.mu.Lock()
	return (*lockedQueue)(q)
}

func (q *lockedQueue) unlock() { q.mu.Unlock() }

// self returns the queue, for what keeps or compares it.
func (q *lockedQueue) self() *queue { return (*queue)(q) }

// open makes a new queue ready.
func (q *queue) open() {
	q.room, q.limit = defaultBatchBytes, defaultBatchBytes
	if q.o.cfg.TransactionalID != "" {
		q.openKnown()
	}
}

// send writes it behind everything that came before.
func (q *queue) send(it *item, now time.Time) {
	lq := q.lock()
	defer lq.unlock()
	lq.enter(it, now)
	lq.rotate()
}

// sendAll writes items behind everything that came before.
func (q *queue) sendAll(items []item, now time.Time) {
	lq := q.lock()
	defer lq.unlock()
	for i := range items {
		lq.enter(&items[i], now)
	}
	lq.rotate()
}

func (q *lockedQueue) enter(it *item, now time.Time) {
	switch {
	case !q.target.Parked():
		q.pass(it, now)
	case q.target.Admit(q.inFlight) == target.Park:
		q.park(it)
	default:
		q.hold(it, now)
	}
}

// hold makes it wait until there is a line for it.
func (q *lockedQueue) hold(it *item, now time.Time) {
	q.grow(1, now)
	q.waiting = append(q.waiting, it)
}

// grow counts n more records that the queue holds.
func (q *lockedQueue) grow(n int, now time.Time) {
	if q.held == 0 {
		q.progressed(now)
	}
	q.held += n
}

// progressed notes that the topic takes records, or has to show it from now on.
func (q *lockedQueue) progressed(now time.Time) { q.target.Progressed(now, q.o.passed.Load()) }

// pass puts it into the line of its partition.
func (q *lockedQueue) pass(it *item, now time.Time) {
	action := q.target.Admit(q.inFlight)
	switch {
	case q.expired(it, now):
	case action == target.Park:
		q.closeGate(ByKey, nil)
		q.park(it)
	case len(q.waiting) > 0 || action == target.Hold:
		q.hold(it, now)
	case !q.place.found:
		q.locate(it, now)
	default:
		q.line(it, now)
	}
}

// line puts it into the line of its partition, which is known.
func (q *lockedQueue) line(it *item, now time.Time) {
	n := q.partition(it)
	if int(n) >= len(q.lines) {
		q.misplaced(it, now)
		return
	}
	q.grow(1, now)
	l := &q.lines[n]
	l.items = append(l.items, it)
	if len(l.items) == 1 || !l.sending {
		q.ready(n)
	}
}

// partition is where it is written: where it says, or by its key; without a key
// records take turns.
func (q *lockedQueue) partition(it *item) int32 {
	n := ByKey
	switch {
	case it.parkedBy != nil:
		n = it.parkedOn
	case q.kind != own:
		n = it.facts.Partition
	}
	if n != ByKey {
		return n
	}
	if it.rec.Key == nil {
		return int32(q.sticky % len(q.lines))
	}
	return int32(byKey.Partition(it.rec, len(q.lines)))
}

// byKey chooses a partition as Kafka's own clients do (murmur2). It has no state for
// records with a key.
var byKey = kgo.StickyKeyPartitioner(nil).ForTopic("")

// rotate has the next records without a key go to the next partition. Those that
// come due together stay together, so that batches are large in a release, and
// single ones are spread.
func (q *lockedQueue) rotate() { q.sticky = (q.sticky + 1) & 0xffff }

// Next implements produce.Feed.
func (q *queue) Next(n int32) *produce.Batch {
	lq := q.lock()
	defer lq.unlock()
	if int(n) >= len(q.lines) {
		return nil
	}
	l, now := &q.lines[n], time.Now()
	switch {
	case l.sending || !q.target.Writable() || now.Before(l.retry):
		return nil
	case lq.same(l, now): // by which the broker recognises it
	default:
		lq.abandon(n)
		lq.fill(l, now)
	}
	if l.batch != nil {
		l.sending = true
		q.inFlight += l.n
		for _, it := range l.items[:l.n] {
			it.attempts++
		}
	}
	return l.batch
}

// Answered implements produce.Feed.
func (q *queue) Answered(n int32, b *produce.Batch, a produce.Answer) {
	now := time.Now()
	lq := q.lock()
	if int(n) >= len(q.lines) || q.lines[n].batch != b || !q.lines[n].sending {
		lq.unlock()
		return
	}
	l := &q.lines[n]
	l.sending = false
	q.inFlight -= l.n
	var written []*item
	switch {
	case a.Err == nil && a.Offset < 0 && q == q.o.parkedQueue:
		l.drop() // written, and the gates have to know where: once more
	case a.Err == nil:
		written = lq.written(l, now)
	case produce.Refused(a.Err):
		lq.refused(l, n, a, now)
	default:
		lq.failed(l, n, a.Err, now)
	}
	if q.target.Drained(q.inFlight) {
		lq.closeGate(ByKey, nil)
	}
	if len(q.lines) > int(n) && len(q.lines[n].items) > 0 {
		lq.ready(n)
	}
	lq.unlock()
	for _, it := range written {
		q.o.written(q.kind, it, now)
		if it.batch != nil {
			it.batch.arrived()
		}
	}
	if written != nil {
		b.Free()
	}
}

// ready says that a line has something to send.
func (q *lockedQueue) ready(n int32) { q.o.producer.Ready(q.topic, n, q.self()) }

// written takes the batch of a line off it.
func (q *lockedQueue) written(l *line, now time.Time) []*item {
	items := l.take(l.n)
	q.held -= len(items)
	q.progressed(now)
	if l.backoff > 0 {
		l.backoff = 0
		q.retryFailed(now)
	}
	if l.most > 0 {
		if l.most *= 2; l.most > maxRecords {
			l.most = 0
		}
	}
	return items
}

// retryFailed has the lines that failed tried at once: one of them has succeeded, so that
// what they failed for may have passed. The success of a line that never failed does not
// call for it, or a partition without a leader would be tried as often as the others are.
func (q *lockedQueue) retryFailed(now time.Time) {
	for n := range q.lines {
		if l := &q.lines[n]; now.Before(l.retry) {
			l.retry = now
			q.ready(int32(n))
		}
	}
}

// counts returns the counts that decide whether the target is stalled.
func (q *lockedQueue) counts(now time.Time) target.Counts {
	return target.Counts{Held: q.held, InFlight: q.inFlight, Sent: q.o.passed.Load(), Failing: q.failing(now)}
}

// cause returns why the target makes no progress, as far as its records tell.
func (q *lockedQueue) cause(now time.Time) error {
	first := func(items []*item) error {
		if len(items) == 0 {
			return nil
		}
		return items[0].err
	}
	for i := range q.lines {
		if err := first(q.lines[i].items); err != nil {
			return err
		}
	}
	return cmp.Or(first(q.waiting), errNotAcknowledged(q.target.Idle(now)))
}

// behind is how long the first record that failed has waited. A target that refuses
// many single records makes progress, and may never catch up.
func (q *lockedQueue) failing(now time.Time) (longest time.Duration) {
	first := func(items []*item) {
		if len(items) > 0 && !items[0].since.IsZero() {
			longest = max(longest, now.Sub(items[0].since))
		}
	}
	for i := range q.lines {
		first(q.lines[i].items)
	}
	first(q.waiting)
	return longest
}

// empty reports whether the queue can be forgotten.
func (q *queue) empty() bool {
	lq := q.lock()
	defer lq.unlock()
	return q.held == 0 && !q.describing && !q.target.Parked() && len(q.aside) == 0
}
