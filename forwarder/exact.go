package forwarder

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// clockSlack is how far the clocks of two brokers may differ. Beyond it, a record whose
// wait is allowed counts as one with a forged due time.
const clockSlack = time.Minute

// Records that take another step do so together: at the next multiple of stepEvery after the
// end of their level, or of a stepShare of the first level where that is less. What remains
// is at least the first level then and is computed from the due time, so that none is
// delivered later for it. Alone, each would cost the brokers a request and wait for its turn
// among those that are delivered.
const (
	stepEvery = 50 * time.Millisecond
	stepShare = 10
)

// stepAt returns when a record takes its next step whose level is over at end.
func (w *worker) stepAt(end time.Time) time.Time {
	every := max(time.Millisecond, min(stepEvery, w.ladder.First().Delay/stepShare).Truncate(time.Millisecond)).Milliseconds()
	return time.UnixMilli((end.UnixMilli() + every - 1) / every * every)
}

// exactDue returns when a record is to be handled on this level that asks for an exact
// time: then, where it is delivered from here, else when it takes its next step. routed and
// ms are what its hop says. is is false for any other record.
func (w *worker) exactDue(rec *kgo.Record, appended time.Time, ms int64, routed bool) (at time.Time, is bool) {
	if !routed {
		asked, refusal := record.ReadAsked(rec.Headers)
		if refusal != nil {
			return at, false
		}
		if ms, refusal = asked.Due(sinceEpoch(appended), w.maxDelay); refusal != nil {
			return at, false
		}
	}
	due := time.UnixMilli(ms)
	if w.forged(due, appended) {
		return at, false
	}
	if end := appended.Add(w.delay); !w.ladder.LastStep(due.Sub(end)) {
		return w.stepAt(end), true
	}
	return due, true
}

// forged reports whether a due time is further away than that of any record which was
// written to this level then: none was accepted later.
func (w *worker) forged(due, appended time.Time) bool {
	return due.Sub(appended) > w.maxDelay+clockSlack
}

// exactFacts are those of a record that was written straight to the level and asks for an
// exact time. is is false where it does not, or cannot be read: refusal says why.
func (w *worker) exactFacts(rec *kgo.Record, h *record.Headers, seen time.Time) (f levels.Facts, is bool, refusal *levels.Refusal) {
	asked, refusal := h.Asked()
	if refusal == nil && asked.Retry() {
		refusal = w.uncounted()
	}
	if refusal != nil || !asked.Exact() {
		return f, false, refusal
	}
	f = levels.Facts{Partition: levels.ByKey, Granted: levels.GrantedExact, Accepted: sinceEpoch(w.appended(rec, seen))}
	if record.Timeless(rec) {
		f.ID = record.OriginID(rec, 0) // another instance may see it at another time
	}
	due, refusal := asked.Due(f.Accepted, w.maxDelay)
	f.Due = max(due, f.Accepted)
	return f, refusal == nil, refusal
}

// step returns the level that a record waits on next which asks for an exact time, and
// false when it is to be delivered. refusal is why it may not go on.
func (w *worker) step(work *consume.Work, h *record.Headers, f *levels.Facts) (next levels.Level, walks bool, refusal *levels.Refusal) {
	due := time.UnixMilli(f.Due)
	if w.forged(due, w.appended(work.Record, work.Seen())) {
		return next, false, &levels.Refusal{Code: levels.OverMax, Detail: fmt.Sprintf(
			"the due time %s is more than %s after the record was written to the level; raise --max-delay if it was lowered",
			due.UTC().Format(time.RFC3339Nano), levels.FormatDelay(w.maxDelay))}
	}
	rest := due.Sub(work.Clock(time.Now()))
	if !work.Due.Before(due) {
		return next, false, nil
	}
	if rest <= 0 && w.screen.knows(work, due) { // else it waits on the first level until that is known
		return next, false, nil
	}
	if f.ID == "" && w.handing == nil { // nobody has looked at its target yet
		if _, _, refusal := w.targets.Resolve(h); refusal != nil {
			return next, false, refusal
		}
	}
	return w.ladder.Step(rest), true, nil
}

// hop returns the record that waits on the next level. It keeps what is known of earlier
// attempts to handle it.
func (w *worker) hop(rec *kgo.Record, h *record.Headers, next levels.Level, f levels.Facts) *kgo.Record {
	topic := w.names.Level(next)
	if retry := h.Retry(f.Due); retry.Attempts > 0 {
		return record.Again(rec, topic, f, retry)
	}
	return h.Hop(rec, topic, f)
}
