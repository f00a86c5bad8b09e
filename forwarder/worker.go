package forwarder

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/deliver"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// worker forwards one level: it says when a record is due and where it goes.
type worker struct {
	delay   time.Duration
	name    string          // of the level
	known   map[string]bool // the names of all levels
	targets *record.Targets
	outbox  *deliver.Outbox
	handing *handing // nil: records go to their targets
}

// cut is added because Kafka cuts timestamps to whole milliseconds: without it a
// record could be delivered up to a millisecond early.
const cut = time.Millisecond

// Due is the record's timestamp plus the level. What the router says in a
// private header can only make that shorter, and on a topic that keeps its
// producers' times so does when the record was first seen: nothing that a
// producer writes can hold up a partition for longer than its level. A record without a
// time waits its level from when it was first seen.
func (w *worker) Due(rec *kgo.Record, seen time.Time) time.Time {
	due := rec.Timestamp.Add(w.delay + cut)
	if !consume.Stamped(rec) {
		if bound := seen.Add(w.delay + cut); bound.Before(due) || consume.Timeless(rec) {
			due = bound
		}
	}
	if ms, ok := record.HopDue(rec.Headers); ok && time.UnixMilli(ms).Before(due) {
		due = time.UnixMilli(ms)
	}
	return due
}

// Handle starts the delivery of due records.
func (w *worker) Handle(works []*consume.Work) {
	if w.handing != nil {
		for _, work := range works {
			h := record.Read(work.Record.Headers)
			w.handing.hand(work, h, w.facts(work.Record, h, work.Due))
		}
		return
	}
	batch := w.outbox.NewBatch(len(works))
	for _, work := range works {
		rec := work.Record
		headers := record.Read(rec.Headers)
		facts := w.facts(rec, headers, work.Due)
		topic, partition, refusal := w.targets.Resolve(headers)
		if refusal != nil {
			batch.Bury(work, rec, facts, *refusal)
			continue
		}
		facts.Topic, facts.Partition = topic, partition
		batch.Deliver(work, rec, headers, facts)
	}
	batch.Send()
}

// facts are what the router found out, or for a record that was written straight
// to the level topic, what that topic says.
func (w *worker) facts(rec *kgo.Record, h *record.Headers, due time.Time) levels.Facts {
	f, routed := h.Facts()
	if !routed {
		f = levels.Facts{Accepted: sinceEpoch(rec.Timestamp)}
		if consume.Timeless(rec) {
			f.Accepted = sinceEpoch(due.Add(-w.delay - cut))
			f.ID = record.OriginID(rec, 0) // another instance may see it at another time
		}
	}
	if !w.known[f.Granted] {
		// Anyone who can write to the level topic can write that header, and it
		// becomes a label of metrics.
		f.Granted = w.name
	}
	f.Partition = levels.ByKey
	f.Due = sinceEpoch(due)
	return f
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
func (parked) Due(*kgo.Record, time.Time) time.Time { return time.Time{} }

// Handle tries the records again.
func (p parked) Handle(works []*consume.Work) {
	batch := p.outbox.NewBatch(len(works))
	for _, w := range works {
		batch.Redeliver(w, w.Record, p.targets)
	}
	batch.Send()
}
