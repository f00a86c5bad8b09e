package deliver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/lane"
	"github.com/delayd-io/delayd/internal/metrics"
)

// heldEvery is how often it is looked whether records that are held may go: what
// they wait for is looked up at the broker.
const heldEvery = 10 * time.Millisecond

// cycle runs one transaction after the other. What it has taken from its post it
// keeps, in order, until a transaction with it is committed; one that is aborted
// leaves everything to the next.
//
// A transaction writes a run of records of every partition that they come from,
// without a gap, so that the offsets that it commits are those of what it writes.
// So nothing is sent again within one, as a queue does that mends: whatever fails
// aborts it, and what was found out about the record or the target decides how the
// next treats it (see judge). Targets that cannot be written are the other cycle's,
// which tries what is parked: there, once a target has failed, a transaction is for one
// partition, and for one target of one that has failed, until none rests any more.
type cycle struct {
	o       *Outbox
	kind    kind // direct, or again
	post    *post
	offsets *lane.TxnCommitter

	producers *producers

	unstable atomic.Bool // offsets of the group have been pending for long

	pending []*item
	last    *queue        // of the record that was routed last
	unknown int           // names that this pass has asked for
	present string        // the topic that was seen last to have a queue
	resting map[any]*rest // sources and queues that wait before they are tried again
	aborts  int           // in a row
	turn    int32         // of the next transaction
	heavy   bool          // the last transaction was one of large records: small ones come first
}

// rest is the wait of a source, or of the queue of one of the service's own topics.
type rest struct {
	until   time.Time
	backoff time.Duration
}

func (o *Outbox) newCycle(k kind, post *post, committer *lane.TxnCommitter, name string) *cycle {
	return &cycle{
		o: o, kind: k, post: post, offsets: committer, resting: make(map[any]*rest),
		producers: newProducers(o, committer.Group(), o.cfg.TransactionalID, name),
	}
}

// run runs transactions until the outbox ends.
func (c *cycle) run() {
	defer c.producers.close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for c.o.ctx.Err() == nil {
		if c.unstable.Swap(false) {
			c.producers.rewriteMarkers(c.o.ctx)
		}
		c.forget()
		c.take()
		wait, soon := c.transact()
		if !soon {
			timer.Reset(wait)
			select {
			case <-c.post.ready:
			case <-timer.C:
			case <-c.o.ctx.Done():
			}
		} else if wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-c.o.ctx.Done():
			}
		}
	}
}

// take empties the post.
func (c *cycle) take() {
	c.present = ""
	for _, b := range c.post.take(nil) {
		for i := range b.items {
			c.foresee(&b.items[i])
			c.pending = append(c.pending, &b.items[i])
		}
	}
}

// transact runs a transaction with what may go. It returns how long to wait before
// the next; unless soon that wait ends with new records.
func (c *cycle) transact() (wait time.Duration, soon bool) {
	t := newTransaction()
	t.light, t.turn = c.heavy, c.turn
	c.pass(t)
	if t.light && len(t.items) == 0 && t.fault == nil {
		t.light = false
		c.pass(t)
	}
	c.heavy = t.packing != asUsual
	if len(t.items) == 0 && t.fault == nil {
		switch {
		case len(c.pending) == 0:
			return time.Hour, false
		case c.kind == again:
			return 5 * heldEvery, false
		}
		return heldEvery, false
	}
	c.turn = (c.turn + 1) & 0xffff
	c.gather(t)
	if !c.settle(t) {
		c.abort(t)
	} else if c.commit(t) {
		c.aborts = 0
		return 0, true
	}
	c.aborts++
	c.o.cfg.Metrics.Transactions.WithLabelValues(metrics.Aborted).Inc()
	return c.backoff(), true
}

// backoff is the wait behind an abort: none behind the first, which has shown what
// the next has to treat otherwise, and ever more where that does not help.
func (c *cycle) backoff() time.Duration {
	const free = 6 // to find a record among ten thousand
	if c.aborts <= free {
		return 0
	}
	wait := min(backoffMin<<min(c.aborts-free, 10), backoffMax)
	return wait/2 + rand.N(wait/2)
}

// gather passes on what comes until all is answered, for a short time.
func (c *cycle) gather(t *transaction) {
	end := time.NewTimer(txnGather)
	defer end.Stop()
	for !t.broken() && !t.full() {
		select {
		case <-c.post.ready:
			c.take()
			c.pass(t)
		case <-t.news:
			if t.unanswered.Load() == 0 {
				return
			}
		case <-end.C:
			return
		case <-c.o.ctx.Done():
			return
		}
	}
}

// pass writes what may go of what is pending, and leaves the rest: behind a record
// that has to wait, its whole source does. Meanwhile the topics of what has to wait are
// looked up, so that a source is not held up by one name after the other.
func (c *cycle) pass(t *transaction) {
	now := time.Now()
	c.last, c.unknown, c.present = nil, 0, ""
	var held map[any]bool
	kept := c.pending[:0]
	for i, it := range c.pending {
		if t.broken() || t.full() {
			kept = append(kept, c.pending[i:]...)
			break
		}
		if !it.owner.Live() {
			continue // its partition is another instance's: so is the record
		}
		if len(held) > 0 && held[it.trial.source] {
			if c.unknown > 0 && c.unknown < lookupNames {
				c.foresee(it)
			}
			kept = append(kept, it)
			continue
		}
		if it.trial.work.Refused() || c.keeps(t, it, now) || !c.route(it, now) || !c.write(t, it, now) {
			if held == nil {
				held = make(map[any]bool)
			}
			held[it.trial.source] = true
			kept = append(kept, it)
		}
	}
	clear(c.pending[len(kept):])
	c.pending = kept
}

// keeps says whether it has to wait for its source's rest; or for a transaction of its
// own source, while any rests; or of its own target, while it has to be found out which
// of them made the source rest.
func (c *cycle) keeps(t *transaction, it *item, now time.Time) bool {
	if len(c.resting) == 0 {
		return false
	}
	r := c.resting[it.trial.source]
	switch {
	case r != nil && now.Before(r.until):
		return true
	case c.kind != again, len(t.items) == 0:
		return false
	}
	first := t.items[0]
	return first.trial.source != it.trial.source || r != nil && first.facts.Topic != it.facts.Topic
}

// write writes it as it was routed. It returns false where it has not been, and is
// to be kept.
func (c *cycle) write(t *transaction, it *item, now time.Time) bool {
	if !t.suits(it) || c.rests(t, it.trial.queue, now) {
		c.unpark(it)
		return false
	}
	if len(t.items) == 0 {
		t.packing = it.trial.packing
		if t.fault = c.begin(t); t.fault != nil {
			c.unpark(it)
			return false
		}
		t.began = now
	}
	// Suspects have no company but their like on their topic, so that it is known
	// who is at fault. A large record has a batch of its own.
	if t.enter(it) && !c.settle(t) {
		c.unpark(it)
		return false
	}
	t.bytes += batchBytes(it.trial.out)
	t.write(t.producer.client, it, c.o, now)
	return true
}

// rests reports whether the topic, one of the service's own, waits before its next
// attempt. Then one record of a transaction tries it.
func (c *cycle) rests(t *transaction, q *queue, now time.Time) bool {
	r := c.resting[q]
	if r == nil {
		return false
	}
	if now.Before(r.until) || t.tries[q] {
		return true
	}
	if t.tries == nil {
		t.tries = make(map[*queue]bool)
	}
	t.tries[q] = true
	return false
}

// begin begins a transaction.
func (c *cycle) begin(t *transaction) (err error) {
	t.producer, err = c.producers.acquire(c.o.ctx, t.packing)
	if err != nil && hopeless(err) {
		c.offsets.Fail(fmt.Errorf("exactly-once delivery: %w", err))
	}
	return err
}

// settle waits for all answers. It returns false where one is a failure, or where
// none comes any more: then t has its fault.
func (c *cycle) settle(t *transaction) bool {
	within := t.answerWithin()
	timer := time.NewTimer(within)
	defer timer.Stop()
	left := t.unanswered.Load()
	for t.unanswered.Load() > 0 && !t.broken() {
		select {
		case <-t.news:
		case <-c.o.ctx.Done():
			t.fault = c.o.ctx.Err()
		case <-timer.C:
			now := t.unanswered.Load()
			if now == left {
				t.fault = errNoAnswer
			}
			left = now
			timer.Reset(within)
		}
	}
	return !t.broken()
}

// errNoAnswer says that a transaction was not answered in time.
var errNoAnswer = errors.New("no answer")

// commit commits t with the offsets of its records, or leaves everything to the
// next transaction.
func (c *cycle) commit(t *transaction) bool {
	p, e := t.producer, &ender{c: c, t: t}
	outcome, err := c.offsets.CommitTxn(c.o.ctx, t.works(), e)
	switch {
	case outcome == lane.Committed:
		if t.fault == nil {
			p.noteCommitted(t)
		}
		p.last, p.markersUncertain = lane.Committed, t.fault != nil
		c.producers.release()
		c.settled(t)
	case !e.doubted:
		t.fault = err
		c.abort(t)
	case outcome == lane.Aborted:
		p.last = lane.Aborted
		c.producers.release()
		c.requeue(t)
	}
	return outcome == lane.Committed
}

// ender is a transaction that the consumer commits with its offsets: see lane.Txn.
type ender struct {
	c       *cycle
	t       *transaction
	doubted bool
}

// Commit implements lane.Txn.
func (e *ender) Commit(offsets *kmsg.TxnOffsetCommitRequest) (lane.Outcome, *kmsg.TxnOffsetCommitResponse, error) {
	p := e.t.producer
	p.parts = e.t.partitions()
	refused, err := p.commit(e.c.o.ctx, offsets)
	e.t.fault = err
	switch {
	case err == nil && p.proves(e.t):
		return lane.Committed, nil, nil
	case err == nil:
		return lane.Unknown, nil, errInDoubt
	case errors.Is(err, errInDoubt):
		return lane.Unknown, nil, err
	}
	return lane.Aborted, refused, err
}

// Decide implements lane.Txn. A new producer with the same id has the broker decide how
// the transaction ended, if it has not.
func (e *ender) Decide(ctx context.Context) error {
	e.doubted = true
	p := e.t.producer
	if p.last = lane.Unknown; e.t.fault == nil {
		return nil
	}
	e.c.o.log.Warn().Err(e.t.fault).Msg("transaction in doubt: asking the broker")
	p.last = p.awaitOutcome(ctx)
	return p.reopen(ctx)
}

// Unstable implements lane.Txn.
func (e *ender) Unstable(ctx context.Context) { e.t.producer.settleMarkers(ctx) }

// settled tells everyone but the owners that t is committed.
func (c *cycle) settled(t *transaction) {
	c.o.cfg.Metrics.Transactions.WithLabelValues(metrics.Committed).Inc()
	now := time.Now()
	for _, it := range t.items {
		if len(c.resting) > 0 {
			delete(c.resting, it.trial.source)
			delete(c.resting, it.trial.queue)
		}
		k := it.trial.queue.kind
		c.o.count(k, it, it.trial.out, now)
		it.batch.arrived()
	}
}

// abort ends t, and learns from it.
func (c *cycle) abort(t *transaction) {
	if len(t.items) == 0 {
		return // it could not be begun
	}
	hung := errors.Is(t.fault, errNoAnswer)
	var silent []*queue // that have given no answer
	if hung {
		silent = t.silent()
	}
	answered := int64(len(t.items)) > t.unanswered.Load()
	p := t.producer
	certain := p.abort(c.o.ctx)
	for t.unanswered.Load() > 0 {
		<-t.news // the client has been told to drop everything
	}
	p.last, p.parts = lane.Aborted, t.partitions() // at the latest by the next client of its id
	c.o.log.Debug().Err(t.fault).Int("records", len(t.items)).Msg("transaction aborted")
	if !certain {
		c.producers.brokerGone()
	}
	if hung || !certain {
		c.producers.retire()
	} else {
		c.producers.release()
	}
	if hung {
		// Without any answer it may have been the id that hung, and not the targets:
		// then they get another chance.
		if answered || c.aborts > 0 || c.kind == again {
			c.hangs(t, silent)
		}
	} else if !t.alien() {
		c.judge(t)
	}
	c.requeue(t)
}

// silent returns the queues that have not answered all.
func (t *transaction) silent() []*queue {
	var qs []*queue
	seen := make(map[*queue]bool)
	for _, it := range t.items {
		if q := it.trial.queue; !seen[q] && q.unanswered.Load() > 0 {
			seen[q] = true
			qs = append(qs, q)
		}
	}
	return qs
}

// requeue puts the records of t in front of what is pending.
func (c *cycle) requeue(t *transaction) {
	for _, it := range t.items {
		c.unpark(it)
	}
	c.pending = append(t.items, c.pending...)
}

// unpark forgets that it was to be parked.
func (c *cycle) unpark(it *item) {
	c.o.dropped(it)
	it.parkedBy = nil
}
