//go:build realkafka

package kafkatest

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	topic     = "orders"
	testLimit = 90 * time.Second // for everything a test asks of its clients
	appended  = 1                // a record's timestamp type: LogAppendTime
)

func client(t *testing.T, c *Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts = append([]kgo.Opt{
		kgo.SeedBrokers(c.Brokers()...),
		// Notice a dead or frozen leader soon.
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.ProduceRequestTimeout(time.Second), kgo.RequestTimeoutOverhead(time.Second),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}, opts...)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func createTopic(ctx context.Context, t *testing.T, cl *kgo.Client, replicas int16, configs map[string]*string) {
	t.Helper()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, replicas, configs, topic); err != nil {
		t.Fatalf("create topic: %v", err)
	}
}

func produce(ctx context.Context, t *testing.T, cl *kgo.Client, value string) {
	t.Helper()
	rec := &kgo.Record{Topic: topic, Value: []byte(value), Timestamp: time.Unix(0, 0)}
	if err := cl.ProduceSync(ctx, rec).FirstErr(); err != nil {
		t.Fatalf("produce %s: %v", value, err)
	}
}

// consume reads the topic from its start until it has as many records as it wants.
func consume(ctx context.Context, t *testing.T, c *Cluster, want ...string) {
	t.Helper()
	cl := client(t, c)
	var got []string
	for len(got) < len(want) {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("consume: %v, after %q", err, got)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got = append(got, string(r.Value))
			if r.Attrs.TimestampType() != appended || r.Timestamp.Year() < 2000 {
				t.Errorf("record %s has the producer's timestamp %v, want the broker's", r.Value, r.Timestamp)
			}
		})
	}
	if !slices.Equal(got, want) {
		t.Errorf("consumed %q, want %q", got, want)
	}
}

func TestRecordsOutliveTheBroker(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	c := Start(t)
	cl := client(t, c)
	createTopic(ctx, t, cl, 1, map[string]*string{"message.timestamp.type": kadm.StringPtr("LogAppendTime")})
	produce(ctx, t, cl, "one")

	for _, end := range []func(int) error{c.Stop, c.Kill} {
		if err := end(0); err != nil {
			t.Fatal(err)
		}
		if err := c.Start(ctx, 0); err != nil {
			t.Fatal(err)
		}
		consume(ctx, t, c, "one")
	}
	produce(ctx, t, cl, "two")
	consume(ctx, t, c, "one", "two")
}

func TestThreeNodesOutliveTheirLeader(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	c := Start(t, Nodes(3), Property("min.insync.replicas", "2"))
	cl := client(t, c)
	createTopic(ctx, t, cl, 3, map[string]*string{"message.timestamp.type": kadm.StringPtr("LogAppendTime")})
	produce(ctx, t, cl, "one")

	killed := leader(ctx, t, cl)
	if err := c.Kill(killed); err != nil {
		t.Fatal(err)
	}
	produce(ctx, t, cl, "two")
	if err := c.Start(ctx, killed); err != nil {
		t.Fatal(err)
	}

	paused := leader(ctx, t, cl)
	if err := c.Pause(paused); err != nil {
		t.Fatal(err)
	}
	produce(ctx, t, cl, "three")
	if err := c.Resume(paused); err != nil {
		t.Fatal(err)
	}

	for i := range 3 {
		if err := c.Kill(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.StartAll(ctx); err != nil {
		t.Fatal(err)
	}
	consume(ctx, t, c, "one", "two", "three")
}

// leader returns the node that leads the topic's partition.
func leader(ctx context.Context, t *testing.T, cl *kgo.Client) int {
	t.Helper()
	topics, err := kadm.NewClient(cl).ListTopics(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	return int(topics[topic].Partitions[0].Leader)
}

func TestABrokerThatCannotStartShowsItsLog(t *testing.T) {
	_, err := Launch(t.Context(), t.TempDir(), Config{Properties: map[string]string{"authorizer.class.name": "no.such.Class"}})
	if err == nil || !strings.Contains(err.Error(), "ended while it started") || !strings.Contains(err.Error(), "no.such.Class") {
		t.Errorf("got error %v, want one with the broker's reason", err)
	}
}

// Clients that are not ours: kcat, and the Java clients that come with the jars.
func TestOtherClients(t *testing.T) {
	c := Start(t)
	for _, args := range [][]string{
		{"java", "-cp", JarsClasspath(t), "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", c.Brokers()[0], "--create", "--topic", topic},
		{Kcat(t), "-b", c.Brokers()[0], "-L", "-t", topic},
	} {
		out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), topic) {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
}
