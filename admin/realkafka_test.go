//go:build realkafka

package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/kafkatest"
	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/levels"
)

// TestOnKafka runs what a fake broker cannot vouch for against Apache Kafka.
// Every part has a prefix of its own.
func TestOnKafka(t *testing.T) {
	brokers := kafkatest.Start(t).Brokers()
	for name, test := range map[string]func(*testing.T, []string, Spec){
		"twice":       provisionTwice,
		"ten-at-once": provisionTenAtOnce,
		"unsafe":      refuseUnsafe,
		"drift":       fixDrifts,
		"others":      refuseOtherGroups,
		"scan":        statusAgreesWithScan,
	} {
		t.Run(name, func(t *testing.T) {
			test(t, brokers, Spec{Ladder: levels.Default(), Names: levels.Names{Prefix: name}})
		})
	}
}

func provisionTwice(t *testing.T, brokers []string, spec Spec) {
	cl := client(t, brokers)
	for _, outcome := range []Outcome{OutcomeCreated, OutcomeExisted} {
		results := everything(t, cl, spec)
		if len(results) != spec.Ladder.Len()+5 {
			t.Errorf("%d results for %d levels", len(results), spec.Ladder.Len())
		}
		for _, r := range results {
			if r.Outcome != outcome || r.Detail != "" {
				t.Errorf("%s: %v %s, want %v", r.Topic, r.Outcome, r.Detail, outcome)
			}
		}
	}
	want := []string{"cleanup.policy=delete", "max.message.bytes=1114124", "message.timestamp.type=LogAppendTime",
		"retention.bytes=-1", "retention.ms=-1", "segment.bytes=67108864", "segment.ms=1800000"}
	if diff := cmp.Diff(want, settingsOf(t, cl, spec.Names.Level(spec.Ladder.Last()))); diff != "" {
		t.Errorf("settings of the last level (-want +got):\n%s", diff)
	}
}

func provisionTenAtOnce(t *testing.T, brokers []string, spec Spec) {
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
	for _, topic := range spec.topics() {
		if created[topic.name] != 1 {
			t.Errorf("%s was created %d times, want once", topic.name, created[topic.name])
		}
	}
}

func refuseUnsafe(t *testing.T, brokers []string, spec Spec) {
	cl := client(t, brokers)
	spec.Ladder = ladder(t, "5s 1m")
	create(t, cl, "unsafe.level.5s", 4, "cleanup.policy=compact")
	create(t, cl, "unsafe.level.1m", 4, "retention.ms=30000")
	create(t, cl, "unsafe.parked", 4, "retention.bytes=1000000")
	create(t, cl, "unsafe.dead", 2) // with the broker's settings: kept for a week
	results, err := Ensure(t.Context(), cl, spec)
	want := strings.ReplaceAll("topic unsafe.level.5s: cleanup.policy=compact would delete every record but the last of its key, handled or not; "+
		"fix it with kafka-configs.sh --bootstrap-server BROKERS --alter --entity-type topics --entity-name unsafe.level.5s --add-config cleanup.policy=delete,retention.ms=-1\n"+
		"topic unsafe.level.1m: retention.ms=30000 (30s) would delete records before they are delivered: it must be longer than the level (1m), or -1 for no end; "+
		"fix it with kafka-configs.sh --bootstrap-server BROKERS --alter --entity-type topics --entity-name unsafe.level.1m --add-config retention.ms=-1\n"+
		"topic unsafe.parked: retention.bytes=1000000 would delete the oldest records of a partition that holds more, before they are delivered: "+
		"it must be -1 for no end; "+
		"fix it with kafka-configs.sh --bootstrap-server BROKERS --alter --entity-type topics --entity-name unsafe.parked --add-config retention.bytes=-1",
		"BROKERS", strings.Join(brokers, ","))
	if err == nil || err.Error() != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
	var dead string
	for _, line := range lines(results) {
		if strings.HasPrefix(line, "unsafe.dead ") {
			dead = line
		}
	}
	if want := "unsafe.dead drifted: partitions 2, want 1: nothing is lost by it; " +
		"retention.ms=604800000, want -1: dead letters are deleted after 7d; " +
		"max.message.bytes=1048588, want 1179660: a record near the inbox's limit does not fit with the headers that are added"; dead != want {
		t.Errorf("dead letters\n%s\nwant\n%s", dead, want)
	}

	// What the messages say fixes it. An enforced retention has done its harm by
	// then, which nobody can fix.
	for topic, s := range map[string]setting{
		"unsafe.level.5s": {cleanupPolicy, "delete"}, "unsafe.level.1m": {retentionMs, "-1"}, "unsafe.parked": {retentionBytes, "-1"},
	} {
		alter := []kadm.AlterConfig{{Name: s.key, Value: &s.value}}
		if _, err := kadm.NewClient(cl).AlterTopicConfigs(t.Context(), alter, topic); err != nil {
			t.Fatal(err)
		}
	}
	for { // a broker may tell the old settings for a moment
		if _, err := Ensure(t.Context(), cl, spec); err == nil {
			return
		} else if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

// fixDrifts plans and fixes what Kafka itself makes of topics that nobody thought
// about, and of one that somebody thought wrong of.
func fixDrifts(t *testing.T, brokers []string, spec Spec) {
	cl := client(t, brokers)
	spec.Ladder = ladder(t, "5s 1m")
	if steps := planned(t, cl, spec); len(steps) != 7 || steps[0].Action != ActionCreate || steps[0].Err != nil {
		t.Errorf("plan of nothing: %+v", steps)
	}
	create(t, cl, "drift.inbox", 4)
	create(t, cl, "drift.level.5s", 4, "cleanup.policy=compact", "retention.ms=5000", "retention.bytes=1000000", "max.message.bytes=1000")
	create(t, cl, "drift.parked", 2, "cleanup.policy=compact,delete")

	var drifts []string
	for _, d := range step(t, planned(t, cl, spec), "drift.level.5s").Drifts {
		drifts = append(drifts, d.Setting+" "+d.Got)
	}
	want := []string{"cleanup.policy compact", "retention.ms 5000", "retention.bytes 1000000", "message.timestamp.type CreateTime",
		"segment.bytes 1073741824", "segment.ms 604800000", "max.message.bytes 1000"}
	if diff := cmp.Diff(want, drifts); diff != "" {
		t.Errorf("drifts (-want +got):\n%s", diff)
	}

	results, err := Apply(t.Context(), cl, spec)
	if err != nil {
		t.Fatal(err)
	}
	var outcomes []string
	for _, r := range results {
		outcomes = append(outcomes, r.Topic+" "+r.Outcome.String())
	}
	want = []string{"drift.inbox updated", "drift.level.5s updated", "drift.level.1m created", "drift.parked updated", "drift.dead created",
		"drift.control created", "drift.cancel created"}
	if diff := cmp.Diff(want, outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	// The broker shows what the controller has accepted a moment later.
	for steps := planned(t, cl, spec); len(step(t, steps, "drift.level.5s").Drifts)+len(step(t, steps, "drift.inbox").Drifts) > 0; steps = planned(t, cl, spec) {
		if t.Context().Err() != nil {
			t.Fatalf("still to do: %+v", steps)
		}
	}
	if d := step(t, planned(t, cl, spec), "drift.parked").Drifts; len(d) != 1 || d[0].Setting != "partitions" {
		t.Errorf("parked: %+v, want that partitions are left to a person", d)
	}
}

func refuseOtherGroups(t *testing.T, brokers []string, spec Spec) {
	cl := client(t, brokers)
	adm := kadm.NewClient(cl)
	spec.Ladder = ladder(t, "5s 1m")
	everything(t, cl, spec)
	commit(t, cl, "others.forwarder", "others.level.5s", 0, 0)
	commit(t, cl, "billing", "others.level.5s", 1, 0)
	reader := client(t, brokers, kgo.ConsumerGroup("audit"), kgo.ConsumeTopics("others.level.1m"), kgo.DisableAutoCommit())
	for len(assigned(t.Context(), adm, []string{"audit"}, []string{"others.level.1m"})) == 0 {
		if t.Context().Err() != nil {
			t.Fatal("the group audit did not come to be")
		}
	}

	results, err := Ensure(t.Context(), cl, spec)
	// Our own group has offsets on one of the two.
	const shared = "topic others.level.5s: group billing has committed offsets on it, and a level topic has one owning group, here others.forwarder; "
	if r := results[1]; r.Outcome != OutcomeShared || !strings.HasPrefix(r.Detail, shared) {
		t.Errorf("result %+v\nwant\n%s…", r, shared)
	}
	const refused = "topic others.level.1m: group audit has members that read it, and a level topic has one owning group, here others.forwarder; "
	if err == nil || !strings.HasPrefix(err.Error(), refused) {
		t.Errorf("error\n%v\nwant\n%s…", err, refused)
	}

	reader.Close()
	if _, err := adm.DeleteOffsets(t.Context(), "billing", kadm.TopicsSet{"others.level.5s": {1: {}}}); err != nil {
		t.Fatal(err)
	}
	everything(t, cl, spec)
}

// statusAgreesWithScan fills two levels in batches, with producers' transactions
// among them, and counts at many times what is pending and overdue.
func statusAgreesWithScan(t *testing.T, brokers []string, spec Spec) {
	spec.Ladder, spec.Partitions = ladder(t, "1s 1m"), 2
	cl := writer(t, brokers)
	everything(t, cl, spec)
	fill(t, brokers, "scan.level.1s", "scan.level.1m")
	logs := scanLogs(t, brokers, "scan.level.1s", "scan.level.1m")

	for round, share := range []int{0, 1, 3, 7, 10} { // tenths that are handled
		var want []TopicStatus
		now := logs[offsets.Partition{Topic: "scan.level.1m", Partition: 0}][40*round].Add(time.Minute + time.Millisecond)
		for l := range spec.Ladder.All() {
			row := TopicStatus{Level: l.String(), Topic: spec.Names.Level(l), Partitions: 2, DueWithin: new(DueWithin)}
			for p := range int32(2) {
				log := logs[offsets.Partition{Topic: row.Topic, Partition: p}]
				handled := len(log) * share / 10
				commit(t, cl, spec.Names.ForwarderGroup(), row.Topic, p, int64(handled))
				recount(&row, log[handled:], l.Delay, now)
			}
			want = append(want, row)
		}
		tolerant := cmp.Comparer(func(found, scanned *time.Time) bool {
			return (found == nil) == (scanned == nil) && (found == nil || found.Sub(*scanned).Abs() <= 3*time.Minute/2000)
		})
		if diff := cmp.Diff(want, inspect(t, cl, spec, now).Levels, tolerant); diff != "" {
			t.Errorf("%d tenths handled (-scanned +looked up):\n%s", share, diff)
		}
	}
}

// fill writes batches of several records to both partitions of the topics,
// waiting for each, then some in transactions, every other one aborted.
func fill(t *testing.T, brokers []string, topics ...string) {
	t.Helper()
	plain := client(t, brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	txn := client(t, brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("fill"))
	batch := func(size int) []*kgo.Record {
		var recs []*kgo.Record
		for _, topic := range topics {
			for i := range size {
				recs = append(recs, &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: fmt.Append(nil, i)})
			}
		}
		return recs
	}
	for i := range 60 {
		if err := plain.ProduceSync(t.Context(), batch(1+i%11)...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 6 {
		if err := txn.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		err := txn.ProduceSync(t.Context(), batch(4)...).FirstErr()
		if err := errors.Join(err, txn.EndTransaction(t.Context(), i%2 == 0)); err != nil {
			t.Fatal(err)
		}
	}
}

// scanLogs reads the timestamps of all that is on the topics, the ends of
// transactions included, which offsets number too.
func scanLogs(t *testing.T, brokers []string, topics ...string) map[offsets.Partition][]time.Time {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cl := client(t, brokers, kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadUncommitted()))
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topics...)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	ends.Each(func(o kadm.ListedOffset) { total += int(o.Offset) })
	logs := make(map[offsets.Partition][]time.Time)
	for read := 0; read < total; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", read, total, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Attrs.TimestampType() != 1 {
				t.Errorf("%s/%d@%d does not carry the broker's time", r.Topic, r.Partition, r.Offset)
			}
			p := offsets.Partition{Topic: r.Topic, Partition: r.Partition}
			logs[p] = append(logs[p], r.Timestamp)
			read++
		})
	}
	return logs
}
