package deliver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

const (
	// sickAfter is how long a target may make no progress before its records
	// are parked.
	sickAfter = 5 * time.Second
	// sickHeld and sickHeldAfter park sooner what piles up fast: so many records,
	// and none of them answered, or the first of them not written, for so long.
	sickHeld      = 2000
	sickHeldAfter = time.Second

	// backoffMin and backoffMax bound the wait before a failed record is sent
	// again. The upper one bounds how late a target's recovery is noticed.
	backoffMin = 20 * time.Millisecond
	backoffMax = 2 * time.Second

	// keylessFor is how long the refusal of a record without a key stands for those
	// of all others. Each of them would take the time of an answer, in which the
	// others wait. It bounds how late a changed cleanup.policy is noticed.
	keylessFor = time.Second
)

// kind is how a queue treats what it cannot write.
type kind int

const (
	// direct: parks the records of a sick target.
	direct kind = iota
	// again: tries parked records until they are given up.
	again
	// own: the service's own topics; never parks, and never gives up.
	own
)

// queue is the records on their way to one topic.
//
// While all goes well a record is produced as it comes. franz-go fails whatever
// is buffered for a partition together with the one record at fault, so after a
// failure the queue mends: it waits for every answer that is outstanding, sends
// what failed one by one in its order, and only then what has come since. That
// is how nothing overtakes, and how a record that is refused alone, and only
// that one, is a dead letter.
type queue struct {
	o       *Outbox
	topic   string
	kind    kind
	acks    *acks                    // shared with the topic's other queue
	promise func(*kgo.Record, error) // answered: a method value costs an allocation
	used    time.Time                // guarded by Outbox.mu

	missing atomic.Bool // the last record died because there is no such topic

	logged time.Time // owned by mend

	mu       sync.Mutex
	limit    int64     // a batch that is larger is refused
	keyed    bool      // the topic is compacted: a record without a key is refused
	keyless  time.Time // when one was refused last
	inFlight int
	oldest   time.Time // when the first of what is in flight first failed, if it did
	due      int64     // when it was due, in Unix milliseconds
	progress time.Time // of the last write, or when there was first something to write
	failed   []*item   // to be sent again, alone, in this order
	waiting  []*item   // to be sent after that
	mending  bool      // new records wait
	started  bool      // mend runs
	gate     gate      // what stands in parked; see there
	paused   bool      // nothing is sent; see pause
	resumed  time.Time // when it was resumed; what was parked before failed then

	// In transactions records are held by the cycle and not here.
	scouted    scouted
	unanswered atomic.Int32
}

// open makes a new queue ready. Where the topic's limit is not known yet, the queue
// mends until it is: records wait for the answer.
func (q *queue) open(limit int32, keyed bool) {
	if q.o.cfg.TransactionalID != "" {
		q.limit = defaultBatchBytes
		q.scout()
		return
	}
	q.limit, q.keyed = int64(limit), keyed
	if limit > 0 {
		return
	}
	q.limit = defaultBatchBytes
	q.mending, q.started = true, true
	q.o.wg.Go(func() {
		q.learn(0)
		q.mend()
	})
}

// learn looks up the topic's limit; see Outbox.learn.
func (q *queue) learn(need int64) (news bool) {
	news = q.o.learn(q.topic, need)
	limit, keyed := q.o.limit(q.topic), !q.o.takesKeyless(q.topic)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limit, q.keyed = int64(limit), keyed
	return news
}

// send writes it behind everything that came before.
func (q *queue) send(it *item, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.enter(it, now)
}

// sendAll writes items behind everything that came before.
func (q *queue) sendAll(items []item, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range items {
		q.enter(&items[i], now)
	}
}

// enter needs q.mu.
func (q *queue) enter(it *item, now time.Time) {
	switch {
	case q.gate.closed && !q.gate.reopening:
		q.park(it)
	case q.gate.closed:
		q.hold(it)
	default:
		q.pass(it, now)
	}
}

// hold has it wait behind what is being mended, or parked. It needs q.mu.
func (q *queue) hold(it *item) {
	if it.since.IsZero() {
		it.since = time.Now()
	}
	q.waiting = append(q.waiting, it)
}

// pass sends it when its turn has come. It needs q.mu.
func (q *queue) pass(it *item, now time.Time) {
	switch {
	case q.expired(it, now):
	case q.keyed && q.kind != own && it.rec.Key == nil && now.Sub(q.keyless) < keylessFor:
		q.o.Bury(it.owner, it.src, it.facts, Refusal{levels.Rejected, fmt.Sprintf(
			"deliver to %s: %v", q.topic, errKeyless)}, it.attempts)
	case q.mending:
		q.hold(it)
	case q.paused:
		q.setAside(it)
	case batchBytes(it.rec) > q.limit:
		q.mendAlone(it, kerr.MessageTooLarge)
	case q.keyed && q.kind != own && it.rec.Key == nil:
		q.mendAlone(it, errKeyless)
	case q.acks.sendAlone(it.rec.Key, q.partition(it)):
		q.mendAlone(it, errDoubted)
	default:
		q.produce(it, now)
	}
}

// errKeyless is what is known of a record before it is sent.
var errKeyless = fmt.Errorf("%w (the topic is compacted, and the record has no key)", kerr.InvalidRecord)

// mendAlone sends it alone, as if it had failed with err. In a batch with others it
// would have them refused too, and what comes behind could overtake them before we
// hear of it. It needs q.mu.
func (q *queue) mendAlone(it *item, err error) {
	now := time.Now()
	if q.inFlight == 0 {
		q.progress = now
	}
	if it.since.IsZero() {
		it.since = now
	}
	it.err = err
	q.failed = append(q.failed, it)
	q.mending = true
	q.startMending()
}

// partition is where it is to be written, or ByKey.
func (q *queue) partition(it *item) int32 {
	switch {
	case it.parkedBy != nil:
		return it.shelf
	case q.kind != own:
		return it.facts.Partition
	}
	return ByKey
}

// produce needs q.mu.
func (q *queue) produce(it *item, now time.Time) {
	if q.inFlight == 0 {
		q.progress, q.oldest, q.due = now, it.since, it.facts.Due
	}
	q.inFlight++
	it.attempts++
	// franz-go has written the partition that it chose into a record that was
	// tried before.
	it.rec.Partition, it.rec.Timestamp = q.partition(it), now
	it.rec.Context = it
	q.o.client.Produce(q.o.ctx, it.rec, q.promise)
}

// answered is franz-go's promise: in the order of each partition, and never
// while another runs. Nothing may be produced from here.
func (q *queue) answered(rec *kgo.Record, err error) {
	it := rec.Context.(*item)
	alone := it.alone // mend may set it anew as soon as it has started
	if err == nil && !q.acks.believe(rec, alone != nil) {
		err = errNotWritten
	}
	now := time.Now()
	q.mu.Lock()
	q.inFlight--
	if err == nil {
		q.progress = now
		if q.missing.Load() {
			q.missing.Store(false)
		}
	} else if alone == nil {
		it.err = err
		if it.since.IsZero() {
			it.since = now
		}
		q.failed = append(q.failed, it)
		q.mending = true
	}
	q.startMending()
	q.mu.Unlock()
	if alone != nil {
		alone <- err
	} else if err == nil {
		q.o.written(q.kind, it, now)
		if it.batch != nil {
			it.batch.arrived()
		}
	}
}

// startMending starts mend when all answers are in. It needs q.mu.
func (q *queue) startMending() {
	if q.mending && !q.started && q.inFlight == 0 && q.o.ctx.Err() == nil {
		q.started = true
		q.o.wg.Go(q.mend)
	}
}

// mend settles what failed, then lets go what has waited.
func (q *queue) mend() {
	backoff := backoffMin
	proved := false // the topic has just taken a record
	for q.o.ctx.Err() == nil {
		it := q.firstFailed(proved)
		if it == nil {
			return
		}
		if !it.owner.Live() {
			q.settled(it) // its partition is another instance's: so is the record
			q.o.dropped(it)
			continue
		}
		if q.expired(it, time.Now()) {
			q.settled(it)
			continue
		}
		if it.err = q.sendAlone(it); it.err == nil {
			q.settled(it)
			q.o.written(q.kind, it, time.Now())
			if it.rec.Key == nil && !q.o.takesKeyless(q.topic) {
				q.learn(0) // it is compacted no more
			}
			proved, backoff = true, backoffMin
			continue
		}
		proved = false
		if q.resolve(it) {
			backoff = backoffMin
			continue
		}
		q.retryLog(it)
		select {
		case <-time.After(backoff/2 + rand.N(backoff/2)):
		case <-q.o.ctx.Done():
		}
		backoff = min(2*backoff, backoffMax)
	}
}

// firstFailed returns what to send next. When nothing is left to be sent alone,
// or the target is sick, it lets everything go and ends the mending. proved says
// that the topic takes records again: what failed for the topic's sake need not
// be sent alone.
func (q *queue) firstFailed(proved bool) *item {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sick(time.Now()) || q.paused && q.kind == direct && len(q.failed)+len(q.waiting) > 0 {
		q.closeGate(ByKey)
	}
	if !q.gate.closed && !q.paused && len(q.failed) > 0 && !(proved && !slices.ContainsFunc(q.failed, (*item).suspect)) {
		return q.failed[0]
	}
	items := append(q.failed, q.waiting...)
	q.failed, q.waiting, q.mending, q.started = nil, nil, false, false
	for _, it := range items {
		q.release(it)
	}
	return nil
}

// release lets go an item that was held back. It needs q.mu.
func (q *queue) release(it *item) {
	switch {
	case !it.owner.Live():
		q.o.dropped(it)
	case q.gate.closed:
		q.park(it)
	default:
		q.pass(it, time.Now())
	}
}

// suspect says that the record itself may be at fault for its failure.
func (it *item) suspect() bool {
	c, _ := classify(it.err)
	return c == size || c == refused || c == partitions
}

// sick says whether the target has made no progress for too long. It needs q.mu.
func (q *queue) sick(now time.Time) bool {
	if q.kind != direct {
		return false
	}
	held := q.inFlight + len(q.failed) + len(q.waiting)
	idle := now.Sub(q.progress)
	return held > 0 && (idle >= sickAfter || q.paused && idle >= sickHeldAfter || held >= sickHeld && max(idle, q.behind(now)) >= sickHeldAfter)
}

// behind is how long the first of what is mended has waited. A target that refuses
// many single records makes progress, and may never catch up; one whose records are
// sent alone because of doubts will. It needs q.mu.
func (q *queue) behind(now time.Time) time.Duration {
	switch {
	case q.acks.trying():
		return 0
	case len(q.failed) > 0:
		return now.Sub(q.failed[0].since)
	case len(q.waiting) > 0:
		return now.Sub(q.waiting[0].since)
	}
	return 0
}

// overdue says whether a parked record should be given up that franz-go keeps
// trying to write, without telling us. It needs q.mu.
func (q *queue) overdue(now time.Time) bool {
	if q.paused && q.kind == again && q.inFlight > 0 && now.Sub(q.progress) >= sickHeldAfter {
		return true // or it would be sent whenever its target takes it
	}
	return q.kind == again && q.inFlight > 0 &&
		(now.Sub(q.oldest) >= q.o.cfg.GiveUp || TooLate(q.o.cfg.MaxLate, q.due, nil, now) != nil) &&
		(q.mending || now.Sub(q.progress) >= sickAfter)
}

// settled takes it off the head of what failed.
func (q *queue) settled(it *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.failed) > 0 && q.failed[0] == it {
		q.failed = q.failed[1:]
	}
}

// sendAlone sends it with nothing beside it, and waits for the answer.
func (q *queue) sendAlone(it *item) error {
	it.alone = make(chan error, 1)
	q.mu.Lock()
	progress := q.progress
	q.produce(it, time.Now())
	q.progress = progress // trying is no progress
	q.mu.Unlock()
	err := <-it.alone
	it.alone = nil
	return err
}

// resolve decides what the failure of it, sent alone, means. It returns false
// when the record has to be sent again after a while.
func (q *queue) resolve(it *item) bool {
	class, code := classify(it.err)
	age := time.Since(it.since)
	switch class {
	case stale:
		q.acks.forget()
		q.o.purge(q.topic)
		return false
	case size:
		if q.learn(batchBytes(it.rec)) {
			q.o.purge(q.topic) // franz-go reads limits when it first sees a partition
			return true
		}
	case partitions:
		n, err := q.o.partitions(q.topic)
		if err != nil || it.facts.Partition < n {
			q.o.client.ForceMetadataRefresh()
			return false
		}
		it.err = fmt.Errorf("%s %d: the topic has %d partitions", levels.HeaderPartition, it.facts.Partition, n)
	case refused:
		if it.rec.Key == nil {
			q.refusedKeyless(it)
		}
	case denied:
		if q.kind == own {
			return false
		}
	case missing:
		if wait := q.o.cfg.MissingTargetWait; q.kind == own || wait == 0 || age < wait {
			return false
		}
	case passing:
		if q.kind != again || age < q.o.cfg.GiveUp {
			return false
		}
	}
	if it.code != "" {
		return false // a dead letter that is refused itself: it stops its partition, loudly
	}
	q.bury(class, code)
	return true
}

// refusedKeyless finds out whether it was refused because the topic is compacted.
func (q *queue) refusedKeyless(it *item) {
	q.learn(0)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.keyed && errors.Is(it.err, kerr.InvalidRecord) {
		it.err, q.keyless = errKeyless, time.Now()
	}
}

// bury makes a dead letter of the first that failed and, where the fault is the
// topic's and not the record's, of those behind it that failed in the same way
// and are as old as that needs. An error that is passing is the topic's when no
// broker has answered.
func (q *queue) bury(why class, code levels.Code) {
	q.mu.Lock()
	n := 1
	var patience time.Duration
	switch why {
	case missing:
		patience = q.o.cfg.MissingTargetWait
	case passing:
		patience = q.o.cfg.GiveUp
	}
	if why == missing || why == denied || why == passing && unanswered(q.failed[0].err) {
		for n < len(q.failed) {
			it := q.failed[n]
			c, _ := classify(it.err)
			if c != why || time.Since(it.since) < patience || why == passing && !unanswered(it.err) {
				break
			}
			n++
		}
	}
	dead := q.failed[:n:n]
	q.failed = q.failed[n:]
	q.progress = time.Now() // those that are left have not been tried
	q.mu.Unlock()
	q.missing.Store(why == missing)
	for _, it := range dead {
		q.o.dropped(it)
		if why == passing && unanswered(it.err) {
			it.err = fmt.Errorf("not acknowledged for %v", time.Since(it.since).Round(time.Second))
		}
		if it.owner.Live() {
			q.o.Bury(it.owner, it.src, it.facts, *undelivered(code, q.topic, it.err), it.attempts)
		}
	}
}

// empty says that the queue can be forgotten.
func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.inFlight == 0 && !q.mending && !q.gate.closed && len(q.waiting) == 0
}
