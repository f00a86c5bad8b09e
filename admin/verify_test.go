package admin

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/describe"
)

// right is what a topic that is as it should be was created with.
var right = []string{
	"cleanup.policy=delete", "retention.ms=-1", "retention.bytes=-1", "message.timestamp.type=LogAppendTime",
	"max.message.bytes=1179660", // the broker's default and 128 KiB
}

func TestDriftsAndWhatTheyRisk(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		topic      string
		partitions int32
		change     string
		want       string
	}{
		{"nothing", "delay.level.1m", 4, "", "existed"},
		{"fewer partitions", "delay.level.1m", 2, "",
			"drifted: partitions 2, want 4: fewer processes can share its work"},
		{"more partitions", "delay.inbox", 6, "",
			"drifted: partitions 6, want 4: nothing is lost by it"},
		{"dead letters are one partition", "delay.dead", 4, "",
			"drifted: partitions 4, want 1: nothing is lost by it"},
		{"CreateTime on a level", "delay.level.1m", 4, "message.timestamp.type=CreateTime",
			"drifted: message.timestamp.type=CreateTime, want LogAppendTime: the wait is counted from the producers' clocks, " +
				"never longer than the level, and what is overdue is a guess"},
		{"CreateTime on the inbox", "delay.inbox", 4, "message.timestamp.type=CreateTime",
			"drifted: message.timestamp.type=CreateTime, want LogAppendTime: the wait is counted from the producers' clocks"},
		{"CreateTime where nobody waits", "delay.parked", 4, "message.timestamp.type=CreateTime", "existed"},
		{"retention of a level", "delay.level.1m", 4, "retention.ms=604860000",
			"drifted: retention.ms=604860000, want -1: records that are more than 7d late are deleted instead of delivered"},
		{"retention just above the level", "delay.level.1m", 4, "retention.ms=60001",
			"drifted: retention.ms=60001, want -1: records that are more than 1ms late are deleted instead of delivered"},
		{"retention of the inbox", "delay.inbox", 4, "retention.ms=3600000",
			"drifted: retention.ms=3600000, want -1: records that are not handled within 1h are deleted"},
		{"retention of the dead letters", "delay.dead", 1, "retention.ms=86400000",
			"drifted: retention.ms=86400000, want -1: dead letters are deleted after 1d"},
		{"retention without end, spelled as Kafka's most", "delay.level.1m", 4, "retention.ms=9223372036854775807", "existed"},
		{"retention by size of the inbox", "delay.inbox", 4, "retention.bytes=1000000",
			"drifted: retention.bytes=1000000, want -1: a partition that holds more deletes its oldest records, handled or not"},
		{"retention by size of the dead letters", "delay.dead", 1, "retention.bytes=1000000",
			"drifted: retention.bytes=1000000, want -1: a partition that holds more deletes its oldest records, handled or not"},
		{"small records only", "delay.level.1m", 4, "max.message.bytes=1048588",
			"drifted: max.message.bytes=1048588, want 1114124: a record near the inbox's limit does not fit with the headers that are added"},
		{"an inbox that takes more than its level", "delay.inbox", 4, "max.message.bytes=2000000", "existed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cl := client(t, fake(t).ListenAddrs())
			settings := right
			if tc.change != "" {
				settings = append(settings[:len(settings):len(settings)], tc.change) // the last of a key counts
			}
			create(t, cl, tc.topic, tc.partitions, settings...)
			for _, r := range everything(t, cl, small(t)) {
				if r.Topic == tc.topic {
					if diff := cmp.Diff(tc.topic+" "+tc.want, lines(Results{r})[0]); diff != "" {
						t.Errorf("result (-want +got):\n%s", diff)
					}
				}
			}
		})
	}
}

func TestInboxThatTakesMoreThanTheLevels(t *testing.T) {
	t.Parallel()
	cl := client(t, fake(t).ListenAddrs())
	create(t, cl, "delay.inbox", 4, append(right[:len(right):len(right)], "max.message.bytes=2000000")...)
	create(t, cl, "delay.level.5s", 4, right...)
	results := everything(t, cl, small(t))
	want := "max.message.bytes=1179660, want 2065536: a record near the inbox's limit does not fit with the headers that are added"
	if results[1].Detail != want {
		t.Errorf("%s: %q, want %q", results[1].Topic, results[1].Detail, want)
	}
	if got := settingsOf(t, cl, "delay.level.1m"); !slices.Contains(got, "max.message.bytes=2065536") { // it is new
		t.Errorf("a new level was made with %q", got)
	}
}

func TestReplicaDrifts(t *testing.T) {
	t.Parallel()
	cl := client(t, fake(t, kfake.NumBrokers(3)).ListenAddrs())
	create(t, cl, "delay.inbox", 4, right...) // one replica
	spec := small(t)
	for replicas, want := range map[int16]string{
		0: "replicas 1 on 3 brokers, want at least 2: the loss of one broker loses the records that wait there",
		1: "",
		3: "replicas 1, want 3: fewer brokers may be lost before records are",
	} {
		spec.Replicas = replicas
		results, err := Ensure(t.Context(), cl, spec)
		if err != nil {
			t.Fatal(err)
		}
		if got := results[0].Detail; got != want {
			t.Errorf("replicas %d: %q, want %q", replicas, got, want)
		}
	}
}

func TestOneInSyncReplicaOfThree(t *testing.T) {
	t.Parallel()
	values := map[string]string{minInSync: "1"}
	drifts := func(f describe.Topic) (list []string) {
		for _, d := range (topic{kind: level}).drifts(Spec{}, cluster{}, f, values, tools{}) {
			list = append(list, d.String())
		}
		return list
	}
	got := drifts(describe.Topic{Replicas: 3})
	want := []string{"min.insync.replicas=1 with 3 replicas, want 2: a record can be acknowledged and then lost with one broker"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("drifts (-want +got):\n%s", diff)
	}
	if got := drifts(describe.Topic{Replicas: 1}); got != nil {
		t.Errorf("one replica: %v, want nothing", got)
	}
}

func TestSettingsThatLoseRecordsAreRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		topic, change, want string
	}{
		{"delay.level.1m", "cleanup.policy=compact",
			"topic delay.level.1m: cleanup.policy=compact would delete every record but the last of its key, handled or not; " +
				"fix it with kafka-configs.sh --bootstrap-server BROKERS --alter --entity-type topics --entity-name delay.level.1m " +
				"--add-config cleanup.policy=delete"},
		{"delay.dead", "cleanup.policy=compact,delete",
			"topic delay.dead: cleanup.policy=compact,delete would delete every record but the last of its key, handled or not; " +
				"fix it with kafka-configs.sh --bootstrap-server BROKERS --alter --entity-type topics --entity-name delay.dead " +
				"--add-config cleanup.policy=delete"},
		{"delay.level.1m", "retention.ms=30000",
			"topic delay.level.1m: retention.ms=30000 (30s) would delete records before they are delivered: " +
				"it must be longer than the level (1m), or -1 for no end; " +
				"fix it with kafka-configs.sh --bootstrap-server BROKERS --alter --entity-type topics --entity-name delay.level.1m " +
				"--add-config retention.ms=-1"},
		{"delay.level.1m", "retention.ms=60000",
			"topic delay.level.1m: retention.ms=60000 (1m) would delete records before they are delivered: " +
				"it must be longer than the level (1m), or -1 for no end; " +
				"fix it with kafka-configs.sh --bootstrap-server BROKERS --alter --entity-type topics --entity-name delay.level.1m " +
				"--add-config retention.ms=-1"},
		{"delay.level.1m", "retention.bytes=0",
			"topic delay.level.1m: retention.bytes=0 would delete the oldest records of a partition that holds more, before they are delivered: " +
				"it must be -1 for no end; " +
				"fix it with kafka-configs.sh --bootstrap-server BROKERS --alter --entity-type topics --entity-name delay.level.1m " +
				"--add-config retention.bytes=-1"},
		{"delay.parked", "retention.bytes=1000000",
			"topic delay.parked: retention.bytes=1000000 would delete the oldest records of a partition that holds more, before they are delivered: " +
				"it must be -1 for no end; " +
				"fix it with kafka-configs.sh --bootstrap-server BROKERS --alter --entity-type topics --entity-name delay.parked " +
				"--add-config retention.bytes=-1"},
	} {
		t.Run(tc.topic+" "+tc.change, func(t *testing.T) {
			t.Parallel()
			brokers := fake(t).ListenAddrs()
			cl := client(t, brokers)
			create(t, cl, tc.topic, 4, append(right[:len(right):len(right)], tc.change)...)
			results, err := Ensure(t.Context(), cl, small(t))
			want := strings.ReplaceAll(tc.want, "BROKERS", strings.Join(brokers, ","))
			if err == nil || err.Error() != want {
				t.Errorf("error\n%v\nwant\n%s", err, want)
			}
			for _, r := range results {
				if strings.Contains(r.Detail, tc.change) {
					t.Errorf("%s: the detail says again what the error says: %s", r.Topic, r.Detail)
				}
			}
		})
	}
}

// Where our own group has offsets, another one that came to look does not keep the
// service from starting; where it has none, that may be the owner.
func TestOtherGroupsOffsetsOnALevel(t *testing.T) {
	t.Parallel()
	brokers := fake(t).ListenAddrs()
	cl := client(t, brokers)
	spec := small(t)
	everything(t, cl, spec)
	create(t, cl, "orders", 1)
	commit(t, cl, "delay.forwarder", "delay.level.5s", 0, 0) // the owner
	commit(t, cl, "audit", "delay.inbox", 0, 0)              // only level topics have one owner
	commit(t, cl, "audit", "orders", 0, 0)
	everything(t, cl, spec)

	told := func(level string) string {
		return "topic delay.level." + level + ": group billing has committed offsets on it, and a level topic has one owning group, here delay.forwarder; " +
			"stop that group and forget its offsets with kafka-consumer-groups.sh --bootstrap-server " + brokers[0] +
			" --delete-offsets --group billing --topic delay.level." + level + ", or give one of the two another --prefix"
	}
	commit(t, cl, "billing", "delay.level.5s", 1, 0)
	results, err := Ensure(t.Context(), cl, spec)
	if err != nil || results[1].Outcome != OutcomeShared || results[1].Detail != told("5s") {
		t.Errorf("error %v, result %+v", err, results[1])
	}
	if err := results.Transient(); err != nil {
		t.Errorf("worth waiting: %v", err)
	}
	steps, err := Plan(t.Context(), cl, spec)
	if err != nil || steps[1].Action != ActionConflict || steps[1].Note != told("5s") {
		t.Errorf("error %v, step %+v", err, steps[1])
	}

	commit(t, cl, "billing", "delay.level.1m", 1, 0)
	if results, err := Ensure(t.Context(), cl, spec); err == nil || err.Error() != told("1m") || results.Transient() != nil {
		t.Errorf("error\n%v\nwant\n%s", err, told("1m"))
	}
}

func TestOtherGroupsMembersOnALevelAreRefused(t *testing.T) {
	t.Parallel()
	broker := fake(t)
	cl := client(t, broker.ListenAddrs())
	everything(t, cl, small(t))
	client(t, broker.ListenAddrs(), kgo.ConsumerGroup("delay.forwarder"), kgo.ConsumeTopics("delay.level.1m"), kgo.DisableAutoCommit())
	if _, err := broker.WaitGroupStable(t.Context(), "delay.forwarder", 1); err != nil {
		t.Fatal(err)
	}
	everything(t, cl, small(t))
	client(t, broker.ListenAddrs(), kgo.ConsumerGroup("billing"), kgo.ConsumeTopics("delay.level.1m"), kgo.DisableAutoCommit())
	if _, err := broker.WaitGroupStable(t.Context(), "billing", 1); err != nil {
		t.Fatal(err)
	}
	_, err := Ensure(t.Context(), cl, small(t))
	want := "topic delay.level.1m: group billing has members that read it, and a level topic has one owning group, here delay.forwarder; " +
		"stop that group, or give one of the two another --prefix"
	if err == nil || err.Error() != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
}
