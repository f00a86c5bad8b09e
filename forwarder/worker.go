package forwarder

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/deliver"
	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// worker forwards one level: it says when a record is due and where it goes.
type worker struct {
	delay    time.Duration
	name     string          // of the level
	known    map[string]bool // the names of all levels
	ladder   levels.Ladder
	names    levels.Names
	maxDelay time.Duration
	targets  *record.Targets
	outbox   *deliver.Outbox
	handing  *handing // nil: records go to their targets
	metrics  *metrics.Metrics
	screen   *screen
}

// cut is added because Kafka cuts timestamps to whole milliseconds: without it a
// record could be delivered up to a millisecond early.
const cut = record.CutMs * time.Millisecond

// Due is the record's timestamp plus the level. What the router says in a
// private header can only make that shorter, and on a topic that keeps its
// producers' times so does when the record was first seen: nothing that a
// producer writes can hold up a partition for longer than its level. A record without a
// time waits its level from when it was first seen.
//
// A record that asks for an exact time is due then where that is earlier, or less than the
// first level later. It is handled by its due time, whatever its key is.
func (w *worker) Due(rec *kgo.Record, seen time.Time) (at time.Time, free bool) {
	at, free = w.due(rec, seen)
	w.screen.saw(rec, at)
	return at, free
}

func (w *worker) due(rec *kgo.Record, seen time.Time) (at time.Time, free bool) {
	appended := w.appended(rec, seen)
	ms, exact, routed := record.HopDue(rec.Headers)
	if exact {
		if at, is := w.exactDue(rec, appended, ms, routed); is {
			return at, true
		}
	}
	due := appended.Add(w.delay + cut)
	if routed && time.UnixMilli(ms).Before(due) {
		due = time.UnixMilli(ms)
	}
	return due, false
}

// appended is when the record was appended to the level's topic, as far as that is known.
func (w *worker) appended(rec *kgo.Record, seen time.Time) time.Time {
	if !record.Stamped(rec) && (seen.Before(rec.Timestamp) || record.Timeless(rec)) {
		return seen
	}
	return rec.Timestamp
}

// Handle starts the delivery of due records. A record on its way to an exact time goes to
// its next level.
func (w *worker) Handle(works []*consume.Work) {
	var made *deliver.Batch // nil: what is handed to handlers needs none
	batch := func() *deliver.Batch {
		if made == nil {
			made = w.outbox.NewBatch(len(works))
		}
		return made
	}
	var target string // of the record before: most have the same
	for _, work := range works {
		rec := work.Record
		headers := record.Read(rec.Headers)
		facts, refusal := w.facts(rec, headers, work.Due, work.Seen())
		if facts.Granted == levels.GrantedExact && refusal == nil {
			next, walks, r := w.step(work, headers, &facts)
			if walks {
				w.metrics.Steps.WithLabelValues(next.String()).Inc()
				batch().Put(work, rec, w.hop(rec, headers, next, facts), facts)
				continue
			}
			refusal = r
		}
		if refusal == nil && w.handing != nil {
			w.handing.hand(work, headers, facts)
			continue
		}
		if refusal == nil {
			facts.Topic, facts.Partition, refusal = w.targets.ResolveLike(headers, target)
		}
		if refusal != nil {
			batch().DeadLetter(work, rec, facts, *refusal)
			continue
		}
		target = facts.Topic
		batch().Deliver(work, rec, headers, facts)
	}
	if made != nil {
		made.Send()
	}
}

// facts are what the router found out, or for a record that was written straight
// to the level topic, what that topic says. refusal is why the latter cannot be read.
func (w *worker) facts(rec *kgo.Record, h *record.Headers, due, seen time.Time) (f levels.Facts, refusal *levels.Refusal) {
	f, routed := h.Facts()
	if !routed {
		if refusal = h.MisplacedCancel(); refusal != nil {
			return levels.Facts{Partition: levels.ByKey, Granted: w.name, Accepted: sinceEpoch(rec.Timestamp), Due: sinceEpoch(due)}, refusal
		}
		var exact bool
		if f, exact, refusal = w.exactFacts(rec, h, seen); exact {
			return f, nil
		}
		f = levels.Facts{Accepted: sinceEpoch(rec.Timestamp)}
		if record.Timeless(rec) {
			f.Accepted = sinceEpoch(due.Add(-w.delay - cut))
			f.ID = record.OriginID(rec, 0) // another instance may see it at another time
		}
	}
	if f.Granted == levels.GrantedExact {
		return f, nil
	}
	if !w.known[f.Granted] {
		// Anyone who can write to the level topic can write that header, and it
		// becomes a label of metrics.
		f.Granted = w.name
	}
	f.Partition = levels.ByKey
	f.Due = sinceEpoch(due)
	return f, refusal
}

// sinceEpoch is a time in Unix milliseconds, not below 0. Only a producer's own time
// can be, as where it says that it has none (-1); what our headers say cannot.
func sinceEpoch(t time.Time) int64 { return max(0, t.UnixMilli()) }

// levelNames is the names of a ladder's levels.
func levelNames(ladder levels.Ladder) map[string]bool {
	names := make(map[string]bool, ladder.Len())
	for l := range ladder.All() {
		names[l.String()] = true
	}
	return names
}

// parked delivers records whose targets could not be written when they were due.
type parked struct {
	outbox  *deliver.Outbox
	targets *record.Targets
}

// Due is at once: the outbox waits between attempts, for each target by itself.
func (parked) Due(*kgo.Record, time.Time) (time.Time, bool) { return time.Time{}, false }

// Handle tries the records again.
func (p parked) Handle(works []*consume.Work) {
	batch := p.outbox.NewBatch(len(works))
	for _, w := range works {
		batch.Redeliver(w, w.Record, p.targets)
	}
	batch.Send()
}
