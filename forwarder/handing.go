package forwarder

import (
	"context"
	"fmt"
	"time"

	"github.com/delayd-io/delayd/internal/deliver"
	"github.com/delayd-io/delayd/internal/lane"
	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/levels"
)

// A handler that fails is called again after handBackoffMin, then twice that,
// up to handBackoffMax.
const (
	handBackoffMin = 100 * time.Millisecond
	handBackoffMax = 10 * time.Second
)

// handing hands due records to a Go handler, for programs that own their delay.
// It calls the handler for one record of a partition at a time, in their order,
// and for several partitions at once.
type handing struct {
	ctx      context.Context // ends when Run has waited long enough
	handler  Handler
	attempts int
	maxLate  time.Duration
	outbox   *deliver.Outbox
	metrics  *metrics.Metrics
}

func newHanding(cfg *Config, outbox *deliver.Outbox, counters *metrics.Metrics) *handing {
	return &handing{
		ctx: context.Background(), handler: cfg.Handler, attempts: cfg.Attempts, maxLate: cfg.MaxLate, outbox: outbox, metrics: counters,
	}
}

// hand calls the handler until it returns nil or has been tried often enough;
// then the record is a dead letter.
func (h *handing) hand(work *lane.Work, f deliver.Facts) {
	src := work.Record
	rec := deliver.Final(src, f)
	rec.Topic, rec.Partition, rec.Offset, rec.Timestamp = src.Topic, src.Partition, src.Offset, src.Timestamp
	backoff := handBackoffMin
	for attempt := 1; ; attempt++ {
		if r := deliver.TooLate(h.maxLate, f.Due, work, time.Now()); r != nil {
			h.outbox.Bury(work, src, f, *r, attempt-1)
			return
		}
		err := h.handler(h.ctx, rec)
		switch {
		case err == nil:
			now := time.Now()
			h.metrics.Late(f.Granted, time.UnixMilli(f.Due), work.Clock(now))
			work.Done(now)
			return
		case attempt == h.attempts:
			h.outbox.Bury(work, src, f, deliver.Refusal{
				Code: levels.GaveUp, Detail: fmt.Sprintf("the handler failed %d times: %v", attempt, err),
			}, attempt)
			return
		}
		h.metrics.Retried.Inc()
		select {
		case <-time.After(backoff):
		case <-work.Halted():
			return // the record's next owner hands it out again
		}
		backoff = min(2*backoff, handBackoffMax)
	}
}
