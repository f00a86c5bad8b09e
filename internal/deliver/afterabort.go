package deliver

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/target"
)

// hungMax bounds the wait before one of the service's own topics is tried again that
// gives no answer.
const hungMax = 8 * time.Second

var (
	errMissing  = kerr.UnknownTopicOrPartition
	errTooLarge = kerr.MessageTooLarge
)

// foreign reports whether the transaction failed for a reason that has nothing to do with
// any record: its producer, the group, or the end of the outbox.
func (t *transaction) foreign() bool {
	for _, it := range t.items {
		if foreign(it.txn.err) {
			continue
		}
		return false
	}
	return true
}

// foreign says that err is not about the record: there is none, or it was dropped
// because of another, or the producer is at fault.
func foreign(err error) bool {
	if err == nil {
		return true
	}
	for _, of := range []error{
		kgo.ErrAborting, kgo.ErrClientClosed, kerr.InvalidProducerEpoch, kerr.ProducerFenced, kerr.UnknownProducerID,
		kerr.InvalidProducerIDMapping, kerr.OutOfOrderSequenceNumber, kerr.InvalidTxnState, kerr.TransactionAbortable,
		kerr.ConcurrentTransactions, kerr.OperationNotAttempted, kerr.TransactionalIDAuthorizationFailed,
	} {
		if errors.Is(err, of) {
			return true
		}
	}
	return false
}

// afterAbort decides by what failed in t how the next transaction treats records and
// targets.
func (l *txnLoop) afterAbort(t *transaction) {
	failed := make(map[*queue][]*item)
	var order []*queue
	for _, it := range t.items {
		if foreign(it.txn.err) {
			continue
		}
		q := it.txn.queue
		if failed[q] == nil {
			order = append(order, q)
		}
		failed[q] = append(failed[q], it)
		if it.since.IsZero() {
			it.since = time.Now()
		}
		it.err = it.txn.err
		l.o.cfg.Metrics.Retried.Inc()
	}
	for _, q := range order {
		l.apply(q, failed[q])
	}
}

// apply does what package target decides about the records that failed on one topic.
// The first that failed tells what the others may only have failed with.
func (l *txnLoop) apply(q *queue, failed []*item) {
	it := failed[0]
	class, code := target.Classify(it.txn.err)
	l.o.targetLog.Warn().Err(it.txn.err).Str("topic", q.topic).Str("origin", record.OriginOf(&it.facts, it.src)).Int("records", len(failed)).
		Msg("send: transaction aborted")
	d := target.Decide(class, q.inTransaction(failed))
	if d.Refresh {
		l.refresh(q, class)
	}
	if class == target.Missing && q.kind != own {
		return // the next attempt decides, by how many missing targets are waited for
	}
	switch d.Action {
	case target.SendAlone:
		l.separate(failed)
	case target.Park:
		l.park(q, failed)
	case target.DeadLetter:
		lq := q.lock()
		it.txn.refusal = lq.undelivered(code, it, it.txn.err)
		lq.unlock()
	case target.Cut:
		if it.txn.retried = false; !it.shorten(q.bound()) {
			l.holdLetter(q, it)
		}
	case target.Hold:
		l.hold(q, failed, class)
	}
}

// inTransaction returns the situation of records that failed in a transaction. One that
// is sent alone once more, after its topic's limit was read, counts as compressed:
// the broker has the last word. Their age is left out: see giveUp.
func (q *queue) inTransaction(failed []*item) target.Situation {
	s, st := q.situation(failed[0]), failed[0].txn
	s.Transaction, s.Alone = true, len(failed) == 1
	s.Compressed = st.packing != asUsual || s.Alone && st.retried
	return s
}

// refresh has the topic of a queue looked up, and the clients ask for it anew: franz-go
// reads limits when it first sees a partition, and asks for ever for a topic that it may
// not write to.
func (l *txnLoop) refresh(q *queue, class target.Class) {
	if class == target.Partitions {
		l.producers.Refresh()
	} else {
		l.producers.ForgetTopics(q.topic)
	}
	lq := q.lock()
	defer lq.unlock()
	switch {
	case q.kind == own, class != target.Stale && class != target.Missing:
		lq.lookUp()
	case class == target.Missing:
		q.metadata.err, q.metadata.at = errMissing, time.Now()
	}
}

// separate has the records sent in smaller groups, and one alone.
func (l *txnLoop) separate(failed []*item) {
	if len(failed) == 1 {
		failed[0].txn.retried, failed[0].txn.group = true, suspectGroups
		return
	}
	for i, it := range failed {
		it.txn.group = suspectGroup(i, len(failed))
	}
}

// park has a target's records parked.
func (l *txnLoop) park(q *queue, failed []*item) {
	why := failed[0].txn.err
	if foreign(why) {
		why = errNotAcknowledged(answerWithin) // franz-go keeps an error that it retries
	}
	lq := q.lock()
	defer lq.unlock()
	lq.closeGate(ByKey, why)
}

// hold has records wait where they are.
func (l *txnLoop) hold(q *queue, failed []*item, class target.Class) {
	switch {
	case q.kind == again:
		l.giveUp(q, failed)
	case class == target.Size, class == target.Refused:
		l.holdLetter(q, failed[0])
	default:
		l.rest(q, time.Now()) // what has to be written there waits, and nothing else
	}
}

// holdLetter has a dead letter wait that its topic refuses.
func (l *txnLoop) holdLetter(q *queue, it *item) {
	l.o.targetLog.Error().Err(it.txn.err).Str("topic", q.topic).Str("origin", record.OriginOf(&it.facts, it.src)).
		Msg("dead letter refused; its partition waits until the topic takes it")
	l.rest(it.txn.source, time.Now())
}

// giveUp makes dead letters of the parked records that have failed for too long. The
// partition of the others rests.
func (l *txnLoop) giveUp(q *queue, failed []*item) {
	now := time.Now()
	for _, it := range failed {
		if !q.overdue(it, target.Retriable, now) {
			continue
		}
		err := it.txn.err
		if foreign(err) || target.Unanswered(err) {
			err = errNotAcknowledged(now.Sub(it.since))
		}
		it.txn.refusal = undelivered(target.CodeOf(err), q.topic, err)
	}
	l.rest(failed[0].txn.source, now)
}

// hangs decides how the next transaction treats the targets that have not answered.
func (l *txnLoop) hangs(t *transaction, silent []*queue) {
	for _, q := range silent {
		var items []*item
		for _, it := range t.items {
			if it.txn.queue == q {
				if it.since.IsZero() {
					it.since = time.Now()
				}
				items = append(items, it)
			}
		}
		l.o.targetLog.Warn().Str("topic", q.topic).Int("records", len(items)).
			Msg("send: transaction aborted: no answer")
		switch {
		case q.kind == own: // to find that out has made everybody wait
			l.restFor(q, time.Now(), 2*answerWithin, hungMax)
		case target.Decide(target.Retriable, q.inTransaction(items)).Action == target.Park:
			l.park(q, items)
		default:
			l.giveUp(q, items)
		}
	}
}

// rest makes a source, or one of the service's own topics, wait, longer each time.
func (l *txnLoop) rest(what any, now time.Time) { l.restFor(what, now, backoffMin, backoffMax) }

func (l *txnLoop) restFor(what any, now time.Time, least, most time.Duration) {
	l.rests.extend(what, now, least, most)
	l.aborts = 0 // the others need not wait
}
