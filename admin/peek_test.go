package admin

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// put writes a record that stands on a topic since a time.
func put(t *testing.T, cl *kgo.Client, rec *kgo.Record, since time.Time) {
	t.Helper()
	rec.Timestamp = since
	if err := cl.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func TestPeek(t *testing.T) {
	t.Parallel()
	cl := writer(t, fake(t).ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	at := func(s int) time.Time { return spring(0).Add(time.Duration(s) * time.Second) }
	for i, since := range []int{0, 10, 20} {
		put(t, cl, &kgo.Record{Topic: "delay.level.1m", Partition: 1, Value: fmt.Append(nil, "direct ", i), Headers: h("delay-target", "orders")}, at(since))
	}
	commit(t, cl, "delay.forwarder", "delay.level.1m", 1, 1) // the first is delivered
	routed := record.Hop(&kgo.Record{Key: []byte("k"), Value: []byte("routed"), Headers: h("a", "1", "delay-level", "50s")}, "delay.level.1m",
		levels.Facts{ID: "its id", Due: at(68).UnixMilli(), Accepted: at(10).UnixMilli(), Granted: "1m"})
	routed.Partition = 2
	put(t, cl, routed, at(15)) // by its timestamp it would be due at 75
	forged := record.Hop(&kgo.Record{Value: []byte("forged")}, "delay.level.1m", levels.Facts{ID: "i", Due: at(9999).UnixMilli(), Granted: "1m"})
	forged.Partition = 0
	put(t, cl, forged, at(30))

	list, err := Peek(t.Context(), cl, spec.Names, time.Minute, 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range list {
		got = append(got, fmt.Sprintf("%s %d/%d %s", p.Value.Text, p.Partition, p.Offset, p.Due.Sub(at(0))))
	}
	want := []string{"routed 2/0 1m8s", "direct 1 1/1 1m10.001s", "direct 2 1/2 1m20.001s", "forged 0/0 1m30.001s"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pending (-want +got):\n%s", diff)
	}
	first := &Pending{Topic: "delay.level.1m", Partition: 2, Due: at(68), ID: "its id",
		Key: NewPreview([]byte("k"), PreviewBytes), Value: NewPreview([]byte("routed"), PreviewBytes), Headers: NewHeaders(h("a", "1", "delay-level", "50s"), PreviewBytes)}
	if diff := cmp.Diff(first, list[0]); diff != "" {
		t.Errorf("the first (-want +got):\n%s", diff)
	}
	if want := record.OriginID(&kgo.Record{Topic: "delay.level.1m", Partition: 1, Offset: 1}, at(10).UnixMilli()); list[1].ID != want {
		t.Errorf("id %s, want %s", list[1].ID, want)
	}
	if list, err := Peek(t.Context(), cl, spec.Names, time.Minute, 2); len(list) != 2 || err != nil || list[1].Value.Text != "direct 1" {
		t.Errorf("the first two: %d, %v", len(list), err)
	}
	if list, err := Peek(t.Context(), cl, spec.Names, 5*time.Second, 2); len(list) != 0 || err != nil {
		t.Errorf("of an empty level: %d, %v", len(list), err)
	}
	_, err = Peek(t.Context(), cl, spec.Names, time.Hour, 2)
	if want := "topic delay.level.1h does not exist; delayd admin status shows those that do"; err == nil || err.Error() != want {
		t.Errorf("error %v\nwant  %s", err, want)
	}
}

// What was aborted is not pending, and neither is what nobody has ended yet.
func TestPeekSeesWhatReadersSee(t *testing.T) {
	t.Parallel()
	brokers := fake(t).ListenAddrs()
	cl, spec := writer(t, brokers), small(t)
	everything(t, cl, spec)
	txn := client(t, brokers, kgo.TransactionalID("producer"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := txn.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		put(t, txn, &kgo.Record{Topic: "delay.level.5s", Value: fmt.Append(nil, end)}, time.Now())
		if err := txn.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	if err := txn.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	put(t, txn, &kgo.Record{Topic: "delay.level.5s", Value: []byte("open")}, time.Now())
	defer txn.EndTransaction(t.Context(), kgo.TryAbort)

	list, err := Peek(t.Context(), cl, spec.Names, 5*time.Second, 10)
	if err != nil || len(list) != 1 || list[0].Value.Text != fmt.Sprint(kgo.TryCommit) {
		t.Errorf("%d pending, %v; want what was committed", len(list), err)
	}
	purge, err := NewPurge(t.Context(), cl, spec.Names, 5*time.Second)
	if err != nil || purge.Records != 6 {
		t.Errorf("%+v, %v; want three records and as many ends of transactions, without what is open", purge, err)
	}
}

func TestParked(t *testing.T) {
	t.Parallel()
	cl := writer(t, fake(t).ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	if list, err := Parked(t.Context(), cl, spec.Names); list == nil || len(list) > 0 || err != nil {
		t.Errorf("parked: %v, %v; want an empty list", list, err)
	}
	for _, p := range []struct {
		target     string
		partition  int32
		since, due int
	}{{"sick", 0, 1, 1}, {"sick", 0, 5, 4}, {"gone", 0, 7, 6}, {"sick", 3, 3, 2}} {
		rec := record.Parked(&kgo.Record{Key: []byte("k"), Value: []byte("1234")}, "delay.parked",
			levels.Facts{Topic: p.target, Partition: levels.ByKey, ID: "i", Granted: "5s", Since: spring(p.since).UnixMilli(), Due: spring(p.due).UnixMilli()})
		rec.Partition = p.partition
		put(t, cl, rec, spring(9))
	}
	appendAt(t, cl, "delay.parked", 1, spring(9))          // by somebody else
	commit(t, cl, "delay.forwarder", "delay.parked", 0, 1) // one is delivered
	list, err := Parked(t.Context(), cl, spec.Names)
	if err != nil {
		t.Fatal(err)
	}
	want := []*Waiting{
		{Target: "gone", Records: 1, Bytes: 5, Since: spring(7), OldestDue: spring(6)},
		{Target: "sick", Records: 2, Bytes: 10, Since: spring(3), OldestDue: spring(2)},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("parked (-want +got):\n%s", diff)
	}
}

func TestPurge(t *testing.T) {
	t.Parallel()
	cl := writer(t, fake(t).ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	for i := range 6 {
		appendAt(t, cl, "delay.level.1m", int32(i%2), spring(0))
	}
	appendAt(t, cl, "delay.level.5s", 0, spring(0))
	commit(t, cl, "delay.forwarder", "delay.level.1m", 1, 2)
	purge, err := NewPurge(t.Context(), cl, spec.Names, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	want := []PurgePartition{{0, 0, 3}, {1, 2, 3}, {2, 0, 0}, {3, 0, 0}}
	if purge.Records != 4 || !slices.Equal(purge.Partitions, want) {
		t.Errorf("%d records: %v; want 4: %v", purge.Records, purge.Partitions, want)
	}
	if n := pendingOf(t, cl, spec, "1m"); n != 4 {
		t.Errorf("%d are pending, want 4: nothing was to be deleted yet", n)
	}
	appendAt(t, cl, "delay.level.1m", 0, spring(0)) // after it was counted
	if err := purge.Do(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	if n, other := pendingOf(t, cl, spec, "1m"), pendingOf(t, cl, spec, "5s"); n != 1 || other != 1 {
		t.Errorf("%d are pending and %d on the other level, want 1 and 1", n, other)
	}
	told, err := offsets.Committed(t.Context(), kadm.NewClient(cl), "delay.purged")
	if err != nil {
		t.Fatal(err)
	}
	wantTold := map[offsets.Partition]int64{{Topic: "delay.level.1m", Partition: 0}: 3, {Topic: "delay.level.1m", Partition: 1}: 3}
	if diff := cmp.Diff(wantTold, told); diff != "" {
		t.Errorf("told to the forwarders (-want +got):\n%s", diff)
	}
	// The group that tells it is no other owner of the level.
	if _, err := Ensure(t.Context(), cl, spec); err != nil {
		t.Errorf("the service would not start: %v", err)
	}
}

func pendingOf(t *testing.T, cl *kgo.Client, spec Spec, level string) int64 {
	t.Helper()
	for _, l := range inspect(t, cl, spec, spring(0)).Levels {
		if l.Level == level {
			return l.Pending
		}
	}
	t.Fatalf("no level %s", level)
	return 0
}
