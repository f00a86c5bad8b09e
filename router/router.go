package router

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/bounds"
	"github.com/delayd-io/delayd/internal/cancel"
	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/control"
	"github.com/delayd-io/delayd/internal/deliver"
	"github.com/delayd-io/delayd/internal/lifecycle"
	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/telemetry"
)

// gather is how long records may lie in the inbox behind one that was just
// fetched. Their due times are exact whenever they are routed; it is those without
// delay that are late by it.
const gather = 2 * time.Millisecond

// Delivery says what is promised of a record's delivery.
type Delivery = levels.Delivery

const (
	// AtLeastOnce repeats after a crash what was routed and not committed.
	AtLeastOnce = levels.AtLeastOnce
	// ExactlyOnce routes and commits in one transaction.
	ExactlyOnce = levels.ExactlyOnce
)

// ErrFenced says that another process joined with the same instance id and that
// this one may not route any more.
var ErrFenced = consume.ErrFenced

const (
	// PurgeOff and PurgeAtOnce as Config.PurgeAfter are as in package forwarder.
	PurgeOff    = consume.PurgeOff
	PurgeAtOnce = consume.PurgeAtOnce
	// WaitForEver as Config.MissingTargetWait is as in package forwarder.
	WaitForEver = deliver.WaitForEver
)

// Config says what a Router routes and how. A zero value is the default of each field,
// so that the zero Config is the one that DefaultConfig spells out.
type Config struct {
	Policy

	// Instance is the group's static member id (KIP-345). Empty: a dynamic
	// member.
	Instance string
	// LeaveOnStop is as in forwarder.Config.
	LeaveOnStop bool
	// Delivery is as in forwarder.Config: what reaches a target once has to reach
	// its level once.
	Delivery Delivery
	// Compression is as in forwarder.Config, for records without delay; with ExactlyOnce
	// also for those that go to a level.
	Compression kgo.CompressionCodec
	// MissingTargetWait, GiveUp and PurgeAfter are as in forwarder.Config, with the same
	// defaults of 10 s, 24 h and 10 min: the first two for records without delay, the
	// last for the inbox.
	MissingTargetWait time.Duration
	GiveUp            time.Duration
	PurgeAfter        time.Duration
	// MaxLate is as in forwarder.Config, for records without delay, which are due
	// when they are accepted. All others go to their level however late it is.
	MaxLate time.Duration
	// RequireControl is as in forwarder.Config: nothing is routed until then.
	RequireControl bool
	// Budget bounds the bytes fetched ahead. 0: 16 MiB.
	Budget int64
	// MaxCancels bounds how many cancels and replacements may be outstanding: they are kept
	// until no record waits any more that they could be meant for, in the memory of every forwarder. More are dead letters,
	// too-many-cancels. 0: DefaultMaxCancels, 1,000,000.
	MaxCancels int64

	// Log gets what goes wrong and what is worth knowing, such as partitions that come
	// and go, but not the lines of the Kafka clients: for those pass kgo.WithLogger. The
	// zero value logs nothing, so set it. For log/slog see the example of package
	// forwarder.
	Log zerolog.Logger
	// Metrics publishes the counters: delaydprom.Registry makes one for Prometheus. A
	// router and a forwarder may share one. Nil: counted, not published.
	Metrics telemetry.Registry
	// Tracing is as in forwarder.Config.
	Tracing telemetry.Tracer
}

// DefaultConfig returns the configuration that `delayd serve` starts from: the defaults
// that zero values stand for, spelled out.
func DefaultConfig() Config { return Config{}.withDefaults() }

// withDefaults fills the zero values.
func (c Config) withDefaults() Config {
	c.Policy = c.Policy.WithDefaults()
	c.MaxCancels = cmp.Or(c.MaxCancels, DefaultMaxCancels)
	c.bounds().SetDefaults()
	return c
}

// validate names the setting, what was given and what is allowed. It wants a
// configuration that has its defaults.
func (c *Config) validate() error {
	if err := c.bounds().Validate(); err != nil {
		return err
	}
	if c.MaxCancels < 0 {
		return fmt.Errorf("max cancels must be 0 (%d) or more, got %d", DefaultMaxCancels, c.MaxCancels)
	}
	return c.Policy.Validate()
}

// bounds are the settings that a forwarder has, too.
func (c *Config) bounds() bounds.Bounds {
	return bounds.Bounds{
		MissingTargetWait: &c.MissingTargetWait, GiveUp: &c.GiveUp, PurgeAfter: &c.PurgeAfter, MaxLate: &c.MaxLate,
		Budget: &c.Budget, Delivery: &c.Delivery,
	}
}

// Router reads the inbox and puts every record where it waits.
type Router struct {
	consumer      *consume.Consumer
	outbox        *deliver.Outbox
	transactional bool
	control       *control.Reader
	marks         *cancel.Writer
	once          lifecycle.Once
}

// New returns a router; Run starts it. opts say how to reach the cluster. New opens no
// connection and starts no goroutine, so a Router that is not run needs no closing.
func New(cfg Config, opts ...kgo.Opt) (*Router, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := connect.Refuse(opts, connect.ForService); err != nil {
		return nil, fmt.Errorf("new router: %w", err)
	}
	counters, err := metrics.Register(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	counters.Expect(cfg.Ladder)
	outbox, err := deliver.NewOutbox(deliver.Config{
		Names:             cfg.Names,
		MissingTargetWait: cfg.MissingTargetWait,
		GiveUp:            cfg.GiveUp,
		MaxLate:           cfg.MaxLate,
		TransactionalID:   deliver.TransactionalID(cfg.Delivery, cfg.Names.RouterGroup(), cfg.Instance),
		Compression:       cfg.Compression,
		Log:               cfg.Log,
		Metrics:           counters,
		Tracer:            cfg.Tracing,
	}, opts...)
	if err != nil {
		return nil, err
	}
	r := &Router{outbox: outbox, transactional: cfg.Delivery == ExactlyOnce}
	r.marks = cancel.NewWriter(cfg.Names.Cancel(), cancel.Keep(max(cfg.Ladder.Last().Delay, cfg.MaxDelay)), cfg.MaxCancels, cfg.Log, opts...)
	r.consumer, err = consume.New(consume.Config{
		Group:         cfg.Names.RouterGroup(),
		Instance:      cfg.Instance,
		LeaveOnStop:   cfg.LeaveOnStop,
		Topics:        []consume.Topic{{Name: cfg.Names.Inbox(), Label: metrics.Inbox, Handler: newWorker(&cfg, outbox, counters, r.marks)}},
		Budget:        cfg.Budget,
		Gather:        gather,
		PurgeAfter:    cfg.PurgeAfter,
		SkippedGroup:  cfg.Names.SkippedGroup(),
		Transactional: r.transactional,
		Unstable:      outbox.Unstable,
		Assigned:      r.assigned,
		Stalled:       func(_ string, partition int32, offset int64) { r.marks.Stalls(partition, offset) },
		Log:           cfg.Log,
		Metrics:       counters,
	}, opts...)
	if err != nil {
		return nil, err
	}
	r.control = control.NewReader(cfg.Names.Control(), cfg.RequireControl, cfg.Log, outbox.Pause, opts...)
	return r, nil
}

// assigned prepares new lanes: which targets are paused has to be known, and for
// which records are parked.
func (r *Router) assigned(ctx context.Context) error {
	if err := r.control.Loaded(ctx); err != nil {
		return err
	}
	return r.outbox.CloseGates(ctx)
}

// Run routes until ctx ends, lets records in flight end in a bounded time,
// commits it, and returns nil. Any other return is a fault that this process
// cannot heal, such as ErrFenced. A Router runs once: another Run returns an error.
func (r *Router) Run(ctx context.Context) (err error) {
	if err := r.once.Begin(); err != nil {
		return fmt.Errorf("router: %w", err)
	}
	defer func() { r.once.End(err) }()
	if err := r.outbox.Start(); err != nil {
		return err
	}
	defer r.outbox.Close()
	closeMarks, err := r.marks.Start()
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	defer closeMarks()
	defer r.control.Start(ctx)()
	if r.transactional {
		err := r.outbox.Transact(ctx, r.consumer.TxnCommitter(false), nil)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return r.consumer.Run(ctx)
}

// Ready returns nil when the group is joined and an inbox that is behind moves. Before
// Run and after it has ended it returns an error that says so.
func (r *Router) Ready() error {
	err := r.once.Running()
	if err == nil {
		err = cmp.Or(r.control.Ready(), r.consumer.Ready())
	}
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	return nil
}
