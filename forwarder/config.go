package forwarder

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/bounds"
	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/deliver"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/telemetry"
)

// What a zero value in a Config stands for.
const (
	// DefaultMissingTargetWait is the default of Config.MissingTargetWait: long enough
	// for a topic that is being created.
	DefaultMissingTargetWait = 10 * time.Second
	// DefaultGiveUp is the default of Config.GiveUp.
	DefaultGiveUp = 24 * time.Hour
	// DefaultPurgeAfter is the default of Config.PurgeAfter.
	DefaultPurgeAfter = 10 * time.Minute
	// DefaultBudget is the default of Config.Budget, in bytes: 16 MiB.
	DefaultBudget = 16 << 20
)

const (
	// PurgeOff as Config.PurgeAfter keeps every delivered record until the topic's
	// own retention takes it.
	PurgeOff = consume.PurgeOff
	// PurgeAtOnce as Config.PurgeAfter deletes every record once it is delivered.
	PurgeAtOnce = consume.PurgeAtOnce
	// WaitForEver as Config.MissingTargetWait waits without end.
	WaitForEver = deliver.WaitForEver
)

// Delivery says what is promised of a record's delivery.
type Delivery = levels.Delivery

const (
	// AtLeastOnce repeats after a crash what was delivered and not committed.
	AtLeastOnce = levels.AtLeastOnce
	// ExactlyOnce delivers and commits in one transaction: consumers that read what
	// is committed (isolation.level=read_committed) get every record once.
	ExactlyOnce = levels.ExactlyOnce
)

// ParseDelivery reads "at-least-once" or "exactly-once".
func ParseDelivery(s string) (Delivery, error) { return levels.ParseDelivery(s) }

// ErrFenced says that another process joined with the same instance id and
// that this one may not deliver any more.
var ErrFenced = consume.ErrFenced

// Config says what a Forwarder forwards and how. A zero value is the default of each
// field, so that the zero Config is the one that DefaultConfig spells out.
type Config struct {
	// Ladder is the levels to forward. Empty: levels.Default.
	Ladder levels.Ladder
	// Names spells the topics and groups. Empty: levels.DefaultPrefix.
	Names levels.Names

	// Instance is the group's static member id (KIP-345), the same after a restart and
	// another in every process. A restart within the session timeout of 6 s takes its
	// partitions back at once, and no other member is disturbed. Empty: a dynamic member,
	// which leaves the group at each clean stop. After a crash the partitions of either
	// wait for the session timeout.
	Instance string
	// LeaveOnStop makes a member with an Instance leave the group when Run returns nil,
	// for stops that are final, as when fewer processes are to run. The default is to
	// stay: nobody reads its partitions until it is back, or until the session timeout
	// after the stop, so that records that come due meanwhile are up to 8 s late. To leave
	// costs a rebalance: the others take the partitions over within 2 s, and give some up
	// again when it comes back.
	LeaveOnStop bool

	// Delivery is what is promised. ExactlyOnce needs Kafka 4.0, the rights WRITE
	// and DESCRIBE on transactional ids that begin with the prefix and a dot, and
	// consumers that read what is committed; it costs some 10 ms a record. It is not
	// for a Handler, whose doing is no part of a transaction.
	Delivery Delivery

	// Compression is the codec of what is delivered: by default none, as of Kafka's own
	// producer, which every consumer reads. Other topics of the service are compressed
	// with snappy whatever it says, except with ExactlyOnce: a transaction has one codec.
	// There, too, a batch that compression would not make smaller stays as it is.
	// A record that is too large for its target is sent alone, with gzip.
	Compression kgo.CompressionCodec

	// DefaultTarget receives records without a delay-target header. Empty: such
	// records are dead letters.
	DefaultTarget string
	// AllowTargets and DenyTargets are patterns of path.Match. An empty allow
	// list allows all; deny wins.
	AllowTargets, DenyTargets []string

	// MissingTargetWait is how long a target that does not exist is waited for
	// before its records are dead, or one that may not be described: brokers answer
	// alike. 0: DefaultMissingTargetWait. WaitForEver: without end.
	MissingTargetWait time.Duration
	// GiveUp is how long a target may refuse records before they are dead, as for
	// want of the right to write. 0: DefaultGiveUp.
	GiveUp time.Duration
	// MaxLate is how long after its due time a record may still be delivered; later
	// it is a dead letter. The bound is checked before each attempt. 0: however
	// late.
	MaxLate time.Duration
	// MaxDelay bounds exact times (headers delay-for and delay-until): a record on a level
	// whose due time is further away is a dead letter, over-max. It should be the router's.
	// 0: levels.DefaultMaxDelay, 30 days.
	MaxDelay time.Duration
	// RequireControl delivers nothing until the control topic has been read, so that
	// what is paused stays so whatever is broken. Without it deliveries start after
	// half a minute as if nothing were paused, and at once where there is no such topic.
	RequireControl bool
	// PurgeAfter is how long a delivered record stays on its level topic.
	// 0: DefaultPurgeAfter. PurgeAtOnce: deleted at once. PurgeOff: never deleted by us.
	PurgeAfter time.Duration

	// Handler is called with each due record, which is delivered to no target topic:
	// the record's target, if it has one, is a name and no topic. With Handlers it gets
	// the records whose target has no handler there, and those without a target. Nil,
	// and no Handlers: records go to their target topics.
	Handler Handler
	// Handlers are the handlers of targets, by their names: the values of the header
	// delay-target. A record for a target that has none goes to Handler; where that is
	// nil it is a dead letter, forbidden-target, or no-target if it has no target.
	Handlers map[string]Handler
	// Concurrency is how many records of a partition of a level are in calls of
	// Handlers at a time: those with one key one after the other and in order, those
	// without a key in any order. 0 and 1: one at a time, all in order. More bounds how
	// late records are when calls take long: a partition of a level begins
	// Concurrency / (the duration of a call) of them in a second.
	Concurrency int
	// Timeout ends the context of a call of a Handler. A call that then returns an error
	// is a failed attempt; one that goes on is waited for. 0: none.
	Timeout time.Duration
	// Retry decides what becomes of a record whose Handler failed for the attempt-th
	// time, 1 at first: it is handed out again after wait, or with ok false is a dead
	// letter, gave-up. Nil: DefaultRetry.
	//
	// The record waits on the level of Ladder that is nearest to wait: the first for less,
	// the last for more. Its partition goes on, so that later records with its key are
	// handled before it. It is written to that level's topic with its id, key, value and
	// headers, which takes the right to write there. A panic of Retry makes it a dead
	// letter.
	Retry func(attempt int, err error) (wait time.Duration, ok bool)
	// RetryPolicy, if it has waits, takes the place of Retry, and works as for consumers that
	// send records back to a service: a record's own delay-retry-policy counts before it.
	// From the second attempt on the Handler gets delay-attempt, delay-retry-cause and
	// delay-retry-first-cause. After the last wait the record is a dead letter,
	// retries-exhausted, with the first and the last cause.
	RetryPolicy levels.RetryPolicy
	// RetryInPlace makes a record that failed wait in its place, exactly as long as Retry or
	// RetryPolicy says, so that records stay in order. The price is that the records behind it
	// wait too: all of its partition, or with Concurrency those with its key. All of them wait
	// once as many failed as are called at a time, or eight times as many wait for their key.
	// Ready is an error once they are overdue by ten seconds. Retry is RetryForever where it is
	// nil.
	RetryInPlace bool

	// Budget bounds the bytes fetched ahead, over all lanes. One batch a lane
	// is kept whatever the budget. 0: DefaultBudget.
	Budget int64

	// Log gets what goes wrong and what is worth knowing, such as partitions that come
	// and go, but not the lines of the Kafka clients: for those pass kgo.WithLogger. The
	// zero value logs nothing, so set it. For log/slog see the example of package
	// forwarder.
	Log zerolog.Logger
	// Metrics publishes the counters: delaydprom.Registry makes one for Prometheus. A
	// router and a forwarder may share one. Nil: counted, not published.
	Metrics telemetry.Registry
	// Tracing makes a span of each delivery of a record that has a traceparent header,
	// with a link to the span that sent it: delaydotel.New makes one for OpenTelemetry.
	// Nil: none. A Handler traces by itself: with Tracing its context carries the
	// producer's span.
	Tracing telemetry.Tracer
}

// DefaultConfig returns the configuration that `delayd serve` starts from: the defaults
// that zero values stand for, spelled out.
func DefaultConfig() Config { return Config{}.withDefaults() }

// withDefaults fills the zero values.
func (c Config) withDefaults() Config {
	if c.Ladder.Len() == 0 {
		c.Ladder = levels.Default()
	}
	c.Names.Prefix = cmp.Or(c.Names.Prefix, levels.DefaultPrefix)
	c.MaxDelay = cmp.Or(c.MaxDelay, levels.DefaultMaxDelay)
	c.bounds().SetDefaults()
	return c
}

// validate names the setting, what was given and what is allowed. It wants a
// configuration that has its defaults.
func (c *Config) validate() error {
	if err := c.bounds().Validate(); err != nil {
		return err
	}
	switch {
	case c.Concurrency < 0:
		return fmt.Errorf("concurrency must be 0 (one call at a time) or more, got %d", c.Concurrency)
	case c.Retry != nil && c.RetryPolicy.Len() > 0:
		return errors.New("retry: both Retry and RetryPolicy are set; leave one of the two out")
	case c.MaxDelay < 0:
		return fmt.Errorf("max delay must be 0 (30 days) or more, got %v", c.MaxDelay)
	case c.Timeout < 0:
		return fmt.Errorf("timeout must be 0 (none) or more, got %v", c.Timeout)
	case c.Delivery == ExactlyOnce && c.handles():
		return errors.New("delivery exactly-once: what a Handler does is no part of a Kafka transaction; " +
			"use at-least-once, and have the Handler know a record by its delay-id")
	}
	for target, h := range c.Handlers {
		if h == nil {
			return fmt.Errorf("handlers: the handler of target %q is nil; leave the target out", target)
		}
	}
	if err := c.Names.Validate(); err != nil {
		return err
	}
	return c.targets().Validate()
}

// bounds are the settings that a router has, too.
func (c *Config) bounds() bounds.Bounds {
	return bounds.Bounds{
		MissingTargetWait: &c.MissingTargetWait, GiveUp: &c.GiveUp, PurgeAfter: &c.PurgeAfter, MaxLate: &c.MaxLate,
		Budget: &c.Budget, Delivery: &c.Delivery,
	}
}

// handles reports whether records are handed to handlers in this process.
func (c *Config) handles() bool { return c.Handler != nil || len(c.Handlers) > 0 }

func (c *Config) targets() *record.Targets {
	return &record.Targets{Names: c.Names, Default: c.DefaultTarget, Allow: c.AllowTargets, Deny: c.DenyTargets}
}
