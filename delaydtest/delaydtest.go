// Package delaydtest tests programs that delay records, in seconds for hours of delay.
//
// [Run] starts a Kafka broker in memory with the topics of a delay service, and runs a
// test against it in a bubble of testing/synctest. Time in the bubble is virtual: it
// jumps to the next timer when every goroutine of the test waits, so that time.Sleep(2 *
// time.Hour) returns at once and time.Now is exact.
//
//	func TestReminder(t *testing.T) {
//		delaydtest.Run(t, delaydtest.Config{Levels: "1h 2h", Topics: []string{"orders"}}, func(t *testing.T, env *delaydtest.Env) {
//			// router.NewProducer(…, env.Opts()...), forwarder.New(…, env.Opts()...)
//		})
//	}
//
// Such a test needs the build tag synctests: go test -tags synctests. It is franz-go's:
// with it the client's mutexes are ones that virtual time can see. Run fails at once
// without it.
//
// What holds for every bubble of testing/synctest holds here. The test closes every
// client and ends every goroutine that it starts. It uses the t that it is given, not
// the one around it. Real sockets and channels from outside make time stand still.
//
// The broker is kfake, franz-go's: it takes part in groups and transactions, but has
// one copy, no access control, and the producer's timestamps. A test against a real
// Kafka is still needed for what depends on those.
package delaydtest

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

const (
	// DefaultPartitions is how many partitions each topic has unless configured.
	DefaultPartitions = 2

	// idleFetch is how long a fetch without records lasts. Each end of one is work, so
	// that the real time of a test is the virtual time divided by it. A partition that
	// is assigned while a fetch lasts joins the next one.
	idleFetch = 5 * time.Second

	// startWithin bounds, in virtual time, how long a service may take to be ready.
	startWithin = 2 * time.Minute
)

// Config says what the broker has. The zero value is the default ladder under the
// default prefix, without targets.
type Config struct {
	// Levels is the ladder, as levels.Parse reads it ("1s 5s"). Empty: levels.Default.
	Levels string
	// Prefix begins the names of the service's topics. Empty: levels.DefaultPrefix.
	Prefix string
	// Topics are created besides those of the service: the targets.
	Topics []string
	// Partitions is how many partitions each topic has. 0: DefaultPartitions.
	Partitions int32
}

// Env is what a test runs in. Its fields are for reading.
type Env struct {
	// Ladder and Names are for the configurations of a producer, router or forwarder.
	Ladder levels.Ladder
	Names  levels.Names
	// Client is connected to the broker, for package admin and for records of the
	// test's own. Run closes it.
	Client *kgo.Client
	// Cluster is the broker: Cluster.Fault makes requests fail. Its interface is
	// kfake's, and may change with it.
	Cluster *kfake.Cluster
	// Network is what Opts connects by, for tests that wrap it to lose connections.
	Network *kfake.VirtualNetwork

	fake *fakekafka.Env
	t    *testing.T
}

// Run runs test in a bubble of virtual time in which a broker has the topics that cfg
// asks for. Whatever is wrong with cfg, and a missing build tag, ends t.
func Run(t *testing.T, cfg Config, test func(t *testing.T, env *Env)) {
	t.Helper()
	run(t, tagged, cfg, test)
}

// run is Run in a binary that has the tag, or not.
func run(t *testing.T, tagged bool, cfg Config, test func(t *testing.T, env *Env)) {
	t.Helper()
	if !tagged {
		t.Fatal(missingTag)
	}
	if cfg.Partitions == 0 {
		cfg.Partitions = DefaultPartitions
	}
	fakekafka.Run(t, fakekafka.Config{Topics: cfg.Topics, Partitions: cfg.Partitions}, func(t *testing.T, fake *fakekafka.Env) {
		test(t, newEnv(t, cfg, fake))
	})
}

// missingTag says what to do. Without the tag virtual time stands still as soon as a
// goroutine waits for a mutex of the client's, and the bubble spins until the test
// binary's timeout.
const missingTag = "delaydtest: virtual time needs the build tag synctests, which makes franz-go's mutexes visible to testing/synctest; " +
	"run go test -tags synctests, or set GOFLAGS=-tags=synctests"

// newEnv creates the service's topics.
func newEnv(t *testing.T, cfg Config, fake *fakekafka.Env) *Env {
	t.Helper()
	if cfg.Prefix == "" {
		cfg.Prefix = levels.DefaultPrefix
	}
	ladder := levels.Default()
	if cfg.Levels != "" {
		var err error
		if ladder, err = levels.Parse(cfg.Levels); err != nil {
			t.Fatalf("delaydtest: Config.Levels: %v", err)
		}
	}
	// Keys have the partitions that the service gives them.
	fake.Connect(kgo.FetchMaxWait(idleFetch), kgo.ProducerLinger(0), kgo.RecordPartitioner(record.Partitioner()))
	env := &Env{
		Ladder: ladder, Names: levels.Names{Prefix: cfg.Prefix},
		Client: fake.Client, Cluster: fake.Cluster, Network: fake.Network, fake: fake, t: t,
	}
	spec := admin.Spec{Ladder: env.Ladder, Names: env.Names, Partitions: cfg.Partitions, Replicas: admin.BrokerDefault}
	if _, err := admin.Ensure(t.Context(), env.Client, spec); err != nil {
		t.Fatalf("delaydtest: create the service's topics: %v", err)
	}
	return env
}

// Opts connects a client to the broker, whichever it is: of router.NewProducer,
// router.New, forwarder.New or kgo.NewClient. It sets kgo.FetchMaxWait so that hours of
// virtual time cost seconds. A test that reads transactions appends
// kgo.FetchMaxWait(200*time.Millisecond): kfake can forget to wake a fetch when a
// transaction ends.
func (e *Env) Opts() []kgo.Opt { return append(e.fake.Opts(), kgo.FetchMaxWait(idleFetch)) }

// Service is a forwarder.Forwarder, a router.Router, or whatever else runs until its
// context ends.
type Service interface {
	Run(ctx context.Context) error
	Ready() error
}

// Start runs s and returns when it is ready. It ends s at the end of the test, or when
// stop is called, which returns when Run has. An error of Run fails the test.
func (e *Env) Start(s Service) (stop func()) {
	e.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Run(ctx); err != nil {
			e.t.Errorf("delaydtest: Run of %T: %v", s, err)
		}
	}()
	stop = func() { cancel(); <-ended }
	e.t.Cleanup(stop)
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := s.Ready()
		if err == nil {
			return stop
		}
		select {
		case <-ended:
			e.t.Fatalf("delaydtest: Run of %T ended before it was ready: %v", s, err)
		default:
		}
		if time.Since(began) > startWithin {
			e.t.Fatalf("delaydtest: %T is not ready after %v: %v", s, startWithin, err)
		}
	}
}

// Produce writes records as they are, without delay, and returns when the broker has
// them: to a target, or with the headers that delayd reads to its inbox.
func (e *Env) Produce(recs ...*kgo.Record) {
	e.t.Helper()
	if err := e.Client.ProduceSync(e.t.Context(), recs...).FirstErr(); err != nil {
		e.t.Fatalf("delaydtest: produce: %v", err)
	}
}

// Records reads topic from its start and returns as soon as there are n records, or
// what there is after within. A test of what must not arrive asks for one more than it
// wants.
func (e *Env) Records(topic string, n int, within time.Duration) []*kgo.Record {
	e.t.Helper()
	cl, err := kgo.NewClient(append(e.Opts(), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		e.t.Fatalf("delaydtest: read %s: %v", topic, err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(e.t.Context(), within)
	defer cancel()
	var recs []*kgo.Record
	for len(recs) < n {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			break
		}
		if err := fetches.Err(); err != nil {
			e.t.Fatalf("delaydtest: read %s: %v", topic, err)
		}
		recs = append(recs, fetches.Records()...)
	}
	return recs
}
