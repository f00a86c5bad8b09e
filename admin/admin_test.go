package admin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/delayd-io/delayd/internal/connect"
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

// small is a spec with two levels.
func small(t *testing.T) Spec {
	t.Helper()
	return Spec{Ladder: ladder(t, "5s 1m"), Names: levels.Names{Prefix: "delay"}}
}

func ladder(t *testing.T, spec string) levels.Ladder {
	t.Helper()
	l, err := levels.Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// lines is the results as text, for comparing: one topic a line.
func lines(results Results) []string {
	var list []string
	for _, r := range results {
		line := fmt.Sprintf("%s %v", r.Topic, r.Outcome)
		if r.Detail != "" {
			line += ": " + r.Detail
		}
		if r.Err != nil {
			line += " ERROR " + r.Err.Error()
		}
		list = append(list, line)
	}
	return list
}

// everything ensures the topics of spec and fails the test when that fails.
func everything(t *testing.T, cl *kgo.Client, spec Spec) Results {
	t.Helper()
	results, err := Ensure(t.Context(), cl, spec)
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
		if _, seen, err := metadata(t.Context(), cl, topic); err != nil {
			t.Fatal(err)
		} else if seen[topic].Exists() {
			return
		}
	}
}

// settingsOf reads a topic's settings as its creator gave them.
func settingsOf(t *testing.T, cl *kgo.Client, topic string) []string {
	t.Helper()
	configs, err := kadm.NewClient(cl).DescribeTopicConfigs(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	own := make(map[string]string)
	for _, c := range configs[0].Configs {
		if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
			own[c.Key] = c.MaybeValue()
		}
	}
	var list []string
	for _, key := range slices.Sorted(maps.Keys(own)) {
		list = append(list, key+"="+own[key])
	}
	return list
}

// commit commits for a group that has no members.
func commit(t *testing.T, cl *kgo.Client, group, topic string, partition int32, offset int64) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, partition, offset, -1)
	if err := kadm.NewClient(cl).CommitAllOffsets(t.Context(), group, offsets); err != nil {
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

// h is headers, as keys and values in turn.
func h(keysAndValues ...string) []kgo.RecordHeader {
	var list []kgo.RecordHeader
	for i := 0; i < len(keysAndValues); i += 2 {
		list = append(list, kgo.RecordHeader{Key: keysAndValues[i], Value: []byte(keysAndValues[i+1])})
	}
	return list
}

// spring is when the records of these tests were written, with hours after it.
func spring(hours int) time.Time {
	return time.Date(2026, 3, 1, hours, 0, 0, 0, time.UTC)
}
