package admin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/delayd-io/delayd/levels"
)

// writer is a client that writes to the partition of the record.
func writer(t *testing.T, brokers []string) *kgo.Client {
	t.Helper()
	return client(t, brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
}

func inspect(t *testing.T, cl *kgo.Client, spec Spec, now time.Time) Status {
	t.Helper()
	s, err := Inspect(t.Context(), cl, spec, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A topic that we may not see is not one that does not exist.
func TestInspectWithoutTheRightToLook(t *testing.T) {
	t.Parallel()
	root, user := limited(t)
	everything(t, root, small(t))
	_, err := Inspect(t.Context(), user, small(t), time.Now())
	for _, topic := range small(t).topics() {
		name := topic.name
		if !topic.carries() {
			continue // status does without
		}
		if err == nil || !strings.Contains(err.Error(), "grant DESCRIBE on topic "+name+" to this user") {
			t.Errorf("error %v, want one that names %s", err, name)
		}
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	cl := writer(t, fake(t).ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	now := time.UnixMilli(1_700_000_000_000)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }

	// The 5s level: two are handled, one is overdue, one is due in this
	// millisecond, one in the next and one later.
	for _, age := range []time.Duration{9 * time.Second, 8 * time.Second, 7 * time.Second, 5*time.Second + time.Millisecond,
		5 * time.Second, time.Second} {
		appendAt(t, cl, "delay.level.5s", 1, ago(age))
	}
	commit(t, cl, "delay.forwarder", "delay.level.5s", 1, 2)
	// The 1m level: nothing is committed, and nothing overdue.
	appendAt(t, cl, "delay.level.1m", 0, ago(10*time.Second))
	appendAt(t, cl, "delay.level.1m", 3, ago(20*time.Second))
	// A level of yesterday's ladder.
	create(t, cl, "delay.level.30s", 2)
	appendAt(t, cl, "delay.level.30s", 0, ago(10*time.Second))
	// The others.
	oldest := ago(3 * time.Second)
	for range 3 {
		appendAt(t, cl, "delay.inbox", 0, oldest)
		appendAt(t, cl, "delay.parked", 0, oldest)
		appendAt(t, cl, "delay.dead", 0, now)
	}
	commit(t, cl, "delay.router", "delay.inbox", 0, 1)
	commit(t, cl, "delay.forwarder", "delay.parked", 0, 2)
	create(t, cl, "delay.level.60s", 1) // nobody's: a level is spelled 1m
	create(t, cl, "orders", 1)

	due := func(age, delay time.Duration) *time.Time {
		at := ago(age).Add(delay + time.Millisecond)
		return &at
	}
	want := Status{
		At:    now,
		Inbox: TopicStatus{Topic: "delay.inbox", Partitions: 4, Pending: 2, Oldest: &oldest},
		Levels: []TopicStatus{
			{Level: "5s", Topic: "delay.level.5s", Partitions: 4, Pending: 4, Overdue: 2, NextDue: due(7*time.Second, 5*time.Second),
				DueWithin: &DueWithin{2, 2, 2}},
			{Level: "30s", Topic: "delay.level.30s", Partitions: 2, Pending: 1, NextDue: due(10*time.Second, 30*time.Second),
				DueWithin: &DueWithin{1, 1, 1}, Retired: true},
			{Level: "1m", Topic: "delay.level.1m", Partitions: 4, Pending: 2, NextDue: due(20*time.Second, time.Minute), DueWithin: &DueWithin{2, 2, 2}},
		},
		Parked: TopicStatus{Topic: "delay.parked", Partitions: 4, Pending: 1, Oldest: &oldest},
		Dead:   TopicStatus{Topic: "delay.dead", Partitions: 1, Pending: 3},
	}
	if diff := cmp.Diff(want, inspect(t, cl, spec, now)); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}

	// All is delivered.
	commit(t, cl, "delay.forwarder", "delay.level.5s", 1, 6)
	got := inspect(t, cl, spec, now).Levels[0]
	if diff := cmp.Diff(TopicStatus{Level: "5s", Topic: "delay.level.5s", Partitions: 4, DueWithin: new(DueWithin)}, got); diff != "" {
		t.Errorf("status when nothing is pending (-want +got):\n%s", diff)
	}
}

// TestWhatIsDeletedIsNotPending: the group's offsets can be lost, or be behind
// what someone deleted by hand.
func TestWhatIsDeletedIsNotPending(t *testing.T) {
	t.Parallel()
	broker := fake(t)
	cl := writer(t, broker.ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	now := time.UnixMilli(1_700_000_000_000)
	for range 10 {
		appendAt(t, cl, "delay.level.5s", 0, now.Add(-time.Hour))
	}
	if err := broker.DeleteRecords("delay.level.5s", 0, 7); err != nil {
		t.Fatal(err)
	}
	for _, committed := range []int64{-1, 3} {
		if committed >= 0 {
			commit(t, cl, "delay.forwarder", "delay.level.5s", 0, committed)
		}
		if got := inspect(t, cl, spec, now).Levels[0]; got.Pending != 3 || got.Overdue != 3 {
			t.Errorf("committed %d: pending %d, overdue %d; want 3, 3", committed, got.Pending, got.Overdue)
		}
	}
}

func TestInspectBeforeThereAreTopics(t *testing.T) {
	t.Parallel()
	got := inspect(t, client(t, fake(t).ListenAddrs()), small(t), time.UnixMilli(0))
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"at":"` + time.UnixMilli(0).Format(time.RFC3339Nano) + `",` +
		`"inbox":{"topic":"delay.inbox","partitions":0,"pending":0,"overdue":0,"next_due":null,"members":0},` +
		`"levels":[{"level":"5s","topic":"delay.level.5s","partitions":0,"pending":0,"overdue":0,"next_due":null,"due_within":{"1m":0,"10m":0,"1h":0},"members":0},` +
		`{"level":"1m","topic":"delay.level.1m","partitions":0,"pending":0,"overdue":0,"next_due":null,"due_within":{"1m":0,"10m":0,"1h":0},"members":0}],` +
		`"parked":{"topic":"delay.parked","partitions":0,"pending":0,"overdue":0,"next_due":null,"members":0},` +
		`"dead":{"topic":"delay.dead","partitions":0,"pending":0,"overdue":0,"next_due":null,"members":0}}`
	if string(text) != want {
		t.Errorf("JSON\n%s\nwant\n%s", text, want)
	}
}

func TestMembersAreCountedByTopic(t *testing.T) {
	t.Parallel()
	broker := fake(t)
	cl := client(t, broker.ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	for range 2 {
		client(t, broker.ListenAddrs(), kgo.ConsumerGroup("delay.forwarder"), kgo.ConsumeTopics("delay.level.5s"), kgo.DisableAutoCommit())
	}
	balanced := func() bool {
		s := inspect(t, cl, spec, time.Now())
		return s.Levels[0].Members == 2 && s.Levels[1].Members == 0 && s.Inbox.Members == 0
	}
	for !balanced() {
		if _, err := broker.WaitGroupStable(t.Context(), "delay.forwarder", 2); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWithoutRightsOnGroupsThereIsNoStatus(t *testing.T) {
	t.Parallel()
	root, user := limited(t, kmsg.ACLOperationDescribe)
	everything(t, root, small(t))
	_, err := Inspect(t.Context(), user, small(t), time.Now())
	if err == nil {
		t.Fatal("no error; counting without commits would call everything pending")
	}
}

// TestInspectAgreesWithAFullScan counts random logs in both ways.
func TestInspectAgreesWithAFullScan(t *testing.T) {
	t.Parallel()
	brokers := fake(t).ListenAddrs()
	cl := writer(t, brokers)
	now := time.UnixMilli(1_700_000_000_000)
	const partitions = 2
	installations := 0
	rapid.Check(t, func(rt *rapid.T) {
		installations++
		spec := Spec{Ladder: ladder(t, "5s 1m 10m 15m 2h"), Names: levels.Names{Prefix: fmt.Sprint("i", installations)}, Partitions: partitions}
		everything(t, cl, spec)

		var want []TopicStatus
		for l := range spec.Ladder.All() {
			row := TopicStatus{Level: l.String(), Topic: spec.Names.Level(l), Partitions: partitions, DueWithin: new(DueWithin)}
			for p := range int32(partitions) {
				ages := rapid.SliceOfN(rapid.Int64Range(0, 3*l.Delay.Milliseconds()), 0, 12).Draw(rt, "ages")
				slices.Sort(ages)
				var written []time.Time
				for _, age := range slices.Backward(ages) {
					at := now.Add(-time.Duration(age) * time.Millisecond)
					appendAt(t, cl, row.Topic, p, at)
					written = append(written, at)
				}
				handled := rapid.IntRange(0, len(written)).Draw(rt, "handled")
				if handled > 0 {
					commit(t, cl, spec.Names.ForwarderGroup(), row.Topic, p, int64(handled))
				}
				recount(&row, written[handled:], l.Delay, now)
			}
			want = append(want, row)
		}
		got := inspect(t, cl, spec, now).Levels
		tolerant := cmp.Comparer(func(a, b *time.Time) bool {
			return (a == nil) == (b == nil) && (a == nil || a.Sub(*b).Abs() <= 7*time.Hour/2000)
		})
		if diff := cmp.Diff(want, got, tolerant); diff != "" {
			rt.Fatalf("levels (-scanned +looked up):\n%s", diff)
		}
	})
}

// scan counts records one by one.
func recount(row *TopicStatus, pending []time.Time, delay time.Duration, now time.Time) {
	for _, at := range pending {
		due := at.Add(delay + time.Millisecond)
		row.Pending++
		if !due.After(now) {
			row.Overdue++
		}
		if row.NextDue == nil || due.Before(*row.NextDue) {
			row.NextDue = &due
		}
		for horizon, n := range row.DueWithin.horizons() {
			if due.After(now) && !due.After(now.Add(horizon)) {
				*n++
			}
		}
	}
}
