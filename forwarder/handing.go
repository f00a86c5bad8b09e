package forwarder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/deliver"
	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/telemetry"
)

const (
	// failureLogs bounds the log lines about failed attempts in a second.
	failureLogs = 10
	// maxDetail bounds, in bytes, what a dead letter repeats of a handler's error.
	maxDetail = 1 << 10
)

// handing hands due records to Go handlers, for programs that own their delay.
type handing struct {
	handler  Handler
	handlers map[string]Handler // by target
	names    levels.Names
	ladder   levels.Ladder
	retry    func(attempt int, err error) (time.Duration, bool)
	policy   levels.RetryPolicy // in place of retry, unless it is empty
	inPlace  bool
	timeout  time.Duration
	atOnce   int // calls for one lane
	maxLate  time.Duration
	outbox   *deliver.Outbox
	metrics  *metrics.Metrics
	tracer   telemetry.Tracer // nil: none
	log      zerolog.Logger

	mu    sync.Mutex
	calls map[context.Context]*calls // by the context of the lane
}

func newHanding(cfg *Config, outbox *deliver.Outbox, counters *metrics.Metrics) *handing {
	h := &handing{
		handler: cfg.Handler, handlers: maps.Clone(cfg.Handlers), names: cfg.Names, ladder: cfg.Ladder,
		retry: cfg.Retry, policy: cfg.RetryPolicy, inPlace: cfg.RetryInPlace, timeout: cfg.Timeout, atOnce: max(cfg.Concurrency, 1),
		maxLate: cfg.MaxLate, outbox: outbox, metrics: counters, tracer: cfg.Tracing,
		log:   cfg.Log.Sample(&zerolog.BurstSampler{Burst: failureLogs, Period: time.Second}),
		calls: make(map[context.Context]*calls),
	}
	switch {
	case h.retry != nil:
	case h.inPlace:
		h.retry = RetryForever
	default:
		h.retry = DefaultRetry
	}
	return h
}

// task is a due record that is handed out.
type task struct {
	*consume.Work
	src     *kgo.Record  // Record, which is nil once the work is done
	facts   levels.Facts // Due is of the record's first wait
	retry   record.Retry
	target  string
	handler Handler
}

// hand takes over a due record. It returns when the next one of the lane may come.
func (h *handing) hand(work *consume.Work, headers *record.Headers, f levels.Facts) {
	src := work.Record
	t := &task{Work: work, src: src, facts: f, retry: headers.Retry(f.Due)}
	if h.policy.Len() > 0 {
		t.retry.Attempts = retried(src, t.retry.Attempts)
	}
	t.facts.Due = t.retry.Due
	var refusal *levels.Refusal
	if t.target, t.handler, refusal = h.resolve(headers); refusal != nil {
		h.outbox.DeadLetter(work, src, t.facts, *refusal, t.retry.Attempts)
		return
	}
	h.callsOf(work).add(t)
}

// resolve returns a record's target and the handler for it.
func (h *handing) resolve(headers *record.Headers) (string, Handler, *levels.Refusal) {
	if r := headers.Misspelt(); r != nil {
		return "", nil, r
	}
	named, _ := headers.Target()
	target := string(named)
	if handler := h.handlers[target]; handler != nil {
		return target, handler, nil
	}
	if h.handler != nil {
		return target, h.handler, nil
	}
	known := strings.Join(slices.Sorted(maps.Keys(h.handlers)), ", ")
	if target == "" {
		return "", nil, &levels.Refusal{Code: levels.NoTarget, Detail: fmt.Sprintf(
			"the record has no %s header and there is no Config.Handler for such; name one of the targets that have a handler: %s",
			levels.HeaderTarget, known)}
	}
	return "", nil, &levels.Refusal{Code: levels.ForbiddenTarget, Detail: fmt.Sprintf(
		"target %s has no handler; the targets that have one: %s", record.Quote(named), known)}
}

// callsOf returns the calls of a work's lane.
func (h *handing) callsOf(work *consume.Work) *calls {
	ctx := work.Context()
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.calls[ctx]
	if c == nil {
		c = newCalls(h.atOnce, h.serve)
		h.calls[ctx] = c
		context.AfterFunc(ctx, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			delete(h.calls, ctx)
		})
	}
	return c
}

// serve calls the handler for a record until it is handled, waits on a level again, or
// is a dead letter, or until the lane ends.
func (h *handing) serve(t *task) {
	leave, ok := inCall.enter(t.Place(), t.Halted())
	if !ok {
		t.Leave()
		return
	}
	defer leave()
	for t.Await() {
		if r := deliver.TooLate(h.maxLate, t.facts.Due, t.Work, time.Now()); r != nil {
			h.outbox.DeadLetter(t.Work, t.src, t.facts, *r, t.retry.Attempts)
			return
		}
		err := h.call(t)
		if err == nil {
			now := time.Now()
			h.metrics.Late(t.facts.Granted, t.Due, t.Clock(now))
			t.Done(now)
			return
		}
		if t.Context().Err() != nil { // the record's next owner hands it out again
			break
		}
		v := h.decide(t, t.retry.Attempts+1, err)
		if v.counts {
			t.retry.Attempts++
		}
		switch {
		case v.refusal != nil:
			h.outbox.DeadLetter(t.Work, t.src, t.facts, *v.refusal, t.retry.Attempts)
			return
		case !h.inPlace:
			h.delay(t, v.wait, err)
			return
		}
		h.failed(t, v.wait, err)
		select {
		case <-time.After(v.wait):
		case <-t.Halted():
		}
	}
	t.Leave()
}

// call calls the handler once.
func (h *handing) call(t *task) error {
	rec := record.Final(t.src, t.facts)
	rec.Topic, rec.Partition, rec.Offset, rec.Timestamp = t.target, t.src.Partition, t.src.Offset, t.src.Timestamp
	id, _ := record.Last(rec.Headers, levels.HeaderID)
	ctx := context.WithValue(h.traced(t.Context(), rec), infoKey{}, Info{
		ID: string(id), Attempt: t.retry.Attempts + 1, Due: time.UnixMilli(t.facts.Due), Level: t.facts.Granted, Target: t.target,
	})
	if h.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, h.timeout, errTimeout)
		defer cancel()
	}
	return guard(func() error { return t.handler(ctx, rec) })
}

// traced returns ctx with the span that sent rec.
func (h *handing) traced(ctx context.Context, rec *kgo.Record) context.Context {
	if h.tracer == nil {
		return ctx
	}
	return h.tracer.Context(ctx, rec)
}

// verdict is what becomes of a record after an attempt that failed.
type verdict struct {
	counts  bool          // as an attempt
	wait    time.Duration // until the next one
	refusal *levels.Refusal
}

// decide says what becomes of a record whose attempt has failed with err.
func (h *handing) decide(t *task, attempt int, err error) (v verdict) {
	if fatal, ok := errors.AsType[*neverError](err); ok {
		return verdict{counts: true, refusal: &levels.Refusal{Code: levels.Rejected,
			Detail: fmt.Sprintf("the handler refuses the record: %s", brief(fatal.err))}}
	}
	if later, ok := errors.AsType[*laterError](err); ok {
		return verdict{wait: later.wait}
	}
	if h.policy.Len() > 0 {
		return h.next(t, attempt, err)
	}
	v.counts = true
	var again bool
	fault := guard(func() error { v.wait, again = h.retry(attempt, err); return nil })
	switch {
	case fault != nil:
		v.refusal = &levels.Refusal{Code: levels.GaveUp,
			Detail: fmt.Sprintf("the handler failed %s: %s; Config.Retry failed too: %s", times(attempt), brief(err), brief(fault))}
	case !again:
		v.refusal = &levels.Refusal{Code: levels.GaveUp,
			Detail: fmt.Sprintf("the handler failed %s: %s", times(attempt), brief(err))}
	}
	return v
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// brief is an error as a dead letter repeats it.
func brief(err error) string {
	text := strings.ToValidUTF8(fmt.Sprint(err), "\ufffd") // which also survives an error that panics
	if len(text) <= maxDetail {
		return text
	}
	return strings.ToValidUTF8(text[:maxDetail], "") + "..."
}

// delay puts a record on the level that is nearest to wait. The lane goes on.
func (h *handing) delay(t *task, wait time.Duration, err error) {
	level, _ := h.ladder.Round(max(wait, h.ladder.First().Delay), levels.Nearest)
	h.failed(t, level.Delay, err)
	f := t.facts
	f.Due = sinceEpoch(t.Clock(time.Now()).Add(level.Delay + cut))
	batch := h.outbox.NewBatch(1)
	batch.Put(t.Work, t.src, record.Again(t.src, h.names.Level(level), f, t.retry), f)
	batch.Send()
}

// failed counts and logs an attempt that is not the last.
func (h *handing) failed(t *task, wait time.Duration, err error) {
	h.metrics.Retried.Inc()
	h.log.Warn().Str("error", brief(err)).Str("origin", record.Origin(t.src)).Int("attempts", t.retry.Attempts).
		Dur("again_in_ms", wait).Msg("handler failed, retrying")
}
