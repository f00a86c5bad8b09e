package deliver

import (
	"fmt"
	"time"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/target"
	"github.com/delayd-io/delayd/levels"
)

// route decides what is written for it, and where. It returns false while that
// has to wait.
func (l *txnLoop) route(it *item, now time.Time) bool {
	st := it.txn
	st.packing = asUsual
	l.o.expire(it, now)
	if st.refusal != nil && it.code == "" {
		l.o.toDeadLetter(it, *st.refusal)
	}
	q, r := l.find(it, now)
	switch {
	case r != nil:
		return l.deadLetter(it, *r)
	case q == nil:
		return false
	}
	r, wait := l.admit(q, it, now)
	switch {
	case wait:
		return false
	case r != nil:
		return l.deadLetter(it, *r)
	}
	return l.pack(it)
}

// find returns the queue of its topic: none while the broker has to be asked for the topic. One
// is made only for a topic that exists, or that may be waited for. What is parked has
// been waited for already.
func (l *txnLoop) find(it *item, now time.Time) (*queue, *Refusal) {
	topic, k := it.rec.Topic, l.kind
	if it.put || it.code != "" {
		k = own
	}
	if l.last != nil && l.last.topic == topic && l.last.kind == k {
		return l.last, nil
	}
	if k == direct && !l.o.has(topic, k) {
		info, known := l.o.topics.lookup(topic, now)
		switch {
		case !known:
			l.o.topics.want(topic)
			l.unknown++
			return nil, nil
		case info.missing() && !l.o.topics.await(topic):
			return nil, notAwaited(topic, info.err)
		case info.err != nil && !info.missing():
			code := target.CodeOf(info.err)
			return nil, undelivered(code, topic, info.err)
		}
	}
	l.last = l.o.queue(topic, k, now)
	return l.last, nil
}

// notAwaited is why a record for a missing target is a dead letter at once.
func notAwaited(topic string, err error) *Refusal {
	code := target.CodeOf(err)
	return undelivered(code, topic, fmt.Errorf("%w (not waited for: %d other missing targets are)", err, maxAwaited))
}

// lookAhead looks up the topic of a record that will be written later.
func (l *txnLoop) lookAhead(it *item) {
	topic := it.rec.Topic
	if l.kind != direct || it.put || it.code != "" || topic == l.present {
		return
	}
	if l.o.has(topic, direct) {
		l.present = topic
		return
	}
	if _, known := l.o.topics.lookup(topic, time.Now()); !known {
		l.o.topics.want(topic)
		l.unknown++
	}
}

// admit decides whether it is written to q, or parked (then its txnState says so), or
// refused, or has to wait.
func (l *txnLoop) admit(q *queue, it *item, now time.Time) (r *Refusal, wait bool) {
	lq := q.lock()
	defer lq.unlock()
	it.txn.queue, it.txn.out = q, it.rec
	switch {
	case q.describing:
		q.o.topics.want(q.topic) // it may have been dropped
		return nil, true
	case q.kind == own && q.metadata.err != nil:
		if lq.lost(it, now) {
			return undelivered(target.CodeOf(q.metadata.err), q.topic, q.metadata.err), false
		}
		lq.awaitOwn(now)
		return nil, true
	case q.target.State() == target.HalfOpen || lq.holds(it):
		return nil, true
	case q.target.Parked():
		return nil, !l.toParked(lq, it, now)
	case q.kind == direct && q.metadata.missing():
		if now.Sub(q.metadata.at) >= metadataMaxAge {
			lq.lookUp()
			return nil, true
		}
		if !q.o.topics.await(q.topic) {
			return notAwaited(q.topic, q.metadata.err), false
		}
		lq.closeGate(ByKey, q.metadata.err)
		return nil, !l.toParked(lq, it, now)
	case it.code != "":
		return nil, false // it has nowhere else to go
	}
	return lq.refuses(it, now)
}

// lost reports whether a level's topic has been missing for so long that a record for it
// is a dead letter: it would hold up the inbox for ever. The wait counts for the topic and
// not for the record, because the records of a source wait one after the other here.
func (q *lockedQueue) lost(it *item, now time.Time) bool {
	if it.since.IsZero() {
		it.since = q.metadata.gone
	}
	class, _ := target.Classify(q.metadata.err)
	return class == target.Missing && now.Sub(q.metadata.at) < metadataMaxAge && q.self().overdue(it, class, now)
}

// awaitOwn looks up one of the service's own topics again and again, which nothing can
// be written to. To try would make everybody wait.
func (q *lockedQueue) awaitOwn(now time.Time) {
	if now.Sub(q.metadata.at) < metadataMaxAge {
		return
	}
	q.o.cfg.Metrics.Retried.Inc()
	q.o.targetLog.Warn().Err(connect.GrantWrite(q.metadata.err, q.topic)).Str("topic", q.topic).
		Msg("cannot write to one of the service's own topics; records for it wait")
	q.lookUp()
}

// deadLetter routes it to the dead letters. It returns false while that has to wait.
func (l *txnLoop) deadLetter(it *item, r Refusal) bool {
	l.o.toDeadLetter(it, r)
	it.txn.queue, it.txn.out = l.o.deadQueue, it.rec
	return !l.o.deadQueue.busy() && l.pack(it)
}

// pack decides how what is written for it is sent. What may be larger than its topic
// takes is sent alone, and compressed: the broker has the last word. It returns false
// while it has to wait.
func (l *txnLoop) pack(it *item) bool {
	st := it.txn
	n, limit := record.BatchBytes(st.out), st.queue.bound()
	switch {
	case n <= limit:
		return true
	case n <= record.MaxBatchBytes:
		st.packing = packingOf(it.src)
		return true
	case it.code != "":
		it.shorten(limit)
		st.out = it.rec
		return true
	}
	l.unpark(it)
	return l.deadLetter(it, *undelivered(levels.TooLarge, st.queue.topic,
		fmt.Errorf("%w (%d bytes before compression; at most %d can be sent)", errTooLarge, n, int64(record.MaxBatchBytes))))
}

// bound is the topic's limit as far as it is known.
func (q *queue) bound() int64 {
	lq := q.lock()
	defer lq.unlock()
	return q.limit
}

// shorten cuts a dead letter down that is too large for its topic: to the limit as it
// is known, and then as far as it goes. It returns false where that was done before.
func (it *item) shorten(limit int64) bool {
	st := it.txn
	if st.letter == nil {
		st.letter = it.rec
		if it.rec = record.Fit(st.letter, limit); it.rec != st.letter {
			return true
		}
	}
	if record.BatchBytes(it.rec) <= record.MinLetterBytes {
		return false
	}
	it.rec = record.Fit(st.letter, record.MinLetterBytes)
	return true
}

// toParked parks it.
func (l *txnLoop) toParked(q *lockedQueue, it *item, now time.Time) bool {
	if l.o.parkedQueue.busy() {
		return false
	}
	if it.since.IsZero() {
		it.since = now
	}
	it.facts.Since = it.since.UnixMilli()
	it.parkedBy, it.parkedOn = q.self(), q.gate.placement.partition(it.src)
	it.txn.queue, it.txn.out = l.o.parkedQueue, record.Parked(it.src, l.o.parked, it.facts)
	q.gate.parked.start()
	return true
}

// busy says that the queue, of one of the service's own topics, looks it up, or that the
// topic is not there.
func (q *queue) busy() bool {
	lq := q.lock()
	defer lq.unlock()
	switch {
	case q.describing:
		q.o.topics.want(q.topic) // it may have been dropped
		return true
	case q.metadata.err != nil:
		lq.awaitOwn(time.Now())
		return true
	}
	return false
}

// refuses says whether it is known beforehand that the topic does not take it, or
// that it has to wait until that is known again.
func (q *lockedQueue) refuses(it *item, now time.Time) (r *Refusal, wait bool) {
	s := &q.metadata
	fresh := now.Sub(s.at) < metadataMaxAge
	refuse := func(code levels.Code, err error) (*Refusal, bool) {
		if !fresh {
			q.lookUp()
			return nil, true
		}
		return undelivered(code, q.topic, err), false
	}
	switch {
	case q.kind == again && s.missing():
		if q.self().overdue(it, target.Missing, now) {
			code := target.CodeOf(s.err)
			return refuse(code, s.err)
		}
		if !fresh {
			q.lookUp()
		}
		return nil, true
	case q.kind != own && s.err != nil:
		code := target.CodeOf(s.err)
		return refuse(code, s.err)
	case q.kind != own && it.facts.Partition != ByKey && s.partitions > 0 && it.facts.Partition >= s.partitions:
		return refuse(levels.BadPartition,
			fmt.Errorf("%s %d: the topic has %d partitions", levels.HeaderPartition, it.facts.Partition, s.partitions))
	case q.keyed && q.kind != own && it.rec.Key == nil:
		return refuse(levels.Rejected, errKeyless)
	}
	return nil, false
}

// toDeadLetter makes it a dead letter.
func (o *Outbox) toDeadLetter(it *item, r Refusal) {
	o.logDeadLetter(it.src, it.facts, r)
	it.rec, it.code = record.Dead(it.src, o.dead, it.facts, r, it.attempts), r.Code
	it.txn.refusal, it.txn.group, it.txn.retried = &r, 0, false
}
