package deliver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/internal/record"
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
	o      *Outbox
	kind   kind // direct, or again
	post   *post
	ledger Ledger

	// writer writes the transaction under way. The two take turns: for some
	// milliseconds after a commit a broker refuses the same id's next transaction, and
	// looks again after 20 (add.partitions.to.txn.retry.backoff.ms). The group keeps
	// what was committed last, whichever id's transaction is marked as ended first.
	writer, next *writer

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

func (o *Outbox) newCycle(k kind, post *post, ledger Ledger, name string) *cycle {
	member := o.cfg.TransactionalID
	return &cycle{
		o: o, kind: k, post: post, ledger: ledger, resting: make(map[any]*rest),
		writer: &writer{o: o, member: member, name: name}, next: &writer{o: o, member: member, name: name + nameNext},
	}
}

// run runs transactions until the outbox ends.
func (c *cycle) run() {
	defer c.close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for c.o.ctx.Err() == nil {
		if c.unstable.Swap(false) {
			c.remark(c.writer)
			c.remark(c.next)
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

// start starts both writers.
func (c *cycle) start(ctx context.Context) error {
	if err := c.writer.start(ctx, c.ledger.Group()); err != nil {
		return err
	}
	return c.next.start(ctx, c.ledger.Group())
}

func (c *cycle) close() {
	c.writer.close()
	c.next.close()
}

// remark has the end of a writer's last transaction marked once more, and says whether
// it has been. The writer can be used then.
func (c *cycle) remark(w *writer) bool {
	if w.last.certain() {
		err := w.remark(c.o.ctx, w.turn, c.ledger.Group(), w.parts, w.last)
		c.o.log.Warn().Err(err).Str("transactional_id", w.id(w.turn)).
			Msg("a broker may not have marked the end of a transaction: it is marked once more")
		if errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.OperationNotAttempted) {
			w.parts = nil // one is gone, or nobody may write there any more: the others are marked by what is written next
		}
		if err != nil {
			return false
		}
	}
	w.unmarked = false
	return w.open(c.o.ctx) == nil // remark has fenced it
}

// purge has both writers learn topics anew.
func (c *cycle) purge(topics ...string) {
	c.writer.purge(topics...)
	c.next.purge(topics...)
}

// refresh has both look up the partitions of their topics.
func (c *cycle) refresh() {
	c.writer.refresh()
	c.next.refresh()
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
		if it.owner.(Claim).Refused() || c.keeps(t, it, now) || !c.route(it, now) || !c.write(t, it, now) {
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
		if t.fault = c.begin(t.packing); t.fault != nil {
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
	t.bytes += record.BatchBytes(it.trial.out)
	t.write(c.writer.client, it, c.o, now)
	return true
}

// errUnmarked says that the end of a producer's last transaction may have yet to be
// marked.
var errUnmarked = errors.New("the end of the last transaction could not be marked once more")

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

// begin begins a transaction, with another producer where this one cannot.
func (c *cycle) begin(p packing) error {
	c.writer.packing = p
	err := errUnmarked
	if !c.writer.unmarked || c.remark(c.writer) {
		err = c.writer.begin(c.o.ctx)
	}
	if err == nil {
		return nil
	}
	c.o.log.Debug().Err(err).Msg("beginning a transaction: its producer is replaced")
	if err = c.writer.move(c.o.ctx, c.ledger.Group()); err == nil {
		err = c.writer.begin(c.o.ctx)
	}
	if err != nil && hopeless(err) {
		c.ledger.Fail(fmt.Errorf("exactly-once delivery: %w", err))
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
	c.ledger.Lock()
	for _, it := range t.items {
		if !it.owner.Live() || it.owner.(Claim).Refused() {
			c.ledger.Unlock()
			t.fault = errors.New("a partition was handed over, or its commits are refused")
			c.abort(t)
			return false
		}
	}
	now := time.Now()
	for _, it := range t.items {
		it.owner.Done(now)
	}
	offsets, n := c.ledger.Handled()
	var refused *kmsg.TxnOffsetCommitResponse
	switch {
	case offsets == nil:
		t.fault = errors.New("no member of the group")
	case n != len(t.items): // never; a record would be lost or come twice
		t.fault = fmt.Errorf("%d records are written, and the offsets of %d would be committed", len(t.items), n)
		c.o.log.Error().Err(t.fault).Msg("transaction aborted")
	default:
		c.writer.parts = t.partitions()
		refused, t.fault = c.writer.commit(c.o.ctx, offsets)
	}
	switch {
	case t.fault == nil && c.writer.sure(t):
		c.ledger.Committed(now)
		c.ledger.Unlock()
		c.writer.learn(t)
		c.settled(t)
		return true
	case t.fault == nil, errors.Is(t.fault, errInDoubt):
		c.ledger.Doubt()
		c.ledger.Unlock()
		return c.resolve(t, now)
	}
	c.undo(t)
	if refused != nil {
		c.ledger.Refused(refused)
	}
	c.ledger.Unlock()
	c.abort(t)
	return false
}

// undo takes Done back.
func (c *cycle) undo(t *transaction) {
	for _, it := range t.items {
		it.owner.(Claim).Undo()
	}
}

// resolve finds out how t ended. A new producer with the same id has the broker
// decide it, if it has not.
func (c *cycle) resolve(t *transaction, from time.Time) (committed bool) {
	w := c.writer
	if t.fault != nil {
		c.o.log.Warn().Err(t.fault).Msg("transaction in doubt: asking the broker")
		w.last = c.ended(w)
		if w.reopen(c.o.ctx) != nil {
			return false // the outbox has ended, and so has the membership
		}
	}
	for since := time.Now(); ; {
		var err error
		if committed, err = c.ledger.Resolve(c.o.ctx); err == nil {
			break
		}
		if errors.Is(err, kerr.UnstableOffsetCommit) && time.Since(since) >= offsets.UnstableFor {
			c.remark(w)
			since = time.Now()
		}
		c.o.log.Debug().Err(err).Msg("transaction in doubt: asking again")
		select {
		case <-time.After(backoffMin):
		case <-c.o.ctx.Done():
			return false
		}
	}
	c.ledger.Lock()
	if committed {
		c.ledger.Committed(from)
	} else {
		c.undo(t)
	}
	c.ledger.Certain()
	c.ledger.Unlock()
	if !committed {
		w.last = aborted
		c.requeue(t)
		return false
	}
	if t.fault == nil {
		c.writer.learn(t)
	}
	c.settled(t)
	w.unmarked = t.fault != nil
	return true
}

// ended is how the transaction has ended that w has just tried to commit. One that is
// still open is aborted by the next producer of its id.
func (c *cycle) ended(w *writer) ending {
	for c.o.ctx.Err() == nil {
		as, err := w.ended(c.o.ctx, w.turn)
		if err == nil {
			if !as.certain() {
				as = aborted
			}
			return as
		}
		c.o.log.Debug().Err(err).Msg("transaction in doubt: asking again")
		select {
		case <-time.After(backoffMin):
		case <-c.o.ctx.Done():
		}
	}
	return unknown
}

// settled tells everyone but the owners that t is committed. The next transaction is
// the other writer's.
func (c *cycle) settled(t *transaction) {
	c.writer.last = committed
	c.writer, c.next = c.next, c.writer
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
	certain := c.writer.abort(c.o.ctx)
	for t.unanswered.Load() > 0 {
		<-t.news // the client has been told to drop everything
	}
	c.writer.last, c.writer.parts = aborted, t.partitions() // at the latest by the next producer of its id
	c.o.log.Debug().Err(t.fault).Int("records", len(t.items)).Msg("transaction aborted")
	if !certain && !hung {
		c.writer.reopen(c.o.ctx)
	}
	// The broker has gone, and may not have marked the end of what came before.
	c.next.unmarked = c.next.unmarked || !certain
	if hung {
		c.writer.move(c.o.ctx, c.ledger.Group())
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
