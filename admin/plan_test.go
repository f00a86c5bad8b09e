package admin

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/delayd-io/delayd/internal/describe"
)

// planned is the plan for spec, which has to be complete.
func planned(t *testing.T, cl *kgo.Client, spec Spec) Steps {
	t.Helper()
	steps, err := Plan(t.Context(), cl, spec)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// step is the step of a topic.
func step(t *testing.T, steps Steps, topic string) Step {
	t.Helper()
	for _, s := range steps {
		if s.Topic == topic {
			return s
		}
	}
	t.Fatalf("no step for %s in %+v", topic, steps)
	return Step{}
}

func TestPlanOfNothingThenEnsureThenPlan(t *testing.T) {
	t.Parallel()
	brokers := fake(t).ListenAddrs()
	cl := client(t, brokers)
	steps := planned(t, cl, small(t))
	for _, s := range steps {
		if s.Action != ActionCreate || s.Err != nil || len(s.Commands) != 1 {
			t.Errorf("before: %+v", s)
		}
	}
	want := "kafka-topics.sh --bootstrap-server " + brokers[0] + " --create --if-not-exists --topic delay.level.1m --partitions 4" +
		" --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1 --config message.timestamp.type=LogAppendTime" +
		" --config segment.bytes=67108864 --config segment.ms=600000 --config max.message.bytes=1114124"
	if got := step(t, steps, "delay.level.1m").Commands[0]; got != want {
		t.Errorf("command\n%s\nwant\n%s", got, want)
	}
	if _, seen, err := metadata(t.Context(), cl); err != nil || len(seen) != 0 {
		t.Errorf("a plan made topics: %v, %v", seen, err)
	}

	everything(t, cl, small(t))
	steps = planned(t, cl, small(t))
	if steps.ToDo() || len(steps) != 7 {
		t.Errorf("after: %+v", steps)
	}
}

func TestPlanOfDrifts(t *testing.T) {
	t.Parallel()
	brokers := fake(t).ListenAddrs()
	cl := client(t, brokers)
	spec := small(t)
	everything(t, cl, Spec{Ladder: ladder(t, "5s"), Names: spec.Names})
	create(t, cl, "delay.level.1m", 2, "cleanup.policy=compact", "retention.ms=30000", "retention.bytes=5", "max.message.bytes=1000000")
	steps := planned(t, cl, spec)
	if !steps.ToDo() {
		t.Error("nothing to do")
	}
	s := step(t, steps, "delay.level.1m")
	var got []string
	for _, d := range s.Drifts {
		got = append(got, fmt.Sprintf("%s %s→%s safe=%v unsafe=%v", d.Setting, d.Got, d.Want, d.Safe, d.Unsafe))
		if d.Risk == "" || d.Fix == "" {
			t.Errorf("no risk or no command: %+v", d)
		}
	}
	want := []string{
		"partitions 2→4 safe=false unsafe=false",
		"cleanup.policy compact→delete safe=true unsafe=true",
		"retention.ms 30000→-1 safe=true unsafe=true",
		"retention.bytes 5→-1 safe=true unsafe=true",
		"message.timestamp.type CreateTime→LogAppendTime safe=true unsafe=false",
		"segment.bytes 104857600→67108864 safe=true unsafe=false",
		"segment.ms 604800000→600000 safe=true unsafe=false",
		"max.message.bytes 1000000→1114124 safe=true unsafe=false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("drifts (-want +got):\n%s", diff)
	}
	configs := "kafka-configs.sh --bootstrap-server " + brokers[0] + " --alter --entity-type topics --entity-name delay.level.1m --add-config "
	commands := []string{
		configs + "cleanup.policy=delete,retention.ms=-1,retention.bytes=-1,message.timestamp.type=LogAppendTime," +
			"segment.bytes=67108864,segment.ms=600000,max.message.bytes=1114124",
		"kafka-topics.sh --bootstrap-server " + brokers[0] + " --alter --topic delay.level.1m --partitions 4",
	}
	if diff := cmp.Diff(commands, s.Commands); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	// Deleting by age begins at once, so that the age goes with it.
	if got, want := s.Drifts[1].Fix, configs+"cleanup.policy=delete,retention.ms=-1,retention.bytes=-1"; got != want {
		t.Errorf("fix of cleanup.policy\n%s\nwant\n%s", got, want)
	}

	results, err := Apply(t.Context(), cl, spec)
	if err != nil {
		t.Fatal(err)
	}
	updated := "delay.level.1m updated: set cleanup.policy=delete retention.ms=-1 retention.bytes=-1 message.timestamp.type=LogAppendTime " +
		"segment.bytes=67108864 segment.ms=600000 max.message.bytes=1114124; partitions 2, want 4: fewer processes can share its work"
	if got := lines(results)[2]; got != updated {
		t.Errorf("result\n%s\nwant\n%s", got, updated)
	}
	s = step(t, planned(t, cl, spec), "delay.level.1m")
	if len(s.Drifts) != 1 || s.Drifts[0].Setting != "partitions" || s.Action != ActionUpdate {
		t.Errorf("after it was fixed: %+v", s)
	}
	for _, r := range everything(t, cl, Spec{Ladder: ladder(t, "5s"), Names: spec.Names}) {
		if r.Outcome != OutcomeExisted {
			t.Errorf("what was right was touched: %v", r)
		}
	}
}

// What is more than is wanted is never made less.
func TestNothingIsShrunk(t *testing.T) {
	t.Parallel()
	cl := client(t, fake(t).ListenAddrs())
	spec := small(t)
	spec.OutageBudget = 24 * 3600e9
	create(t, cl, "delay.level.5s", 6, append(right[:len(right):len(right)], "max.message.bytes=5000000", "segment.bytes=1048576", "segment.ms=60000")...)
	before := settingsOf(t, cl, "delay.level.5s")
	results, err := Apply(t.Context(), cl, spec)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := lines(results)[1], "delay.level.5s drifted: partitions 6, want 4: nothing is lost by it"; got != want {
		t.Errorf("result %s, want %s", got, want)
	}
	if diff := cmp.Diff(before, settingsOf(t, cl, "delay.level.5s")); diff != "" {
		t.Errorf("settings (-before +after):\n%s", diff)
	}
	if steps := planned(t, cl, spec); steps.ToDo() { // more partitions may stay
		t.Errorf("something to do: %+v", steps)
	}
}

func TestRetentionAgainstTheOutageBudget(t *testing.T) {
	t.Parallel()
	cl := client(t, fake(t).ListenAddrs())
	spec := small(t)
	spec.OutageBudget = 7 * 24 * 3600e9
	everything(t, cl, spec)
	for topic, want := range map[string]string{
		"delay.inbox": "retention.ms=604800000", "delay.level.1m": "retention.ms=604860000", "delay.parked": "retention.ms=-1", "delay.dead": "retention.ms=-1",
	} {
		if got := settingsOf(t, cl, topic); !strings.Contains(strings.Join(got, " "), want) {
			t.Errorf("%s: %q, want %s", topic, got, want)
		}
	}
	if steps := planned(t, cl, spec); steps.ToDo() {
		t.Errorf("something to do: %+v", steps)
	}
	spec.OutageBudget *= 2
	if d := step(t, planned(t, cl, spec), "delay.level.1m").Drifts; len(d) != 1 || d[0].Want != "1209660000" {
		t.Errorf("drifts %+v, want one of retention", d)
	}
}

func TestPlanNamesWhoElseReads(t *testing.T) {
	t.Parallel()
	cl := client(t, fake(t).ListenAddrs())
	everything(t, cl, small(t))
	commit(t, cl, "billing", "delay.level.5s", 1, 0)
	steps := planned(t, cl, small(t))
	if s := step(t, steps, "delay.level.5s"); s.Action != ActionConflict || s.Err == nil || !steps.ToDo() || !strings.Contains(s.Err.Error(), "group billing has committed") {
		t.Errorf("step %+v", s)
	}
}

// A right that is missing is named: where it keeps a topic from being created the
// plan is complete, and where it keeps one from being described it is not.
func TestPlanNamesRights(t *testing.T) {
	t.Parallel()
	broker := fake(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "pw"), kfake.User("PLAIN", "maker", "pw",
		kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: "delay.inbox", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationAll, Allow: true},
		kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: "delay.level.", Pattern: kmsg.ACLResourcePatternTypePrefixed, Operation: kmsg.ACLOperationDescribe, Allow: true},
		kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: "delay.parked", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationDescribe, Allow: true},
		kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: "delay.parked", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationDescribeConfigs, Allow: true}))
	as := func(user string) *kgo.Client {
		return client(t, broker.ListenAddrs(), kgo.SASL(plain.Auth{User: user, Pass: "pw"}.AsMechanism()))
	}
	root, maker := as("root"), as("maker")
	create(t, root, "delay.level.1m", 4, right...)
	create(t, root, "delay.parked", 4, "max.message.bytes=1000000")

	steps, err := Plan(t.Context(), maker, small(t))
	if !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("error %v, want that topics cannot be looked at", err)
	}
	for topic, want := range map[string]string{
		"delay.inbox":    "create <nil>",
		"delay.level.5s": "create create topic delay.level.5s: TOPIC_AUTHORIZATION_FAILED: Not authorized to access topics: [Topic authorization failed.]; grant CREATE on topic delay.level.5s to this user, or let someone who has that right run delayd admin provision",
		"delay.level.1m": "unknown topic delay.level.1m: settings not verified: TOPIC_AUTHORIZATION_FAILED: Not authorized to access topics: [Topic authorization failed.]; grant DESCRIBE_CONFIGS on topic delay.level.1m to this user",
		"delay.parked":   "update <nil>",
		"delay.dead":     "unknown topic delay.dead: TOPIC_AUTHORIZATION_FAILED: Not authorized to access topics: [Topic authorization failed.]; grant DESCRIBE on topic delay.dead to this user",
	} {
		s := step(t, steps, topic)
		if got := fmt.Sprintf("%v %v", s.Action, s.Err); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", topic, got, want)
		}
	}
	if want := "not known how large a record the brokers take, and 1048588 bytes are assumed: CLUSTER_AUTHORIZATION_FAILED: " +
		"Cluster authorization failed.; grant DESCRIBE_CONFIGS on the cluster to this user"; steps[0].Note != want {
		t.Errorf("note %q, want %q", steps[0].Note, want)
	}

	results, _ := Apply(t.Context(), maker, small(t))
	want := "set retention.ms=-1 segment.bytes=67108864 segment.ms=600000 max.message.bytes=1179660 of topic delay.parked: " +
		"TOPIC_AUTHORIZATION_FAILED: Not authorized to access topics: [Topic authorization failed.]; grant ALTER_CONFIGS on topic delay.parked to this user"
	if r := results[3]; r.Outcome != OutcomeFailed || r.Err.Error() != want {
		t.Errorf("fixing without the right: %v\nwant %s", r.Err, want)
	}
}

func TestMinInSyncIsOnlyMendedWhereEnoughAre(t *testing.T) {
	t.Parallel()
	values := map[string]string{minInSync: "1"}
	drifts := func(f describe.Topic) []Drift {
		return (topic{kind: level}).drifts(Spec{}, cluster{}, f, values, tools{brokers: "k:1"})
	}
	if d := drifts(describe.Topic{Replicas: 3, InSync: 2}); len(d) != 1 || !d[0].Safe {
		t.Errorf("two in sync: %+v", d)
	}
	if d := drifts(describe.Topic{Replicas: 3, InSync: 1}); len(d) != 1 || d[0].Safe || !strings.Contains(d[0].Caution, "1 of 3 replicas is in sync") {
		t.Errorf("one in sync: %+v", d)
	}
	values[minInSync] = "2"
	if d := drifts(describe.Topic{Replicas: 1, InSync: 1}); len(d) != 1 || d[0].Safe || d[0].Risk != "nothing can be written to it" {
		t.Errorf("two of one: %+v", d)
	}
}
