package forwarder

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/cancel"
	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/series"
	"github.com/delayd-io/delayd/levels"
)

// cancels is what a forwarder knows of cancelled records; see package cancel.
type cancels struct {
	marks *cancel.Marks
	gate  *cancel.Gate
	inbox string
	log   zerolog.Logger
}

func newCancels(cfg *Config, counters *metrics.Metrics, opts ...kgo.Opt) *cancels {
	keep := cancel.Keep(max(cfg.Ladder.Last().Delay, cfg.MaxDelay))
	marks := cancel.NewMarks(cfg.Names.Cancel(), keep, cfg.Log, counters.CancelsPending, opts...)
	return &cancels{
		marks: marks, inbox: cfg.Names.Inbox(), log: cfg.Log,
		gate: cancel.NewGate(cfg.Names.Inbox(), cfg.Names.RouterGroup(), marks, cfg.Log, opts...),
	}
}

// start begins to read, until stop is called.
func (c *cancels) start(ctx context.Context) (stop func(), err error) {
	stopGate, err := c.gate.Start(ctx)
	if err != nil {
		return nil, err
	}
	stopMarks := c.marks.Start(ctx)
	return func() { stopGate(); stopMarks() }, nil
}

// loaded waits until all marks are known that were written before.
func (c *cancels) loaded(ctx context.Context) error {
	_, err := c.marks.Read(ctx, false)
	return err
}

// parked reports whether a record was cancelled while it was parked.
func (c *cancels) parked(src *kgo.Record, f *levels.Facts, counters *metrics.Metrics) bool {
	if c.marks.Len() == 0 {
		return false
	}
	s := record.SubjectOf(src, f, c.inbox)
	if !c.marks.Hit(&s) {
		return false
	}
	counters.Cancel(f.Granted)
	c.log.Debug().Bytes("id", s.ID).Str("origin", record.OriginOf(f, src)).Msg("record cancelled")
	return true
}

// screen keeps cancelled records of a level from being handled.
type screen struct {
	*cancels
	worker  *worker
	dropped series.Counter
	// ownDue is the latest due time, in Unix milliseconds, of a record with its sender's id
	// that was read. While none is ahead, the index is not searched.
	ownDue atomic.Int64
}

// ownDueSlack is how far this host's clock may be ahead of a broker's while the gate looks
// ahead. With more the first record is late, once, by one look.
const ownDueSlack = 10 * time.Second

// saw notes that a record was read which is due at a time.
func (s *screen) saw(rec *kgo.Record, due time.Time) {
	if s == nil || !record.HasOwnID(rec.Headers) {
		return
	}
	for ms := due.UnixMilli(); ; {
		old := s.ownDue.Load()
		if old >= ms || s.ownDue.CompareAndSwap(old, ms) {
			return
		}
	}
}

// Soon has the gate look if a record with an id of its own can be next.
func (s *screen) Soon() {
	if s.ownDue.Load() > time.Now().Add(-ownDueSlack).UnixMilli() {
		s.gate.Want()
	}
}

// knows reports whether a record may be delivered that is late and was not judged by its due
// time, but by the end of a step before that.
func (s *screen) knows(w *consume.Work, due time.Time) bool {
	return s == nil || !record.HasOwnID(w.Record.Headers) || s.gate.Knows(due, record.CancelPartition(w.Record, s.inbox), w.Clock)
}

// Decide implements consume.Screen. A record with its sender's id waits until all cancels are
// known that hold in any case. One without waits for nothing.
func (s *screen) Decide(w *consume.Work, at consume.Screened) consume.Verdict {
	rec := w.Record
	if s.ownDue.Load() != 0 && record.HasOwnID(rec.Headers) && !s.gate.Knows(w.Due, record.CancelPartition(rec, s.inbox), at.Clock) {
		return consume.Hold
	}
	if s.marks.Len() == 0 {
		return consume.Handle
	}
	subject := record.Read(rec.Headers).Subject(rec, s.inbox, sinceEpoch(s.worker.appended(rec, w.Seen())))
	if !s.marks.Hit(&subject) {
		return consume.Handle
	}
	s.dropped.Inc()
	s.log.Debug().Bytes("id", subject.ID).Str("origin", record.Origin(rec)).Msg("record cancelled")
	return consume.Discard
}
