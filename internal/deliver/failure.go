package deliver

import (
	"time"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/produce"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/target"
	"github.com/delayd-io/delayd/levels"
)

// failed has a batch sent again after a while: what it failed for may pass.
func (q *lockedQueue) failed(l *line, n int32, err error, now time.Time) {
	l.fail(err, now)
	q.target.Failed()
	q.o.cfg.Metrics.Retried.Add(float64(l.n))
	q.retryLog(l.items[0], now)
	if q.kind == again {
		q.giveUp(l, n, now)
	}
	l.wait(now)
	time.AfterFunc(l.retry.Sub(now), func() {
		if q.o.ctx.Err() == nil {
			q.ready(n)
		}
	})
}

// refused does with a batch that was refused what package target decides: it finds the
// records at fault, and makes them dead letters.
func (q *lockedQueue) refused(l *line, n int32, a produce.Answer, now time.Time) {
	class, code := target.Classify(a.Err)
	l.fail(a.Err, now)
	// If the broker names the records at fault, nothing else is tried with them.
	named := l.n > 1 && len(a.Faulty) > 0 && q.self() != q.o.deadQueue
	s := q.self().situation(l.items[0])
	s.Alone, s.Compressed = l.n == 1 || named, l.batch.Small || named
	d := target.Decide(class, s)
	switch {
	case d.Action == target.Send:
		if d.Refresh {
			q.ask(now)
		}
		q.failed(l, n, a.Err, now)
		if class == target.Retriable {
			l.drop() // the records are stamped anew
		}
	case d.Action == target.SendAlone && l.n > 1:
		q.divide(l, class, now)
	case d.Action == target.SendAlone:
		l.items[0].small = true
		l.drop()
		q.askLimit(l, now)
	case named:
		q.condemn(l, l.pick(a.Faulty), d.Action, code, now)
	default:
		if l.items[0].rec.Key == nil {
			q.keyless = now
		}
		q.condemn(l, l.take(1), d.Action, code, now)
	}
}

// situation returns what package target decides by, of a record alone. Its age is left
// out: see overdue.
func (q *queue) situation(it *item) target.Situation {
	return target.Situation{Kind: q.kind, Letter: it.code != "", Level: q.kind == own && q != q.o.parkedQueue && q != q.o.deadQueue}
}

// overdue reports whether a record has failed for so long that it is a dead letter, for
// an error of that class.
func (q *queue) overdue(it *item, class target.Class, now time.Time) bool {
	if it.since.IsZero() {
		return false
	}
	s := q.situation(it)
	s.Alone, s.Age, s.GiveUp, s.MissingWait = true, now.Sub(it.since), q.o.cfg.GiveUp, q.o.cfg.MissingTargetWait
	return target.Decide(class, s).Action == target.DeadLetter
}

// divide makes the next batch of a line smaller than the one that was refused.
func (q *lockedQueue) divide(l *line, class target.Class, now time.Time) {
	l.most = max(1, l.n/2)
	if class == target.Size {
		q.room, q.lowered = max(l.bytes/2, record.MinBatchBytes), now
	}
	l.drop()
}

// condemn ends the attempts at items, which were refused and are in no line any more:
// each becomes a dead letter or, if it is one, is cut or held by itself.
func (q *lockedQueue) condemn(l *line, items []*item, action target.Action, code levels.Code, now time.Time) {
	l.most = 0
	q.progressed(now) // those that are left have not been tried
	for _, it := range items {
		switch {
		case action == target.DeadLetter:
			q.held--
			q.deadLetter(it, code)
		case action == target.Cut && q.o.shrink(it):
			it.alone = true
			l.items = append([]*item{it}, l.items...)
		default:
			q.held--
			q.aside = append(q.aside, it)
			q.retryLog(it, now)
		}
	}
}

// deadLetter makes it a dead letter, for the error of its last attempt.
func (q *lockedQueue) deadLetter(it *item, code levels.Code) {
	q.o.dropped(it)
	if it.owner.Live() {
		q.o.DeadLetter(it.owner, it.src, it.facts, *q.undelivered(code, it, it.err), it.attempts)
	}
}

// giveUp makes dead letters of the records in front of a line that failed for too
// long.
func (q *lockedQueue) giveUp(l *line, n int32, now time.Time) {
	count := 0
	for count < len(l.items) && q.self().overdue(l.items[count], target.Retriable, now) {
		count++
	}
	if count == 0 {
		return
	}
	q.abandon(n)
	for _, it := range l.take(count) {
		q.held--
		if target.Unanswered(it.err) {
			it.err = errNotAcknowledged(now.Sub(it.since))
		}
		code := target.CodeOf(it.err)
		q.deadLetter(it, code)
	}
	q.progressed(now)
}

// retryLog logs a record that is sent again, at most once a queue and second.
func (q *lockedQueue) retryLog(it *item, now time.Time) {
	if now.Sub(q.logged) < time.Second {
		return
	}
	q.logged = now
	line := q.o.targetLog.Warn
	if q.kind == own { // there are few, and it concerns all
		line = q.o.log.Warn
	}
	line().Err(connect.GrantWrite(it.err, q.topic)).Str("topic", q.topic).Str("origin", record.OriginOf(&it.facts, it.src)).Int("attempts", it.attempts).
		Msg("send: tried again")
}
