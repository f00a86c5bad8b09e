package deliver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/internal/transact"
)

const (
	// heldEvery is how often held records are re-checked; what they wait for has to be
	// asked of the broker. Parked records are re-checked less often.
	heldEvery       = 10 * time.Millisecond
	heldParkedEvery = 5 * heldEvery
	// idleWait is how long a loop without records waits for some.
	idleWait = time.Hour
)

// txnLoop runs one transaction after the other, each in the order of this file: take,
// write, await, commit, settle. It keeps the records that it has taken, in order, until a
// transaction with them is committed; one that is aborted leaves all to the next.
//
// A transaction writes a run of records of every partition that they come from, in the
// order in which they became due and without a gap. So what it commits of a partition is
// exactly what it writes. And nothing is sent again within one: whatever fails aborts it,
// and what was found out about the record or the target decides how the next treats it
// (see afterAbort). Records of targets that cannot be written are parked, and are the other
// loop's, which tries what is parked.
type txnLoop struct {
	o         *Outbox
	kind      kind // direct, or again
	intake    *intake
	offsets   *consume.TxnCommitter
	producers *transact.Producers

	unstable atomic.Bool // offsets of the group have been pending for long

	pending []*item
	last    *queue // of the record that was routed last
	unknown int    // names that this pass has asked for
	present string // the topic that was seen last to have a queue
	rests   rests  // of sources, and of queues of the service's own topics
	aborts  int    // in a row
	sticky  int32  // of the next transaction
	heavy   bool   // the last transaction was one of large records: small ones come first
}

func (o *Outbox) newTxnLoop(k kind, intake *intake, committer *consume.TxnCommitter, name string) *txnLoop {
	return &txnLoop{
		o: o, kind: k, intake: intake, offsets: committer, rests: make(rests),
		producers: transact.New(o.ctx, transact.Config{
			Group: committer.Group(), Member: o.cfg.TransactionalID, Name: name,
			Client: o.client, Options: o.txnOptions, Log: o.log,
		}),
	}
}

// run runs transactions until the outbox ends.
func (l *txnLoop) run() {
	defer l.producers.Close()
	timer := time.NewTimer(idleWait)
	defer timer.Stop()
	for l.o.ctx.Err() == nil {
		if l.unstable.Swap(false) {
			l.producers.RewriteMarkers(l.o.ctx)
		}
		l.forget()
		l.take()
		wait, soon := l.transact()
		news := l.intake.ready
		if soon {
			if wait == 0 {
				continue
			}
			news = nil // the wait is not cut short
		}
		timer.Reset(wait)
		select {
		case <-news:
		case <-timer.C:
		case <-l.o.ctx.Done():
		}
	}
}

// transact runs a transaction with the records that may go. It returns how long to wait
// before the next; unless soon that wait ends with new records.
func (l *txnLoop) transact() (wait time.Duration, soon bool) {
	t := newTransaction(selection{parked: l.kind == again, light: l.heavy, rests: l.rests}, l.sticky)
	l.write(t)
	if t.light && t.empty() {
		t.light = false
		l.write(t)
	}
	l.heavy = t.first.packing != asUsual
	if t.empty() {
		switch {
		case len(l.pending) == 0:
			return idleWait, false
		case l.kind == again:
			return heldParkedEvery, false
		}
		return heldEvery, false
	}
	l.sticky = (l.sticky + 1) & 0xffff
	l.gather(t)
	if l.await(t) {
		l.commit(t)
	}
	return l.settle(t), true
}

// take empties the intake.
func (l *txnLoop) take() {
	l.present = ""
	for _, b := range l.intake.take(nil) {
		for i := range b.items {
			l.lookAhead(&b.items[i])
			l.pending = append(l.pending, &b.items[i])
		}
	}
}

// write writes the pending records that may go, and keeps the rest: after a record that
// has to wait, its whole source does. Meanwhile the topics of what has to wait are asked
// for, so that a source is not held up by one name after the other.
func (l *txnLoop) write(t *transaction) {
	now := time.Now()
	l.last, l.unknown, l.present = nil, 0, ""
	var held map[any]bool
	kept := l.pending[:0]
	for i, it := range l.pending {
		if t.broken() || t.full() {
			kept = append(kept, l.pending[i:]...)
			break
		}
		if !it.owner.Live() {
			continue // its partition is another instance's: so is the record
		}
		if l.withdraw(it, now) {
			continue
		}
		source := it.txn.source
		if len(held) > 0 && held[source] {
			if l.unknown > 0 && l.unknown < lookupNames {
				l.lookAhead(it)
			}
			kept = append(kept, it)
			continue
		}
		if it.txn.work.Refused() || t.keeps(source, it.facts.Topic, now) || !l.route(it, now) || !l.writeOne(t, it, now) {
			if held == nil {
				held = make(map[any]bool)
			}
			held[source] = true
			kept = append(kept, it)
		}
	}
	clear(l.pending[len(kept):])
	l.pending = kept
}

// writeOne writes a record as it was routed. It returns false where it has not been, and
// is to be kept.
func (l *txnLoop) writeOne(t *transaction, it *item, now time.Time) bool {
	c := it.candidate()
	if !t.suits(c, now) {
		l.unpark(it)
		return false
	}
	if t.records == 0 {
		t.first = c
		if t.fault = l.begin(t, c.packing); t.fault != nil {
			l.unpark(it)
			return false
		}
	}
	if t.alone(c) && t.unanswered.Load() > 0 && !l.await(t) {
		l.unpark(it)
		return false
	}
	t.write(it, c, l.o, now)
	return true
}

// begin begins a transaction.
func (l *txnLoop) begin(t *transaction, packing packing) (err error) {
	t.producer, err = l.producers.Acquire(l.o.ctx, int(packing))
	if err != nil && transact.Hopeless(err) {
		l.offsets.Fail(fmt.Errorf("exactly-once delivery: %w", err))
	}
	return err
}

// gather writes what comes until all is answered, for a short time.
func (l *txnLoop) gather(t *transaction) {
	end := time.NewTimer(txnGather)
	defer end.Stop()
	for !t.broken() && !t.full() {
		select {
		case <-l.intake.ready:
			l.take()
			l.write(t)
		case <-t.news:
			if t.unanswered.Load() == 0 {
				return
			}
		case <-end.C:
			return
		case <-l.o.ctx.Done():
			return
		}
	}
}

// errNoAnswer says that a transaction was not answered in time.
var errNoAnswer = errors.New("no answer")

// await waits for all answers. It returns false where one is a failure, or where none
// comes any more: then t has its fault.
func (l *txnLoop) await(t *transaction) bool {
	within := t.answerWithin()
	timer := time.NewTimer(within)
	defer timer.Stop()
	left := t.unanswered.Load()
	for t.unanswered.Load() > 0 && !t.broken() {
		select {
		case <-t.news:
		case <-l.o.ctx.Done():
			t.fault = l.o.ctx.Err()
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

// commit commits t with the offsets of its records, if it can.
func (l *txnLoop) commit(t *transaction) {
	e := t.producer.Ending(l.o.ctx, t.partitions())
	t.outcome, t.fault = l.offsets.CommitTxn(l.o.ctx, t.works(), e)
	t.ended = e.Ended(t.outcome)
}

// settle gives the producer back and the records to whom they belong now: to their owners,
// or to the next transaction. It returns how long to wait before that.
func (l *txnLoop) settle(t *transaction) (wait time.Duration) {
	switch {
	case t.outcome == consume.Committed:
		l.producers.Release()
		l.committed(t)
		l.aborts = 0
		return 0
	case t.ended && t.outcome == consume.Aborted:
		l.producers.Release()
		l.requeue(t)
	case t.ended: // the outcome stays unknown: the outbox has ended, and so has the membership
	case len(t.items) > 0: // else it could not be begun
		l.abort(t)
		l.requeue(t)
	}
	l.aborts++
	l.o.cfg.Metrics.Transactions.WithLabelValues(metrics.Aborted).Inc()
	if wait = abortBackoff(l.aborts); wait > 0 {
		wait = wait/2 + rand.N(wait/2)
	}
	return wait
}

// committed tells everyone but the owners that t is committed.
func (l *txnLoop) committed(t *transaction) {
	l.o.cfg.Metrics.Transactions.WithLabelValues(metrics.Committed).Inc()
	now := time.Now()
	for _, it := range t.items {
		if len(l.rests) > 0 {
			l.rests.end(it.txn.source)
			l.rests.end(it.txn.queue)
		}
		k := it.txn.queue.kind
		l.o.count(k, it, it.txn.out, now)
		it.batch.arrived()
	}
}

// abort ends t, and learns from it.
func (l *txnLoop) abort(t *transaction) {
	end := aborted{
		silent: errors.Is(t.fault, errNoAnswer), answered: int64(len(t.items)) > t.unanswered.Load(),
		former: l.aborts, parked: l.kind == again,
	}
	silent := t.silent() // before the client drops what has no answer
	end.certain = t.producer.Abort(l.o.ctx, func() map[string][]int32 {
		for t.unanswered.Load() > 0 {
			<-t.news // the client has been told to drop everything
		}
		return t.partitions()
	})
	end.foreign = t.foreign()
	l.o.log.Debug().Err(t.fault).Int("records", len(t.items)).Msg("transaction aborted")
	if !end.certain {
		l.producers.BrokerGone()
	}
	if end.retires() {
		l.producers.Retire()
	} else {
		l.producers.Release()
	}
	switch end.blames() {
	case failures:
		l.afterAbort(t)
	case silentOnes:
		l.hangs(t, silent)
	}
}

// requeue puts the records of t in front of what is pending.
func (l *txnLoop) requeue(t *transaction) {
	for _, it := range t.items {
		l.unpark(it)
	}
	l.pending = append(t.items, l.pending...)
}

// unpark forgets that it was to be parked.
func (l *txnLoop) unpark(it *item) {
	l.o.dropped(it)
	it.parkedBy = nil
}
