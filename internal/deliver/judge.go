package deliver

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/target"
	"github.com/delayd-io/delayd/levels"
)

// hungMax bounds the wait before one of the service's own topics is tried again that
// gives no answer.
const hungMax = 8 * time.Second

var (
	errMissing  = kerr.UnknownTopicOrPartition
	errTooLarge = kerr.MessageTooLarge
)

// alien says that the transaction failed for what has nothing to do with any record:
// its producer, the group, or the end of the outbox.
func (t *transaction) alien() bool {
	for _, it := range t.items {
		if foreign(it.trial.err) {
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

// judge decides by what failed in t how the next transaction treats records and
// targets.
func (l *txnLoop) judge(t *transaction) {
	failed := make(map[*queue][]*item)
	var order []*queue
	for _, it := range t.items {
		if foreign(it.trial.err) {
			continue
		}
		q := it.trial.queue
		if failed[q] == nil {
			order = append(order, q)
		}
		failed[q] = append(failed[q], it)
		if it.since.IsZero() {
			it.since = time.Now()
		}
		it.err = it.trial.err
		l.o.cfg.Metrics.Retried.Inc()
	}
	for _, q := range order {
		l.judgeQueue(q, failed[q])
	}
}

// judgeQueue judges what failed on one topic: the first that failed tells what the
// others may only have failed with.
func (l *txnLoop) judgeQueue(q *queue, failed []*item) {
	it := failed[0]
	class, code := target.Classify(it.trial.err)
	l.o.targetLog.Warn().Err(it.trial.err).Str("topic", q.topic).Str("origin", record.OriginOf(&it.facts, it.src)).Int("records", len(failed)).
		Msg("send: transaction aborted")
	if q.kind == own && class != target.Size && class != target.Refused {
		if class == target.Stale || class == target.Missing {
			l.producers.Purge(q.topic)
			q.mu.Lock()
			q.scout()
			q.mu.Unlock()
		}
		l.rest(q, time.Now()) // what has to be written there waits, and nothing else
		return
	}
	switch class {
	case target.Size:
		if it.trial.packing != asUsual {
			l.suspect(q, failed, code) // the broker has seen it compressed
			return
		}
		l.producers.Purge(q.topic) // franz-go reads limits when it first sees a partition
		q.mu.Lock()
		q.scout()
		q.mu.Unlock()
		if len(failed) == 1 && !it.trial.retried {
			it.trial.retried, it.trial.group = true, suspectGroups
			return
		}
		l.suspect(q, failed, code)
	case target.Refused:
		l.suspect(q, failed, code)
	case target.Partitions:
		l.producers.Refresh()
		q.mu.Lock()
		q.scout()
		q.mu.Unlock()
	case target.Denied:
		l.producers.Purge(q.topic) // or the client asks for it for ever
		l.sick(q, failed)
		q.mu.Lock()
		q.scout() // whether it may be known decides how long it is waited for
		q.mu.Unlock()
	case target.Stale:
		l.producers.Purge(q.topic)
	case target.Missing:
		l.producers.Purge(q.topic)
		q.mu.Lock()
		q.scouted.err, q.scouted.at = errMissing, time.Now()
		q.mu.Unlock()
	default:
		l.sick(q, failed)
	}
}

// suspect has the records sent in smaller groups. One that failed alone is a dead
// letter.
func (l *txnLoop) suspect(q *queue, failed []*item, code levels.Code) {
	if len(failed) > 1 {
		for i, it := range failed {
			it.trial.group = suspectGroup(i, len(failed))
		}
		return
	}
	it := failed[0]
	switch {
	case it.code == "":
		q.mu.Lock()
		it.trial.refusal = q.undelivered(code, it, it.trial.err)
		q.mu.Unlock()
	case code == levels.TooLarge && it.shorten(q.bound()):
		it.trial.retried = false
	default:
		l.o.targetLog.Error().Err(it.trial.err).Str("topic", q.topic).Str("origin", record.OriginOf(&it.facts, it.src)).
			Msg("dead letter refused; its partition waits until the topic takes it")
		l.rest(it.trial.source, time.Now())
	}
}

// hangs judges the targets that have not answered.
func (l *txnLoop) hangs(t *transaction, silent []*queue) {
	for _, q := range silent {
		var items []*item
		for _, it := range t.items {
			if it.trial.queue == q {
				if it.since.IsZero() {
					it.since = time.Now()
				}
				items = append(items, it)
			}
		}
		l.o.targetLog.Warn().Str("topic", q.topic).Int("records", len(items)).
			Msg("send: transaction aborted: no answer")
		l.sick(q, items)
	}
}

// sick has a target's records parked, or what is parked rest and be given up in the
// end.
func (l *txnLoop) sick(q *queue, items []*item) {
	switch q.kind {
	case direct:
		why := items[0].trial.err
		if foreign(why) {
			why = errNotAcknowledged(answerWithin) // franz-go keeps an error that it retries
		}
		q.mu.Lock()
		q.closeGate(ByKey, why)
		q.mu.Unlock()
	case own: // to find that out has made everybody wait
		l.restFor(q, time.Now(), 2*answerWithin, hungMax)
	case again:
		now := time.Now()
		for _, it := range items {
			if now.Sub(it.since) >= l.o.cfg.GiveUp {
				err := it.trial.err
				if foreign(err) {
					err = errNotAcknowledged(now.Sub(it.since))
				}
				code := target.CodeOf(err)
				it.trial.refusal = undelivered(code, q.topic, err)
			}
		}
		l.rest(items[0].trial.source, now)
	}
}

// rest makes a source, or one of the service's own topics, wait, longer each time.
func (l *txnLoop) rest(what any, now time.Time) { l.restFor(what, now, backoffMin, backoffMax) }

func (l *txnLoop) restFor(what any, now time.Time, least, most time.Duration) {
	l.rests.extend(what, now, least, most)
	l.aborts = 0 // the others need not wait
}
