// Package fakekafka starts kfake, franz-go's Kafka in memory, for tests: [Run] on virtual
// time, in a bubble of testing/synctest, and [Start] on the real clock. Package kafkatest
// starts a real Kafka.
//
// Run needs the build tag synctests; package delaydtest says why.
package fakekafka

import (
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// firstPort is that of the first broker on virtual time; the others have the next ones.
const firstPort = 9092

// Start starts a cluster of one broker, unless opts say otherwise, and closes it when t ends.
func Start(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatalf("start the brokers: %v", err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// Config says what the cluster of a test on virtual time has. The zero value is one broker
// without topics.
type Config struct {
	// Brokers is how many there are. 0: one.
	Brokers int
	// Topics exist from the start, with Partitions partitions each. 0: kfake's default.
	Topics     []string
	Partitions int32
	// Opts is what else kfake is started with.
	Opts []kfake.Opt
}

// Env is a cluster on virtual time, and how to reach it.
type Env struct {
	Cluster *kfake.Cluster
	Network *kfake.VirtualNetwork
	// Client and Admin are nil before Connect.
	Client *kgo.Client
	Admin  *kadm.Client

	t *testing.T
}

// Run runs test in a bubble of testing/synctest, with a cluster that is closed when it ends.
// A goroutine that is left then fails the test.
func Run(t *testing.T, cfg Config, test func(t *testing.T, env *Env)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		env := &Env{Network: new(kfake.VirtualNetwork), t: t}
		var ports []int
		for i := range max(cfg.Brokers, 1) {
			ports = append(ports, firstPort+i)
		}
		env.Cluster = Start(t, append(cfg.Opts,
			kfake.ListenFn(env.Network.Listen), kfake.Ports(ports...), kfake.SeedTopics(cfg.Partitions, cfg.Topics...))...)
		test(t, env)
	})
}

// Opts connects a client to the cluster. A later kgo.Dialer, the test's own, overrides its.
func (e *Env) Opts() []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(e.Cluster.ListenAddrs()...), kgo.Dialer(e.Network.DialContext)}
}

// Connect sets Client, which has opts besides Opts, and Admin. The client is closed when the
// test ends, before the cluster is.
func (e *Env) Connect(opts ...kgo.Opt) {
	e.t.Helper()
	client, err := kgo.NewClient(append(e.Opts(), opts...)...)
	if err != nil {
		e.t.Fatalf("connect to the brokers: %v", err)
	}
	e.t.Cleanup(client.Close)
	e.Client, e.Admin = client, kadm.NewClient(client)
}
