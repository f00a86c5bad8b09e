// Package forwarder delivers delayed records when they are due.
//
// Delivery is at least once: a record is committed only when its target has
// acknowledged it, or it is a dead letter. So a crash repeats what was delivered
// and not yet committed, and loses nothing; exactly once where Config.Delivery asks
// for it. Never early: a record is due a millisecond after its acceptance plus the
// level's delay, because Kafka cuts times to whole milliseconds.
//
// A program that owns its delay sets Config.Handler, or Handlers: each due record is
// handed to a function, and written to no target. A record whose call fails waits on a
// level again, and is a dead letter in the end; see Config.Retry.
//
// A Forwarder has one worker for each level. What all workers share, the lanes
// that wait and the outbox that delivers, lives in internal/consume and
// internal/deliver.
package forwarder

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/control"
	"github.com/delayd-io/delayd/internal/deliver"
	"github.com/delayd-io/delayd/internal/lifecycle"
	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/levels"
)

// gather is how long records may lie at the broker before they are fetched. It is
// far below the shortest level that there can be, a second.
const gather = 50 * time.Millisecond

// Forwarder forwards the levels of one ladder, and what is left on those that were
// taken out of it.
type Forwarder struct {
	consumer      *consume.Consumer
	outbox        *deliver.Outbox
	transactional bool
	handing       *handing // nil when records go to target topics
	control       *control.Reader
	cancels       *cancels
	once          lifecycle.Once
}

// New returns a forwarder; Run starts it. opts say how to reach the cluster:
// seed brokers, TLS, SASL. New opens no connection and starts no goroutine, so a
// Forwarder that is not run needs no closing.
func New(cfg Config, opts ...kgo.Opt) (*Forwarder, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := connect.Refuse(opts, connect.ForService); err != nil {
		return nil, fmt.Errorf("new forwarder: %w", err)
	}
	counters, err := metrics.Register(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	counters.Expect(cfg.Ladder)
	f := &Forwarder{transactional: cfg.Delivery == ExactlyOnce}
	outbox, err := deliver.NewOutbox(deliver.Config{
		Names:             cfg.Names,
		MissingTargetWait: cfg.MissingTargetWait,
		GiveUp:            cfg.GiveUp,
		MaxLate:           cfg.MaxLate,
		TransactionalID:   deliver.TransactionalID(cfg.Delivery, cfg.Names.ForwarderGroup(), cfg.Instance),
		Compression:       cfg.Compression,
		Cancelled:         func(src *kgo.Record, facts *levels.Facts) bool { return f.cancels.parked(src, facts, counters) },
		Owned:             func() []int32 { return f.consumer.Owned(cfg.Names.Parked()) },
		Log:               cfg.Log,
		Metrics:           counters,
		Tracer:            cfg.Tracing,
	}, opts...)
	if err != nil {
		return nil, err
	}
	f.outbox = outbox
	if cfg.handles() {
		f.handing = newHanding(&cfg, outbox, counters)
	}
	f.cancels = newCancels(&cfg, counters, opts...)
	f.consumer, err = consume.New(consume.Config{
		Group:         cfg.Names.ForwarderGroup(),
		Instance:      cfg.Instance,
		LeaveOnStop:   cfg.LeaveOnStop,
		Topics:        topics(&cfg, outbox, f.handing, counters, f.cancels),
		Discover:      retired(&cfg, outbox, f.handing, counters, f.cancels),
		Budget:        cfg.Budget,
		Gather:        gather,
		PurgeAfter:    cfg.PurgeAfter,
		PurgedGroup:   cfg.Names.PurgedGroup(),
		SkippedGroup:  cfg.Names.SkippedGroup(),
		Transactional: f.transactional,
		ProbeTopic:    cfg.Names.Parked(),
		Unstable:      outbox.Unstable,
		Assigned:      f.assigned,
		Log:           cfg.Log,
		Metrics:       counters,
	}, opts...)
	if err != nil {
		return nil, err
	}
	f.control = control.NewReader(cfg.Names.Control(), cfg.RequireControl, cfg.Log, f.controlled(&cfg, counters), opts...)
	return f, nil
}

// assigned prepares new lanes: what is paused has to be known, and what is parked.
func (f *Forwarder) assigned(ctx context.Context) error {
	if err := f.control.Loaded(ctx); err != nil {
		return err
	}
	if err := f.cancels.loaded(ctx); err != nil {
		return err
	}
	return f.outbox.CloseGates(ctx)
}

// controlled pauses the levels and targets that a state says, and no others.
func (f *Forwarder) controlled(cfg *Config, counters *metrics.Metrics) func(control.State) {
	names, log := cfg.Names, cfg.Log
	var before control.State
	return func(state control.State) {
		f.outbox.Pause(state)
		suspended := make(map[string]bool)
		for key, s := range state {
			if delay, err := levels.ParseDelay(key.Name); key.Kind == control.Level && s.Paused && err == nil {
				suspended[names.Level(levels.Level{Delay: delay})] = true
			}
		}
		f.consumer.Suspend(suspended)
		for _, key := range state.Changed(before) {
			s := state[key]
			if s.Paused {
				log.Info().Str("name", key.Name).Str("reason", s.Reason).Time("since", s.At).Msgf("%s paused", key.Kind)
			} else {
				log.Info().Str("name", key.Name).Msgf("%s resumed", key.Kind)
			}
			switch key.Kind {
			case control.Level:
				counters.Pause(key.Name, "", s.Paused)
			case control.Target:
				counters.Pause("", key.Name, s.Paused)
			}
		}
		before = state
	}
}

// Run forwards until ctx ends. Then it waits up to ten seconds for deliveries and calls of
// a Handler that are in progress, commits them, and returns nil. Any other return is a
// fault that this process cannot heal, such as ErrFenced. A Forwarder runs once: another Run returns an error.
func (f *Forwarder) Run(ctx context.Context) (err error) {
	if err := f.once.Begin(); err != nil {
		return fmt.Errorf("forwarder: %w", err)
	}
	defer func() { f.once.End(err) }()
	if err := f.outbox.Start(); err != nil {
		return err
	}
	defer f.outbox.Close()
	defer f.control.Start(ctx)()
	stopCancels, err := f.cancels.start(ctx)
	if err != nil {
		return fmt.Errorf("forwarder: %w", err)
	}
	defer stopCancels()
	if f.transactional {
		err := f.outbox.Transact(ctx, f.consumer.TxnCommitter(false), f.consumer.TxnCommitter(true))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return f.consumer.Run(ctx)
}

// Ready returns nil when the group is joined and every overdue lane moves. Before Run
// and after it has ended it returns an error that says so.
func (f *Forwarder) Ready() error {
	err := f.once.Running()
	if err == nil {
		err = cmp.Or(f.control.Ready(), f.cancels.gate.Ready(), f.consumer.Ready())
	}
	if err != nil {
		return fmt.Errorf("forwarder: %w", err)
	}
	return nil
}
