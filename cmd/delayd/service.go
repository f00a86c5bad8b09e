package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/delayd-io/delayd/admin"
	web "github.com/delayd-io/delayd/cmd/delayd/internal/console"
	"github.com/delayd-io/delayd/delaydprom"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/security"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
	"github.com/delayd-io/delayd/telemetry"
)

// serviceFlags say what the service does with records.
type serviceFlags struct {
	grantFlags
	nameFlags
	Delivery          forwarder.Delivery `placeholder:"WHAT" default:"at-least-once" help:"What is promised: at-least-once, or exactly-once to consumers that read what is committed, some 10 ms later (default: ${default})."`
	Retry             levels.RetryPolicy `words:"" placeholder:"WAITS" default:"${retry}" help:"How long a record that a consumer sent back (header delay-level: retry) waits before each attempt, as in \"1s 5s 30s\"; then it is a dead letter (default: ${default})."`
	DefaultTarget     string             `type:"topic" placeholder:"TOPIC" help:"Where records without a delay-target go. Unset: to the dead letters."`
	AllowTarget       []string           `type:"patterns" placeholder:"PATTERN" help:"Targets that may be delivered to, as in \"orders.*\"; repeatable. Unset: all."`
	DenyTarget        []string           `type:"patterns" placeholder:"PATTERN" help:"Targets that may not, whatever is allowed; repeatable."`
	MissingTargetWait time.Duration      `type:"wait" placeholder:"D" default:"${wait}" help:"How long to wait for a target that does not exist; 0 is without end (default: ${default})."`
	GiveUp            time.Duration      `type:"above-zero" placeholder:"D" default:"${give_up}" help:"How long a target may refuse records before they are dead letters (default: ${default})."`
	MaxDelay          time.Duration      `type:"above-zero" placeholder:"D" default:"30d" help:"The longest exact delay (headers delay-for and delay-until, or --rounding=exact); beyond it a record is a dead letter (default: ${default})."`
	MaxCancels        int64              `type:"most" placeholder:"N" default:"1000000" help:"How many cancels and replacements may be outstanding, each some 100 bytes in every instance; more are dead letters (default: ${default})."`
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
	tracing  telemetry.Tracer // nil: no spans
	pages    *web.Console     // nil: no console
	opts     []kgo.Opt        // of all clients, behind the others; of tests

	// Set by run.
	watch  *watch
	secure []kgo.Opt
	hooks  kgo.Hook
	seeds  []string // the brokers that answered at the start
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
	s.seeds, s.secure, s.hooks = s.brokers, secure, newClientMetrics(s.registry, s.log)
	cl, err := kgo.NewClient(s.clientOptions("admin", kgo.DialTimeout(answerTimeout), kgo.RequestTimeoutOverhead(answerTimeout), kgo.RetryTimeout(answerTimeout))...)
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
	s.registry.MustRegister(delaydprom.Collector(collector))
	defer func() { cl.Close(); collector.Close() }() // in this order: see Collector.Close
	r, err := router.New(s.routerConfig(), s.clientOptions("router", more...)...)
	if err != nil {
		return err
	}
	f, err := forwarder.New(s.forwarderConfig(), s.clientOptions("forwarder", more...)...)
	if err != nil {
		return err
	}

	if s.pages != nil {
		closePages, err := s.openPages()
		if err != nil {
			return err
		}
		defer closePages()
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

// openPages has the console show the cluster, over a client of its own: reading records
// is no business of the client that manages the topics.
func (s *service) openPages() (closePages func(), err error) {
	counters, err := metrics.Register(delaydprom.Registry(s.registry)) // those that router and forwarder count with
	if err != nil {
		return nil, err
	}
	opts := append([]kgo.Opt{kgo.DialTimeout(answerTimeout), kgo.RequestTimeoutOverhead(answerTimeout), kgo.RetryTimeout(answerTimeout)}, web.ClientOptions()...)
	cl, err := kgo.NewClient(s.clientOptions("console", opts...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to %v for the console: %w", s.seeds, err)
	}
	return s.pages.Open(cl, s.watch.spec, counters), nil
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
			s.log.Info().Err(err).Msg("cannot publish the levels, so delayd admin needs --levels: retrying")
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchEvery):
		}
	}
}

// clientOptions are the options of a client.
func (s *service) clientOptions(part string, more ...kgo.Opt) []kgo.Opt {
	opts := append(connect.Options(s.seeds, "delayd-"+part, s.log), s.secure...)
	return append(append(append(opts, kgo.WithHooks(s.hooks)), more...), s.opts...)
}

// waitError is why the service cannot start yet, though nothing is set wrongly: trying
// again may help.
type waitError struct {
	what string // as "no answer from the cluster"
	err  error
}

func (e waitError) Error() string { return e.what + ": " + e.err.Error() }
func (e waitError) Unwrap() error { return e.err }

// prepare waits for the cluster and makes sure that the topics are there and right. It
// returns the options that the cluster needs, and nil too where ctx ends first.
func (s *service) prepare(ctx context.Context, cl *kgo.Client) ([]kgo.Opt, error) {
	for {
		// A broker that hangs may take up several timeouts of requests.
		slow := time.AfterFunc(answerTimeout+reconnectWait, func() {
			s.ready.not("the brokers take long to answer about the topics")
			s.log.Warn().Strs("brokers", s.brokers).Msg("the brokers take long to answer about the topics; still waiting")
		})
		more, err := s.attempt(ctx, cl)
		slow.Stop()
		wait, ok := errors.AsType[waitError](err)
		if ctx.Err() != nil {
			return nil, nil
		}
		if !ok {
			return more, err
		}
		reason, warning := wait.Error(), s.log.Warn().Err(wait.err).Strs("brokers", s.brokers)
		if hint := s.security.Hint(wait.err); hint != "" {
			reason += "; " + hint
			warning.Str("hint", hint)
		}
		s.ready.not(reason)
		warning.Msg(wait.what + "; trying again")
		select {
		case <-ctx.Done():
		case <-time.After(reconnectWait):
		}
	}
}

// attempt is one try of prepare.
func (s *service) attempt(ctx context.Context, cl *kgo.Client) ([]kgo.Opt, error) {
	seeds, err := connect.Answering(ctx, s.brokers, answerTimeout, s.clientOptions("start")...)
	if _, mixed := errors.AsType[*connect.ClustersError](err); mixed {
		return nil, usagef("--brokers: %w", err)
	}
	if len(seeds) == 0 {
		return nil, waitError{noAnswer, err}
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn().Err(err).Msg("brokers do not answer; starting with the others")
	}
	s.seeds = seeds
	if err := cl.UpdateSeedBrokers(seeds...); err != nil {
		return nil, fmt.Errorf("connect to %v: %w", seeds, err)
	}
	if err := s.topics(ctx, cl); err != nil {
		return nil, err
	}
	return s.adapt(ctx, cl)
}

const noAnswer = "no answer from the cluster"

// topics checks and creates the topics, and logs what is worth knowing.
func (s *service) topics(ctx context.Context, cl *kgo.Client) error {
	ensure := admin.Ensure
	if s.NoProvision {
		ensure = admin.Verify
	}
	results, err := ensure(ctx, cl, s.watch.spec)
	switch {
	case len(results) == 0 && err != nil:
		return waitError{noAnswer, err}
	case results.Transient() != nil:
		return waitError{"the topics cannot be used yet", results.Transient()}
	}
	var created []string
	unusable := 0
	for _, r := range results {
		switch {
		case r.Outcome == admin.OutcomeCreated:
			created = append(created, r.Topic)
		case r.Outcome == admin.OutcomeFailed:
			unusable++
			s.log.Error().Str("topic", r.Topic).Str("detail", detail(r)).Msg("topic cannot be used")
		case r.Outcome == admin.OutcomeDrifted, r.Outcome == admin.OutcomeShared: // the watch tells it
		case r.Detail != "" && s.retired(r.Topic):
			s.log.Info().Str("topic", r.Topic).Str("detail", r.Detail).Msg("delivering what is left on a level that was taken out")
		case r.Detail != "":
			s.log.Info().Str("topic", r.Topic).Str("detail", r.Detail).Msg("topic not verified in full")
		}
	}
	if len(created) > 0 {
		s.log.Info().Strs("topics", created).Msg("topics created")
	}
	if unusable > 0 { // each has been logged
		return fmt.Errorf("%d of %s cannot be used; the log says why, and what to do", unusable, plural(len(results), "topic"))
	}
	s.watch.tell(results)
	return nil
}

// retired reports whether a topic is that of a level which is not in --levels any more.
func (f *serviceFlags) retired(topic string) bool {
	delay, isLevel := f.Prefix.LevelDelay(topic)
	return isLevel && !has(f.Levels, levels.FormatDelay(delay))
}

// adapt sets the service up for the embedded broker where that is what it has
// reached, its own or another process's. Nothing is purged there: after a purge
// and a kill its offsets would start again at zero. And it creates a target that
// does not exist, so that trying out needs no other tool; on a real cluster that
// would turn a misspelt target into a topic.
func (s *service) adapt(ctx context.Context, cl *kgo.Client) ([]kgo.Opt, error) {
	is, err := connect.IsEmbedded(ctx, cl)
	if err != nil {
		return nil, waitError{noAnswer, err}
	}
	if !is {
		return nil, nil
	}
	s.PurgeAfter = forwarder.PurgeOff
	s.log.Info().Msg("this is an embedded broker: delivered records are not purged, and missing targets are created")
	return []kgo.Opt{kgo.AllowAutoTopicCreation()}, nil
}

func (f *serviceFlags) spec() admin.Spec {
	spec := shapeFlags{f.Partitions, admin.BrokerDefault, f.clusterFlags}.spec(f.Levels, f.Prefix)
	spec.MaxDelay, spec.MaxCancels = f.MaxDelay, f.MaxCancels
	return spec
}

// check reports the first flag that is wrong.
func (f *serviceFlags) check() error {
	if err := f.policy().Validate(); err != nil {
		return usageError{byFlag(err)}
	}
	return checkSpec(f.spec())
}

// policyFlags are the flags that set the fields of a router.Policy.
var policyFlags = map[string]string{
	"Policy.Ladder":        "--levels",
	"Policy.Names":         "--prefix",
	"Policy.Rounding":      "--rounding",
	"Policy.OverMax":       "--over-max",
	"Policy.MaxDelay":      "--max-delay",
	"Policy.Retry":         "--retry",
	"Policy.DefaultTarget": "--default-target",
	"Policy.AllowTargets":  "--allow-target",
	"Policy.DenyTargets":   "--deny-target",
}

// byFlag replaces the field in an error about a policy by its flag.
func byFlag(err error) error {
	var fault *record.FieldError
	if !errors.As(err, &fault) {
		return err
	}
	return &record.FieldError{Field: policyFlags[fault.Field], Value: fault.Value, Err: fault.Err}
}

// policy is what the flags say of routing.
func (f *serviceFlags) policy() router.Policy {
	return router.Policy{
		Ladder: f.Levels, Names: f.Prefix, Rounding: f.Rounding, OverMax: f.OverMax, MaxDelay: f.MaxDelay, Retry: f.Retry,
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
	cfg.GiveUp, cfg.MaxCancels = s.GiveUp, s.MaxCancels
	cfg.MissingTargetWait = cmp.Or(s.MissingTargetWait, forwarder.WaitForEver) // a flag's 0 is no default
	cfg.PurgeAfter = cmp.Or(s.PurgeAfter, forwarder.PurgeAtOnce)
	cfg.MaxLate, cfg.RequireControl, cfg.Compression = s.MaxLate, s.RequireControl, codecs[s.Compression]
	cfg.Log, cfg.Metrics = s.log.With().Str("part", "router").Logger(), delaydprom.Registry(s.registry)
	cfg.Tracing = s.tracing
	return cfg
}

func (s *service) forwarderConfig() forwarder.Config {
	cfg := forwarder.DefaultConfig()
	cfg.Ladder, cfg.Names, cfg.Instance, cfg.Delivery = s.Levels, s.Prefix, s.instance, s.Delivery
	cfg.DefaultTarget, cfg.AllowTargets, cfg.DenyTargets = s.DefaultTarget, s.AllowTarget, s.DenyTarget
	cfg.MaxDelay = s.MaxDelay
	cfg.GiveUp = s.GiveUp
	cfg.MissingTargetWait = cmp.Or(s.MissingTargetWait, forwarder.WaitForEver) // a flag's 0 is no default
	cfg.PurgeAfter = cmp.Or(s.PurgeAfter, forwarder.PurgeAtOnce)
	cfg.MaxLate, cfg.RequireControl, cfg.Compression = s.MaxLate, s.RequireControl, codecs[s.Compression]
	cfg.Log, cfg.Metrics = s.log.With().Str("part", "forwarder").Logger(), delaydprom.Registry(s.registry)
	cfg.Tracing = s.tracing
	return cfg
}
