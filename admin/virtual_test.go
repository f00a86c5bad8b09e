//go:build synctests

package admin

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/fakekafka"
)

// These tests run on virtual time. What a test starts has to end before it does.

// onVirtualTime runs a test with a cluster of one broker and a client of it.
func onVirtualTime(t *testing.T, test func(t *testing.T, broker *kfake.Cluster, cl *kgo.Client)) {
	t.Helper()
	fakekafka.Run(t, fakekafka.Config{}, func(t *testing.T, env *fakekafka.Env) {
		cl := client(t, env.Cluster.ListenAddrs(), kgo.Dialer(env.Network.DialContext), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		test(t, env.Cluster, cl)
	})
}

// hide answers metadata requests until a time as if no partition had a leader
// yet, or with gone as if there was no topic at all.
func hide(broker *kfake.Cluster, until time.Time, gone bool) {
	broker.ControlKey(int16(kmsg.Metadata), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		if !time.Now().Before(until) {
			return nil, nil, false
		}
		broker.KeepControl()
		req := kreq.(*kmsg.MetadataRequest)
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		resp.ControllerID = 0
		resp.Brokers = []kmsg.MetadataResponseBroker{brokerAt(broker)}
		for _, rt := range req.Topics {
			t := kmsg.NewMetadataResponseTopic()
			t.Topic = rt.Topic
			if gone || broker.TopicInfo(*rt.Topic) == nil {
				t.ErrorCode = 3 // UNKNOWN_TOPIC_OR_PARTITION
			} else {
				p := kmsg.NewMetadataResponseTopicPartition()
				p.Leader, p.ErrorCode = -1, 5 // LEADER_NOT_AVAILABLE
				t.Partitions = append(t.Partitions, p)
			}
			resp.Topics = append(resp.Topics, t)
		}
		return resp, nil, true
	})
}

func brokerAt(broker *kfake.Cluster) kmsg.MetadataResponseBroker {
	b := kmsg.NewMetadataResponseBroker()
	host, port, err := net.SplitHostPort(broker.ListenAddrs()[0])
	if err != nil {
		panic(err)
	}
	n, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		panic(err)
	}
	b.Host, b.Port = host, int32(n)
	return b
}

func TestNewTopicsAreWaitedFor(t *testing.T) {
	onVirtualTime(t, func(t *testing.T, broker *kfake.Cluster, cl *kgo.Client) {
		began := time.Now()
		hide(broker, began.Add(10*time.Second), false)
		for _, r := range everything(t, cl, small(t)) {
			if r.Outcome != OutcomeCreated || r.Detail != "" {
				t.Errorf("%s: %v %s, want created", r.Topic, r.Outcome, r.Detail)
			}
		}
		if took := time.Since(began); took < 10*time.Second || took > 10*time.Second+time.Second {
			t.Errorf("took %v, want the 10s that there were no leaders", took)
		}
	})
}

func TestWaitForNewTopicsIsBounded(t *testing.T) {
	onVirtualTime(t, func(t *testing.T, broker *kfake.Cluster, cl *kgo.Client) {
		began := time.Now()
		hide(broker, began.Add(time.Hour), false)
		everything(t, cl, small(t)) // there, if without leaders: that is the forwarder's to wait for
		if took := time.Since(began); took < appearTimeout || took > appearTimeout+time.Second {
			t.Errorf("took %v, want %v", took, appearTimeout)
		}
	})
}

func TestNewTopicsThatNeverShowAreFailures(t *testing.T) {
	onVirtualTime(t, func(t *testing.T, broker *kfake.Cluster, cl *kgo.Client) {
		hide(broker, time.Now().Add(time.Hour), true)
		results, err := Ensure(t.Context(), cl, small(t))
		want := "create topic delay.inbox: the brokers do not show it after 30s; start again when they do"
		if err == nil || results[0].Err == nil || results[0].Err.Error() != want {
			t.Errorf("results %v, want %s", lines(results), want)
		}
	})
}

// TestSettingsAreReadBack: what the controller has accepted counts once a broker shows it.
func TestSettingsAreReadBack(t *testing.T) {
	for _, late := range []time.Duration{10 * time.Second, time.Hour} {
		onVirtualTime(t, func(t *testing.T, broker *kfake.Cluster, cl *kgo.Client) {
			spec := small(t)
			create(t, cl, "delay.level.5s", 4, "retention.ms=1000")
			broker.ControlKey(int16(kmsg.IncrementalAlterConfigs), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
				req := kreq.(*kmsg.IncrementalAlterConfigsRequest)
				time.AfterFunc(late, func() { _, _ = req.RequestWith(t.Context(), cl) })
				resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
				for _, r := range req.Resources {
					answer := kmsg.NewIncrementalAlterConfigsResponseResource()
					answer.ResourceType, answer.ResourceName = r.ResourceType, r.ResourceName
					resp.Resources = append(resp.Resources, answer)
				}
				return resp, nil, true
			})
			began := time.Now()
			results, err := Apply(t.Context(), cl, spec)
			took := time.Since(began)
			if r := results[1]; late < appearTimeout && (err != nil || r.Outcome != OutcomeUpdated || took < late || took > late+time.Second) {
				t.Errorf("shown after %v: %v after %v, %v", late, lines(results), took, err)
			}
			if r := results[1]; late > appearTimeout && (err == nil || r.Outcome != OutcomeFailed || took > appearTimeout+time.Second ||
				!strings.HasSuffix(r.Err.Error(), "of topic delay.level.5s: the brokers do not show it after 30s; look again when they do")) {
				t.Errorf("shown after %v: %v after %v, %v", late, lines(results), took, err)
			}
		})
	}
}

func TestScrapesWithinASecondShareACount(t *testing.T) {
	onVirtualTime(t, func(t *testing.T, broker *kfake.Cluster, cl *kgo.Client) {
		spec := small(t)
		everything(t, cl, spec)
		c := collector(t, cl, spec, zerolog.Nop())
		pending := func() (line string) {
			for _, line := range gather(t, c) {
				if line == `delayd_pending_records{level="5s"} 0` || line == `delayd_pending_records{level="5s"} 1` {
					return line
				}
			}
			return "nothing"
		}
		got := []string{pending()}
		appendAt(t, cl, "delay.level.5s", 0, time.Now())
		got = append(got, pending())
		time.Sleep(scrapeAge)
		got = append(got, pending())
		want := []string{
			`delayd_pending_records{level="5s"} 0`, `delayd_pending_records{level="5s"} 0`, `delayd_pending_records{level="5s"} 1`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("scrapes (-want +got):\n%s", diff)
		}
	})
}

// TestOverdueRises watches one record become due, millisecond by millisecond.
func TestOverdueRises(t *testing.T) {
	onVirtualTime(t, func(t *testing.T, broker *kfake.Cluster, cl *kgo.Client) {
		spec := small(t)
		everything(t, cl, spec)
		accepted := time.Now()
		appendAt(t, cl, "delay.level.1m", 2, accepted)
		due := accepted.Truncate(time.Millisecond).Add(time.Minute + time.Millisecond)
		for _, tc := range []struct {
			at   time.Time
			want int64
		}{{due.Add(-time.Millisecond), 0}, {due, 1}, {due.Add(time.Hour), 1}} {
			time.Sleep(time.Until(tc.at))
			got := inspect(t, cl, spec, time.Now()).Levels[1]
			if got.Overdue != tc.want || got.NextDue == nil || !got.NextDue.Equal(due) {
				t.Errorf("at %v: overdue %d, next due %v; want %d, %v", tc.at, got.Overdue, got.NextDue, tc.want, due)
			}
		}
	})
}
