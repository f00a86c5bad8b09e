package offsets

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/delayd-io/delayd/internal/fakekafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster starts three brokers with two topics and a client of them.
func cluster(t *testing.T) (*kfake.Cluster, *kgo.Client) {
	t.Helper()
	c := fakekafka.Start(t, kfake.NumBrokers(3), kfake.SeedTopics(3, "delay.level.5s", "orders"))
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequestRetries(0), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return c, cl
}

func commit(t *testing.T, adm *kadm.Client, group, topic string, partition int32, offset int64) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, partition, offset, -1)
	if err := adm.CommitAllOffsets(t.Context(), group, offsets); err != nil {
		t.Fatal(err)
	}
}

func TestListLooksEveryPartitionUpAtItsOwnTime(t *testing.T) {
	t.Parallel()
	c, cl := cluster(t)
	for p, stamps := range [][]int64{{1000, 2000, 3000}, {1500, 1500}, {}} {
		for _, ms := range stamps {
			rec := &kgo.Record{Topic: "orders", Partition: int32(p), Timestamp: time.UnixMilli(ms)}
			if err := cl.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.DeleteRecords("orders", 0, 1); err != nil {
		t.Fatal(err)
	}
	at := func(p int32) Partition { return Partition{"orders", p} }
	for _, tc := range []struct {
		name string
		ask  map[Partition]int64
		want map[Partition]Found
	}{
		{"nothing", nil, map[Partition]Found{}},
		{"starts", map[Partition]int64{at(0): Start, at(1): Start, at(2): Start},
			map[Partition]Found{at(0): {1, -1}, at(1): {0, -1}, at(2): {0, -1}}},
		{"ends", map[Partition]int64{at(0): End, at(1): End, at(2): End},
			map[Partition]Found{at(0): {3, -1}, at(1): {2, -1}, at(2): {0, -1}}},
		{"times", map[Partition]int64{at(0): 2001, at(1): 1500, at(2): 0},
			map[Partition]Found{at(0): {2, 3000}, at(1): {0, 1500}, at(2): {None, -1}}},
		{"after the last", map[Partition]int64{at(0): 3001}, map[Partition]Found{at(0): {None, -1}}},
		{"before the log start", map[Partition]int64{at(0): 0}, map[Partition]Found{at(0): {1, 2000}}},
	} {
		got, err := List(t.Context(), cl, tc.ask)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestListAnswersWhatItCan(t *testing.T) {
	t.Parallel()
	_, cl := cluster(t)
	there, gone := Partition{"orders", 0}, Partition{"invoices", 0}
	got, err := List(t.Context(), cl, map[Partition]int64{there: End, gone: End})
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("error %v, want UNKNOWN_TOPIC_OR_PARTITION", err)
	}
	if diff := cmp.Diff(map[Partition]Found{there: {0, -1}}, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestCommitted(t *testing.T) {
	t.Parallel()
	_, cl := cluster(t)
	adm := kadm.NewClient(cl)
	for _, want := range []map[Partition]int64{{}, {{"orders", 1}: 7}} {
		got, err := Committed(t.Context(), adm, "g")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("committed (-want +got):\n%s", diff)
		}
		commit(t, adm, "g", "orders", 1, 7)
	}
}

// commits asks other groups than own for what they have committed on a level.
func commits(ctx context.Context, cl *kgo.Client, own string) ([]Commit, error) {
	found, _, err := NewOthers(own).Commits(ctx, cl, []string{"delay.level.5s"})
	return found, err
}

func TestOtherGroups(t *testing.T) {
	t.Parallel()
	_, cl := cluster(t)
	adm := kadm.NewClient(cl)
	for _, c := range []Commit{
		{"delay.forwarder", Partition{"delay.level.5s", 0}, 1}, // our own
		{"audit", Partition{"delay.level.5s", 0}, 9},
		{"billing", Partition{"delay.level.5s", 0}, 4},
		{"billing", Partition{"delay.level.5s", 2}, 0},
		{"billing", Partition{"orders", 0}, 2}, // not asked for
	} {
		commit(t, adm, c.Group, c.Topic, c.Partition.Partition, c.Offset)
	}
	got, err := commits(t.Context(), cl, "delay.forwarder")
	if err != nil {
		t.Fatal(err)
	}
	want := []Commit{
		{"audit", Partition{"delay.level.5s", 0}, 9},
		{"billing", Partition{"delay.level.5s", 0}, 4},
		{"billing", Partition{"delay.level.5s", 2}, 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other groups (-want +got):\n%s", diff)
	}
	var lowest kadm.Offsets
	lowest.AddOffset("delay.level.5s", 0, 4, -1)
	lowest.AddOffset("delay.level.5s", 2, 0, -1)
	if diff := cmp.Diff(lowest, Lowest(got)); diff != "" {
		t.Errorf("lowest (-want +got):\n%s", diff)
	}
	if len(Lowest(nil)) != 0 {
		t.Errorf("lowest of nothing: %v", Lowest(nil))
	}
}

// TestOtherGroupsThatCannotBeAskedAreAnError: whoever purges must know.
func TestOtherGroupsThatCannotBeAskedAreAnError(t *testing.T) {
	t.Parallel()
	c, cl := cluster(t)
	adm := kadm.NewClient(cl)
	commit(t, adm, "billing", "delay.level.5s", 0, 4)
	refuse := func(code *kerr.Error) {
		c.ControlKey(int16(kmsg.OffsetFetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
			req := kreq.(*kmsg.OffsetFetchRequest)
			resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
			for _, g := range req.Groups {
				rg := kmsg.NewOffsetFetchResponseGroup()
				rg.Group, rg.ErrorCode = g.Group, code.Code
				resp.Groups = append(resp.Groups, rg)
			}
			return resp, nil, true
		})
	}
	refuse(kerr.UnknownServerError)
	if _, err := commits(t.Context(), cl, "own"); !errors.Is(err, kerr.UnknownServerError) {
		t.Errorf("error %v, want UNKNOWN_SERVER_ERROR", err)
	}
	for _, code := range []*kerr.Error{kerr.GroupAuthorizationFailed, kerr.GroupIDNotFound} {
		refuse(code)
		if got, err := commits(t.Context(), cl, "own"); err != nil || got != nil {
			t.Errorf("%v: %v, %v; want nothing: it is not ours to see, or gone", code, got, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := commits(ctx, cl, "own"); err == nil {
		t.Error("no error from a cluster that was not asked")
	}
}
