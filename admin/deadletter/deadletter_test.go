package deadletter

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/describe"
	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/levels"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake starts a fake cluster of one broker.
var fake = fakekafka.Start

// client connects to brokers.
func client(t *testing.T, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(connect.Options(brokers, "test", zerolog.Nop()), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// writer is a client that writes to the partition of the record.
func writer(t *testing.T, brokers []string) *kgo.Client {
	t.Helper()
	return client(t, brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
}

// small is a spec with two levels.
func small(t *testing.T) admin.Spec {
	t.Helper()
	return admin.Spec{Ladder: ladder(t, "5s 1m"), Names: levels.Names{Prefix: "delay"}}
}

func ladder(t *testing.T, spec string) levels.Ladder {
	t.Helper()
	l, err := levels.Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// everything ensures the topics of spec and fails the test when that fails.
func everything(t *testing.T, cl *kgo.Client, spec admin.Spec) admin.Results {
	t.Helper()
	results, err := admin.Ensure(t.Context(), cl, spec)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// create makes a topic by hand, with settings that are spelled key=value.
func create(t *testing.T, cl *kgo.Client, topic string, partitions int32, settings ...string) {
	t.Helper()
	configs := make(map[string]*string)
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		configs[key] = &value
	}
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), partitions, 1, configs, topic); err != nil {
		t.Fatal(err)
	}
	for { // a broker may not know yet what the controller has created
		if _, seen, err := describe.Topics(t.Context(), cl, topic); err != nil {
			t.Fatal(err)
		} else if seen[topic].Exists() {
			return
		}
	}
}

// put writes a record that stands on a topic since a time.
func put(t *testing.T, cl *kgo.Client, rec *kgo.Record, since time.Time) {
	t.Helper()
	rec.Timestamp = since
	if err := cl.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// appendAt writes one record, in a batch of its own, with the time that a broker
// would have stamped it with.
func appendAt(t testing.TB, cl *kgo.Client, topic string, partition int32, at time.Time) {
	t.Helper()
	rec := &kgo.Record{Topic: topic, Partition: partition, Timestamp: at, Value: []byte("v")}
	if err := cl.ProduceSync(context.Background(), rec).FirstErr(); err != nil {
		t.Fatal(err)
	}
}
