package deliver

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/delayd-io/delayd/internal/target"
	"github.com/delayd-io/delayd/levels"
)

const (
	// askMissing is the interval between two look-ups of a missing topic.
	askMissing = 500 * time.Millisecond
	// missingHeld bounds the records that wait in memory for missing targets, in case
	// somebody is just creating them. More are parked at once.
	missingHeld = 1000
)

// place is what is known of a topic's partitions.
type place struct {
	found   bool      // they are known
	asked   time.Time // when they were last asked for
	answer  error     // why they are not known, as of at
	at      time.Time
	awaited bool // the topic is missing, and counts towards maxAwaited
	held    int  // records that count towards missingHeld
}

// missing reports whether the topic does not exist, as far as we may know.
func (p *place) missing() bool { return target.Absent(p.answer) }

// refused reports whether there can be no topic of that name.
func (p *place) refused() bool { return errors.Is(p.answer, kerr.InvalidTopicException) }

// locate makes it wait until the topic's partitions are known.
func (q *lockedQueue) locate(it *item, now time.Time) {
	q.hold(it, now)
	switch {
	case q.place.asked.IsZero(), q.place.answer != nil && now.Sub(q.place.at) >= absentFor:
		q.ask(now)
	case q.place.answer != nil:
		q.unlocated(now)
	}
}

func (q *lockedQueue) ask(now time.Time) {
	q.place.asked = now
	q.o.producer.Locate(q.topic, q.self())
}

// Located implements produce.Feed.
func (q *queue) Located(partitions int32, err error) {
	lq := q.lock()
	defer lq.unlock()
	now := time.Now()
	if q.kind == direct || q.kind == again {
		lq.count(target.Absent(err))
	}
	q.place.answer, q.place.at = err, now
	if err == nil && partitions > 0 {
		q.place.found = true
		lq.tally()
		if int(partitions) < len(q.lines) {
			lq.unline()
		}
		for len(q.lines) < int(partitions) {
			q.lines = append(q.lines, line{})
		}
		if !q.target.Parked() && q.target.State() != target.Draining {
			lq.releaseWaiting()
		}
		for n := range q.lines {
			if len(q.lines[n].items) > 0 {
				lq.ready(int32(n))
			}
		}
		lq.rotate()
		return
	}
	if q.place.missing() || q.place.refused() {
		q.place.found = false
		lq.unline()
		lq.unlocated(now)
	}
}

// count keeps the number of missing targets that are waited for.
func (q *lockedQueue) count(missing bool) {
	switch {
	case q.place.awaited && !missing:
		q.place.awaited = false
		q.o.missing.Add(-1)
	case missing && !q.place.awaited && q.o.missing.Add(1) <= maxAwaited:
		q.place.awaited = true
	case missing && !q.place.awaited:
		q.o.missing.Add(-1)
	}
}

// tally keeps the number of records that wait for missing targets.
func (q *lockedQueue) tally() {
	n := 0
	if q.place.missing() && q.kind == direct {
		n = len(q.waiting)
	}
	q.o.missingHeld.Add(int64(n - q.place.held))
	q.place.held = n
}

// unline has all records wait until the topic is located anew.
func (q *lockedQueue) unline() {
	var items []*item
	for n := range q.lines {
		q.abandon(int32(n))
		items = append(items, q.lines[n].items...)
	}
	q.lines = nil
	q.waiting = append(items, q.waiting...)
}

// unlocated decides what becomes of records for a topic that is not there, or that
// takes none.
func (q *lockedQueue) unlocated(now time.Time) {
	for _, it := range q.waiting {
		it.err = q.place.answer
		if it.since.IsZero() {
			it.since = now
		}
	}
	if q.kind == own {
		return // asked for again, see tick
	}
	q.tally()
	defer q.tally()
	code := target.CodeOf(q.place.answer)
	switch {
	case q.place.refused():
		q.deadLetterWaiting(len(q.waiting), code)
	case !q.place.missing():
	case !q.place.awaited:
		for _, it := range q.waiting {
			it.err = fmt.Errorf("%w (%d other missing targets are waited for)", it.err, maxAwaited)
		}
		q.deadLetterWaiting(len(q.waiting), code)
	case q.kind == direct && len(q.waiting) > 0 && q.o.missingHeld.Load() > missingHeld && !q.target.Parked():
		q.closeGate(ByKey, q.place.answer)
	default:
		q.expireMissing(now)
	}
}

// expireMissing makes dead letters of the records that have waited long enough for a
// missing topic.
func (q *lockedQueue) expireMissing(now time.Time) {
	code := target.CodeOf(q.place.answer)
	n := 0
	for n < len(q.waiting) && q.self().overdue(q.waiting[n], target.Missing, now) {
		n++
	}
	q.deadLetterWaiting(n, code)
}

// mayExpire reports whether records for a missing topic are given up: those for a
// target, and those for a level that somebody has deleted, which would hold up the
// inbox.
func (q *lockedQueue) mayExpire() bool {
	if q.kind == own {
		return errors.Is(q.place.answer, kerr.UnknownTopicOrPartition) && q.self() != q.o.parkedQueue && q.self() != q.o.deadQueue
	}
	return q.place.missing() && !q.target.Parked()
}

// deadLetterWaiting makes dead letters of the first n records that wait.
func (q *lockedQueue) deadLetterWaiting(n int, code levels.Code) {
	if n == 0 {
		return
	}
	items := q.waiting[:n]
	q.waiting = q.waiting[n:]
	q.held -= n
	q.progressed(time.Now())
	q.tally()
	for _, it := range items {
		q.deadLetter(it, code)
	}
}

// misplaced is called for a record that names a partition which the topic does not
// have, as far as is known.
func (q *lockedQueue) misplaced(it *item, now time.Time) {
	if now.Sub(q.place.at) < absentFor {
		it.err = fmt.Errorf("%s %d: the topic has %d partitions", levels.HeaderPartition, it.facts.Partition, len(q.lines))
		q.deadLetter(it, levels.BadPartition)
		return
	}
	q.hold(it, now) // and those after it, until the answer comes
	q.ask(now)
}

// exists reports whether the topic was found.
func (q *queue) exists() bool {
	lq := q.lock()
	defer lq.unlock()
	return q.place.found || q.o.cfg.TransactionalID != "" && !q.missing.Load()
}

// leave is called when the queue is forgotten.
func (q *queue) leave() {
	lq := q.lock()
	defer lq.unlock()
	lq.count(false)
	q.place.answer = nil
	lq.tally()
	q.place = place{}
	q.o.producer.Leave(q.topic, q)
}
