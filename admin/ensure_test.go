package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/delayd-io/delayd/levels"
)

func TestEnsureTwice(t *testing.T) {
	t.Parallel()
	cl := client(t, fake(t).ListenAddrs())
	for _, outcome := range []Outcome{OutcomeCreated, OutcomeExisted} {
		want := []string{
			"delay.inbox " + outcome.String(),
			"delay.level.5s " + outcome.String(),
			"delay.level.1m " + outcome.String(),
			"delay.parked " + outcome.String(),
			"delay.dead " + outcome.String(),
			"delay.control " + outcome.String(),
			"delay.cancel " + outcome.String(),
		}
		if diff := cmp.Diff(want, lines(everything(t, cl, small(t)))); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
	}
	_, seen, err := metadata(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	for topic, partitions := range map[string]int32{"delay.inbox": 4, "delay.level.5s": 4, "delay.parked": 4, "delay.dead": 1} {
		if got := seen[topic].Partitions; got != partitions {
			t.Errorf("%s has %d partitions, want %d", topic, got, partitions)
		}
	}
}

func TestSettingsOfNewTopics(t *testing.T) {
	t.Parallel()
	cl := client(t, fake(t, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "2000000"})).ListenAddrs())
	everything(t, cl, Spec{Ladder: ladder(t, "5s 2h"), Names: levels.Names{Prefix: "delay"}})
	for topic, want := range map[string][]string{
		"delay.inbox": {
			"cleanup.policy=delete", "message.timestamp.type=LogAppendTime", "retention.bytes=-1", "retention.ms=-1",
			"segment.bytes=67108864", "segment.ms=600000"},
		"delay.level.5s": {
			"cleanup.policy=delete", "max.message.bytes=2065536", "message.timestamp.type=LogAppendTime",
			"retention.bytes=-1", "retention.ms=-1", "segment.bytes=67108864", "segment.ms=600000"},
		"delay.level.2h": {
			"cleanup.policy=delete", "max.message.bytes=2065536", "message.timestamp.type=LogAppendTime",
			"retention.bytes=-1", "retention.ms=-1", "segment.bytes=67108864", "segment.ms=1800000"},
		"delay.parked": {
			"cleanup.policy=delete", "max.message.bytes=2131072", "message.timestamp.type=LogAppendTime",
			"retention.bytes=-1", "retention.ms=-1", "segment.bytes=67108864", "segment.ms=600000"},
		"delay.dead": {
			"cleanup.policy=delete", "max.message.bytes=2131072", "retention.bytes=-1", "retention.ms=-1"},
		"delay.control": {"cleanup.policy=compact", "retention.bytes=-1", "retention.ms=-1"},
		"delay.cancel": {
			"cleanup.policy=delete", "message.timestamp.type=LogAppendTime",
			"retention.bytes=-1", "retention.ms=2678400000", "segment.bytes=67108864", "segment.ms=167400000"},
	} {
		if diff := cmp.Diff(want, settingsOf(t, cl, topic)); diff != "" {
			t.Errorf("settings of %s (-want +got):\n%s", topic, diff)
		}
	}
}

func TestThreeReplicasNeedTwoInSync(t *testing.T) {
	t.Parallel()
	cl := client(t, fake(t, kfake.NumBrokers(3)).ListenAddrs())
	spec := small(t)
	spec.Replicas = 3
	everything(t, cl, spec)
	got := settingsOf(t, cl, "delay.dead")
	want := []string{"cleanup.policy=delete", "max.message.bytes=1179660", "min.insync.replicas=2", "retention.bytes=-1", "retention.ms=-1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestTenAtOnce(t *testing.T) {
	t.Parallel()
	brokers := fake(t).ListenAddrs()
	spec := small(t)
	created := make(map[string]int)
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	for range 10 {
		cl := client(t, brokers)
		wg.Go(func() {
			results, err := Ensure(t.Context(), cl, spec)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, r := range results {
				if r.Detail != "" {
					t.Errorf("%s: %s", r.Topic, r.Detail)
				}
				if r.Outcome == OutcomeCreated {
					created[r.Topic]++
				}
			}
		})
	}
	wg.Wait()
	want := map[string]int{"delay.inbox": 1, "delay.level.5s": 1, "delay.level.1m": 1, "delay.parked": 1, "delay.dead": 1, "delay.control": 1, "delay.cancel": 1}
	if diff := cmp.Diff(want, created); diff != "" {
		t.Errorf("how often each was created (-want +got):\n%s", diff)
	}
}

func TestAddedLevelIsCreatedBesideTheOthers(t *testing.T) {
	t.Parallel()
	cl := client(t, fake(t).ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	spec.Ladder = ladder(t, "5s 10s 1m")
	want := []string{
		"delay.inbox existed", "delay.level.5s existed", "delay.level.10s created", "delay.level.1m existed",
		"delay.parked existed", "delay.dead existed", "delay.control existed", "delay.cancel existed",
	}
	if diff := cmp.Diff(want, lines(everything(t, cl, spec))); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestVerifyCreatesNothing(t *testing.T) {
	t.Parallel()
	cl := client(t, fake(t).ListenAddrs())
	create(t, cl, "delay.inbox", 4, "retention.ms=-1")
	results, err := Verify(t.Context(), cl, small(t))
	const missing = "topic delay.level.5s: it does not exist; create it with delayd admin provision"
	if got := results[1].Err; got == nil || got.Error() != missing {
		t.Errorf("error %v, want %s", got, missing)
	}
	if results[0].Outcome == OutcomeFailed || err == nil {
		t.Errorf("the inbox is there: %v; error %v", results[0], err)
	}
	if _, seen, _ := metadata(t.Context(), cl); len(seen) != 1 {
		t.Errorf("topics %v, want the inbox alone", seen)
	}
}

func TestRefusedCreation(t *testing.T) {
	t.Parallel()
	said := "Unknown topic config name: segment.ms"
	for _, tc := range []struct {
		code    *kerr.Error
		message *string
		want    string
	}{
		{kerr.InvalidConfig, &said, "create topic delay.dead: INVALID_CONFIG: Configuration is invalid. " +
			"(the broker says: Unknown topic config name: segment.ms); " +
			"create it by hand with the settings that this cluster allows, cleanup.policy=delete, retention.ms=-1 and retention.bytes=-1 at least"},
		{kerr.TopicAuthorizationFailed, nil, "create topic delay.dead: TOPIC_AUTHORIZATION_FAILED: Not authorized to access topics: [Topic authorization failed.]; " +
			"grant CREATE on topic delay.dead to this user, or let someone who has that right run delayd admin provision"},
		{kerr.InvalidReplicationFactor, nil, "create topic delay.dead: INVALID_REPLICATION_FACTOR: Replication factor is below 1 or larger than the number of available brokers.; " +
			"start more brokers, or make the topics with delayd admin provision --replicas N"},
	} {
		t.Run(tc.code.Message, func(t *testing.T) {
			t.Parallel()
			broker := fake(t)
			cl := client(t, broker.ListenAddrs())
			for _, other := range small(t).topics() {
				if other.kind != dead {
					create(t, cl, other.name, 4, "retention.ms=-1", "message.timestamp.type=LogAppendTime")
				}
			}
			broker.ControlKey(int16(kmsg.CreateTopics), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
				resp := kreq.ResponseKind().(*kmsg.CreateTopicsResponse)
				rt := kmsg.NewCreateTopicsResponseTopic()
				rt.Topic, rt.ErrorCode, rt.ErrorMessage = "delay.dead", tc.code.Code, tc.message
				resp.Topics = append(resp.Topics, rt)
				return resp, nil, true
			})
			results, err := Ensure(t.Context(), cl, small(t))
			if err == nil || err.Error() != tc.want {
				t.Errorf("error\n%v\nwant\n%s", err, tc.want)
			}
			if !errors.Is(err, tc.code) {
				t.Errorf("error %v does not wrap %v", err, tc.code)
			}
			if last := results[len(results)-3]; last.Outcome != OutcomeFailed { // the dead letters'
				t.Errorf("outcome %v, want failed", last.Outcome)
			}
		})
	}
}

func TestCreationThatSomeoneElseWonIsNoFailure(t *testing.T) {
	t.Parallel()
	broker := fake(t)
	cl := client(t, broker.ListenAddrs())
	broker.ControlKey(int16(kmsg.CreateTopics), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		for _, rt := range kreq.(*kmsg.CreateTopicsRequest).Topics { // just before us
			if err := broker.CreateTopic(rt.Topic, 4, map[string]string{"retention.ms": "-1", "message.timestamp.type": "LogAppendTime"}); err != nil {
				return nil, err, true
			}
		}
		return nil, nil, false
	})
	for _, r := range everything(t, cl, small(t)) {
		if r.Outcome == OutcomeCreated {
			t.Errorf("%s: created, want existed: another process made it", r.Topic)
		}
	}
}

// limited connects as a user who has only the given rights on topics, besides
// those on groups that a member has.
func limited(t *testing.T, rights ...kmsg.ACLOperation) (all, some *kgo.Client) {
	t.Helper()
	var acls []kfake.ACL
	for _, right := range rights {
		acls = append(acls, kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: "delay.",
			Pattern: kmsg.ACLResourcePatternTypePrefixed, Operation: right, Allow: true})
	}
	brokers := fake(t, kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.Superuser("PLAIN", "root", "r"), kfake.User("PLAIN", "delayd", "d", acls...)).ListenAddrs()
	as := func(user, pass string) *kgo.Client {
		return client(t, brokers, kgo.SASL(plain.Auth{User: user, Pass: pass}.AsMechanism()))
	}
	return as("root", "r"), as("delayd", "d")
}

func TestRightToCreateIsNotNeededForWhatExists(t *testing.T) {
	t.Parallel()
	root, user := limited(t, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs)
	everything(t, root, small(t))
	for _, r := range everything(t, user, small(t)) {
		if r.Outcome != OutcomeExisted || r.Detail != "" {
			t.Errorf("%s: %v %s, want existed", r.Topic, r.Outcome, r.Detail)
		}
	}
}

func TestRightToReadSettingsIsNotNeeded(t *testing.T) {
	t.Parallel()
	root, user := limited(t, kmsg.ACLOperationDescribe)
	everything(t, root, small(t))
	for _, r := range everything(t, user, small(t)) {
		note := "settings not verified: TOPIC_AUTHORIZATION_FAILED: Not authorized to access topics: [Topic authorization failed.]; " +
			"grant DESCRIBE_CONFIGS on topic " + r.Topic + " to this user"
		if r.Outcome != OutcomeExisted || r.Detail != note {
			t.Errorf("%s: %v %q, want existed %q", r.Topic, r.Outcome, r.Detail, note)
		}
	}
}

func TestWithoutRightsTheMessageSaysWhich(t *testing.T) {
	t.Parallel()
	t.Run("create", func(t *testing.T) {
		t.Parallel()
		_, user := limited(t, kmsg.ACLOperationDescribe)
		results, err := Ensure(t.Context(), user, small(t))
		want := "create topic delay.inbox: TOPIC_AUTHORIZATION_FAILED: Not authorized to access topics: [Topic authorization failed.]; " +
			"grant CREATE on topic delay.inbox to this user, or let someone who has that right run delayd admin provision"
		if err == nil || results[0].Err.Error() != want {
			t.Errorf("error\n%v\nwant\n%s", results[0].Err, want)
		}
	})
	t.Run("describe", func(t *testing.T) {
		t.Parallel()
		_, user := limited(t)
		results, err := Ensure(t.Context(), user, small(t))
		want := "topic delay.inbox: TOPIC_AUTHORIZATION_FAILED: Not authorized to access topics: [Topic authorization failed.]; " +
			"grant DESCRIBE on topic delay.inbox to this user"
		if err == nil || results[0].Err.Error() != want {
			t.Errorf("error\n%v\nwant\n%s", results[0].Err, want)
		}
	})
}

func TestFaultySpec(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		change func(*Spec)
		want   string
	}{
		{func(s *Spec) { s.Partitions = -1 }, "partitions must be at least 1, got -1"},
		{func(s *Spec) { s.Replicas = -2 }, "replicas must be at least 1, or -1 for the cluster's default, got -2"},
		{func(s *Spec) { s.Names.Prefix = "." }, fmt.Sprint(levels.Names{Prefix: "."}.Validate())},
	} {
		spec := small(t)
		tc.change(&spec)
		results, err := Ensure(t.Context(), nil, spec)
		if err == nil || err.Error() != tc.want || results != nil {
			t.Errorf("results %v, error\n%v\nwant\n%s", results, err, tc.want)
		}
	}
}

func TestClusterThatDoesNotAnswerGivesNoResults(t *testing.T) {
	t.Parallel()
	broker := fake(t)
	cl := client(t, broker.ListenAddrs(), kgo.RequestRetries(0))
	broker.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		return nil, errors.New("closed"), true
	})
	results, err := Ensure(t.Context(), cl, small(t))
	if results != nil || err == nil {
		t.Errorf("results %v, error %v; want an error and no results", results, err)
	}
}

func TestResultJSON(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(Results{
		{Topic: "delay.inbox", Outcome: OutcomeCreated},
		{Topic: "delay.dead", Outcome: OutcomeDrifted, Detail: "partitions 2, want 1"},
		{Topic: "delay.parked", Outcome: OutcomeFailed, Err: errors.New("boom")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"topic":"delay.inbox","outcome":"created"},` +
		`{"topic":"delay.dead","outcome":"drifted","detail":"partitions 2, want 1"},` +
		`{"topic":"delay.parked","outcome":"failed","error":"boom"}]`
	if string(got) != want {
		t.Errorf("JSON\n%s\nwant\n%s", got, want)
	}
}
