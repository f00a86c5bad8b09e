package main

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/security"
	"github.com/delayd-io/delayd/router"
)

// serviceFlags say what the service does with records.
type serviceFlags struct {
	grantFlags
	nameFlags
	Delivery          forwarder.Delivery `placeholder:"WHAT" default:"at-least-once" help:"What is promised: at-least-once, or exactly-once to consumers that read what is committed, some 10 ms later (default: ${default})."`
	DefaultTarget     string             `type:"topic" placeholder:"TOPIC" help:"Where records without a delay-target go. Unset: to the dead letters."`
	AllowTarget       []string           `type:"patterns" placeholder:"PATTERN" help:"Targets that may be delivered to, as in \"orders.*\"; repeatable. Unset: all."`
	DenyTarget        []string           `type:"patterns" placeholder:"PATTERN" help:"Targets that may not, whatever is allowed; repeatable."`
	MissingTargetWait time.Duration      `type:"wait" placeholder:"D" default:"${wait}" help:"How long a target that does not exist is waited for; 0 is without end (default: ${default})."`
	GiveUp            time.Duration      `type:"above-zero" placeholder:"D" default:"${give_up}" help:"How long a target may refuse records before they are dead letters (default: ${default})."`
	MaxLate           time.Duration      `type:"max-late" placeholder:"D" default:"off" help:"How long after its due time a record may still be delivered before it is a dead letter (default: ${default})."`
	RequireControl    bool               `help:"Deliver nothing until the control topic has been read. Without it, deliveries start after 30s as if nothing were paused."`
	Compression       string             `type:"choice" enum:"none,gzip,snappy,lz4,zstd" placeholder:"CODEC" default:"none" help:"Codec of what is delivered to targets: ${enum} (default: ${default})."`
	PurgeAfter        time.Duration      `type:"purge" placeholder:"D" default:"${purge}" help:"How long a delivered record stays on its level topic; 0 is not at all, off keeps it (default: ${default})."`
	Partitions        int32              `type:"partitions" placeholder:"N" default:"${partitions}" help:"Partitions of the topics that are created (default: ${default})."`
	NoProvision       bool               `help:"Create no topics: all of them have to be there."`
	clusterFlags
}

// service is the router and the forwarder on one cluster.
type service struct {
	serviceFlags
	brokers  []string
	security security.Config
	instance string // "" joins the groups as a dynamic member
	log      zerolog.Logger
	registry prometheus.Registerer
	ready    *readiness
	tracing  trace.TracerProvider // nil: no spans
	watch    *watch               // set by run
}

// reconnectWait is the pause between attempts to reach the cluster at the start.
const reconnectWait = 2 * time.Second

// publishTimeout bounds one try to publish what the service was started with.
const publishTimeout = 15 * time.Second

// run serves until ctx ends or something fails that cannot heal.
func (s *service) run(ctx context.Context) error {
	secure, err := s.security.Options(s.log)
	if err != nil {
		return usageError{err}
	}
	clients := newClientMetrics(s.registry, s.log)
	opts := func(part string, more ...kgo.Opt) []kgo.Opt {
		opts := append(connect.Options(s.brokers, "delayd-"+part, s.log), secure...)
		return append(append(opts, kgo.WithHooks(clients)), more...)
	}
	cl, err := kgo.NewClient(opts("admin")...)
	if err != nil {
		return fmt.Errorf("connect to %v: %w", s.brokers, err)
	}
	defer cl.Close()
	s.watch = newWatch(s)
	more, err := s.prepare(ctx, cl)
	if err != nil || ctx.Err() != nil {
		return err
	}

	collector := admin.NewCollector(cl, s.watch.spec, s.log)
	s.registry.MustRegister(collector)
	defer func() { cl.Close(); collector.Close() }() // in this order: see Collector.Close
	r, err := router.New(s.routerConfig(), opts("router", more...)...)
	if err != nil {
		return err
	}
	f, err := forwarder.New(s.forwarderConfig(), opts("forwarder", more...)...)
	if err != nil {
		return err
	}

	s.ready.when(r.Ready, f.Ready)
	defer context.AfterFunc(ctx, func() { s.ready.not("stopping") })()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.Run(ctx) })
	g.Go(func() error { return f.Run(ctx) })
	g.Go(func() error { s.watch.run(ctx, cl); return nil })
	g.Go(func() error { s.publish(ctx, cl); return nil })
	return g.Wait()
}

// publish tells the tools what this instance was started with. It tries until that has
// succeeded: without it they only need more flags.
func (s *service) publish(ctx context.Context, cl *kgo.Client) {
	told := ""
	for {
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, publishTimeout)
			defer cancel()
			return admin.Publish(ctx, cl, s.Prefix, admin.Settings{
				Levels: s.Levels, Partitions: s.Partitions, Delivery: s.Delivery.String(), Instance: s.instance,
			})
		}()
		if err == nil || ctx.Err() != nil {
			return
		}
		if told != err.Error() {
			told = err.Error()
			s.log.Info().Err(err).Msg("delayd admin is not told the levels, and needs --levels: tried again")
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchEvery):
		}
	}
}

// prepare waits for the cluster and makes sure that the topics are there and
// right. It returns the options that the cluster needs, and nil too where ctx ends first.
func (s *service) prepare(ctx context.Context, cl *kgo.Client) ([]kgo.Opt, error) {
	for {
		var more []kgo.Opt
		answered, err := s.topics(ctx, cl)
		if err == nil {
			more, err = s.adapt(ctx, cl)
			answered = err == nil
		}
		if ctx.Err() != nil {
			return nil, nil
		}
		if answered {
			return more, err
		}
		reason, warning := "no answer from the cluster: "+err.Error(), s.log.Warn().Err(err).Strs("brokers", s.brokers)
		if hint := s.security.Hint(err); hint != "" {
			reason += "; " + hint
			warning.Str("hint", hint)
		}
		s.ready.not(reason)
		warning.Msg("no answer from the cluster; trying again")
		select {
		case <-ctx.Done():
		case <-time.After(reconnectWait):
		}
	}
}

// topics looks after the topics, and logs what is worth knowing. Where the
// cluster has answered, an error cannot be healed by trying again.
func (s *service) topics(ctx context.Context, cl *kgo.Client) (answered bool, err error) {
	ping, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := cl.Ping(ping); err != nil {
		return false, err
	}
	ensure := admin.Ensure
	if s.NoProvision {
		ensure = admin.Verify
	}
	results, err := ensure(ctx, cl, s.watch.spec)
	var created []string
	unusable := 0
	for _, r := range results {
		switch {
		case r.Outcome == admin.Created:
			created = append(created, r.Topic)
		case r.Outcome == admin.Failed:
			unusable++
			s.log.Error().Str("topic", r.Topic).Str("detail", detail(r)).Msg("topic cannot be used")
		case r.Outcome == admin.Drifted: // the watch tells it
		case r.Detail != "":
			s.log.Info().Str("topic", r.Topic).Str("detail", r.Detail).Msg("topic not verified in full")
		}
	}
	if len(created) > 0 {
		s.log.Info().Strs("topics", created).Msg("topics created")
	}
	if unusable == 0 {
		s.watch.tell(results)
	} else { // each has been logged
		err = fmt.Errorf("%d of %s cannot be used; the log says why, and what to do", unusable, plural(len(results), "topic"))
	}
	return len(results) > 0, err
}

// adapt sets the service up for the embedded broker where that is what it has
// reached, its own or another process's. Nothing is purged there: after a purge
// and a kill its offsets would start again at zero. And it creates a target that
// does not exist, so that trying out needs no other tool; on a real cluster that
// would turn a misspelt target into a topic.
func (s *service) adapt(ctx context.Context, cl *kgo.Client) ([]kgo.Opt, error) {
	is, err := connect.IsEmbedded(ctx, cl)
	if err != nil || !is {
		return nil, err
	}
	s.PurgeAfter = forwarder.PurgeOff
	s.log.Info().Msg("this is an embedded broker: delivered records are not purged, and missing targets are created")
	return []kgo.Opt{kgo.AllowAutoTopicCreation()}, nil
}

func (f *serviceFlags) spec() admin.Spec {
	return shapeFlags{f.Partitions, admin.BrokerDefault, f.clusterFlags}.spec(f.Levels, f.Prefix)
}

// check reports the first flag that is wrong.
func (f *serviceFlags) check() error {
	if err := f.policy().Validate(); err != nil {
		return usageError{err}
	}
	return checkSpec(f.spec())
}

// policy is what the flags say of routing.
func (f *serviceFlags) policy() router.Policy {
	return router.Policy{
		Ladder: f.Levels, Names: f.Prefix, Rounding: f.Rounding, OverMax: f.OverMax,
		DefaultTarget: f.DefaultTarget, AllowTargets: f.AllowTarget, DenyTargets: f.DenyTarget,
	}
}

// codecs are the values of --compression.
var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func (s *service) routerConfig() router.Config {
	cfg := router.DefaultConfig()
	cfg.Policy, cfg.Instance, cfg.Delivery = s.policy(), s.instance, s.Delivery
	cfg.MissingTargetWait, cfg.GiveUp, cfg.PurgeAfter = s.MissingTargetWait, s.GiveUp, s.PurgeAfter
	cfg.MaxLate, cfg.RequireControl, cfg.Compression = s.MaxLate, s.RequireControl, codecs[s.Compression]
	cfg.Log, cfg.Metrics = s.log.With().Str("part", "router").Logger(), s.registry
	cfg.Tracing = s.tracing
	return cfg
}

func (s *service) forwarderConfig() forwarder.Config {
	cfg := forwarder.DefaultConfig()
	cfg.Ladder, cfg.Names, cfg.Instance, cfg.Delivery = s.Levels, s.Prefix, s.instance, s.Delivery
	cfg.DefaultTarget, cfg.AllowTargets, cfg.DenyTargets = s.DefaultTarget, s.AllowTarget, s.DenyTarget
	cfg.MissingTargetWait, cfg.GiveUp, cfg.PurgeAfter = s.MissingTargetWait, s.GiveUp, s.PurgeAfter
	cfg.MaxLate, cfg.RequireControl, cfg.Compression = s.MaxLate, s.RequireControl, codecs[s.Compression]
	cfg.Log, cfg.Metrics = s.log.With().Str("part", "forwarder").Logger(), s.registry
	cfg.Tracing = s.tracing
	return cfg
}
