package router

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/deliver"
	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// worker moves the records of the inbox through the policy.
type worker struct {
	policy  Policy
	outbox  *deliver.Outbox
	metrics *metrics.Metrics
	clamps  zerolog.Logger // at most clampLogs a second

	marker     marker
	maxCancels int64
}

// clampLogs bounds the log lines about clamped requests in a second.
const clampLogs = 1

func newWorker(cfg *Config, outbox *deliver.Outbox, counters *metrics.Metrics, marker marker) *worker {
	return &worker{
		marker: marker, maxCancels: cfg.MaxCancels,
		policy: cfg.Policy, outbox: outbox, metrics: counters,
		clamps: cfg.Log.Sample(&zerolog.BurstSampler{Burst: clampLogs, Period: time.Second}),
	}
}

// Due is at once: nothing waits in the inbox.
func (*worker) Due(*kgo.Record, time.Time) (time.Time, bool) { return time.Time{}, false }

// Handle moves records to where they wait, to their target, or to the dead letters.
func (w *worker) Handle(works []*consume.Work) {
	now := time.Now()
	last := works[len(works)-1] // its record is gone once it is done
	w.metrics.RouterLag.Set(max(0, last.Clock(now).Sub(last.Record.Timestamp).Seconds()))
	done, ok := w.cancels(works, now)
	if !ok {
		for _, work := range works {
			work.Leave()
		}
		return
	}
	last.Noted()
	batch := w.outbox.NewBatch(len(works))
	for i, work := range works {
		if done != nil && done.settles(i, work, batch) {
			continue
		}
		rec := work.Record
		headers := record.Read(rec.Headers)
		theirs := work.Clock(now)
		d := w.policy.decide(rec, headers, accepted(rec, theirs), theirs)
		switch d.Kind {
		case Dead:
			batch.DeadLetter(work, rec, d.Facts, *d.Refusal)
			continue
		case AtOnce:
			batch.Deliver(work, rec, headers, d.Facts)
		default:
			batch.Put(work, rec, d.Record, d.Facts)
		}
		w.observe(rec, &d)
	}
	batch.Send()
}

// accepted is when the broker took the record. Where the inbox keeps its
// producers' times, one that lies ahead counts as now, and so does none; one before
// 1970 counts as 1970.
func accepted(rec *kgo.Record, now time.Time) time.Time {
	switch epoch := time.UnixMilli(0); {
	case record.Stamped(rec):
	case rec.Timestamp.After(now), record.Timeless(rec):
		return now
	case rec.Timestamp.Before(epoch):
		return epoch
	}
	return rec.Timestamp
}

// observe counts what was granted, and by how much it differs from the request.
func (w *worker) observe(rec *kgo.Record, d *Decision) {
	w.metrics.Routed.WithLabelValues(d.Facts.Granted).Inc()
	if d.Attempt > 0 {
		w.metrics.Retries.Inc()
	}
	if d.Facts.Granted == levels.GrantedExact {
		if d.Kind == ToLevel {
			w.metrics.Steps.WithLabelValues(d.Level.String()).Inc()
		}
		return
	}
	if d.Asked == 0 {
		return
	}
	granted := time.Duration(d.Facts.Due-d.Facts.Accepted-cutMs) * time.Millisecond
	w.metrics.Rounding.WithLabelValues(d.Facts.Granted).Observe((granted - d.Asked).Abs().Seconds())
	if d.Clamped {
		w.metrics.Clamped.WithLabelValues(d.Facts.Granted).Inc()
		asked, _ := record.Last(rec.Headers, levels.HeaderLevel)
		w.clamps.Warn().Str("asked", record.Quote(asked)).Str("granted", d.Facts.Granted).Str("origin", record.Origin(rec)).
			Msg("request above the last level was shortened to it")
	}
}
