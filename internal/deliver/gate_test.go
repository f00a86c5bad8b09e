//go:build synctests

package deliver

import (
	"context"
	"encoding/base64"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/target"
	"github.com/delayd-io/delayd/levels"
)

// sickTargets are the ways in which a target takes nothing without saying that it
// never will.
var sickTargets = map[string]func(w *world) (heal func()){
	"refuses for now": func(w *world) func() { return w.refuse("sick", kerr.NotEnoughReplicas).Remove },
	"refuses for reasons unknown": func(w *world) func() {
		return w.refuse("sick", kerr.UnknownServerError).Remove
	},
	"hangs": func(w *world) func() {
		healed := make(chan struct{})
		w.Cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.Cluster.KeepControl()
			if writes(req.(*kmsg.ProduceRequest), w.Cluster.TopicInfo("sick").TopicID) {
				w.Cluster.SleepControl(func() { <-healed })
			}
			return nil, nil, false
		})
		return func() { close(healed) }
	},
}

func writes(req *kmsg.ProduceRequest, topic [16]byte) bool {
	return slices.ContainsFunc(req.Topics, func(t kmsg.ProduceRequestTopic) bool {
		return t.TopicID == topic || t.Topic == "sick"
	})
}

// TestSickTargetIsParked: what a target does not take for 5 s is parked, in its
// order, and nobody else waits for it.
func TestSickTargetIsParked(t *testing.T) {
	for name, fall := range sickTargets {
		t.Run(name, func(t *testing.T) {
			virtual(t, Config{}, func(w *world) {
				heal := fall(w)
				defer heal()
				start := time.Now()
				sick := w.deliverAll("sick", 20)
				for range 100 {
					sent := time.Now()
					well := w.deliver("apart", "x")
					time.Sleep(100 * time.Millisecond)
					if late := well.after(sent); late > 10*time.Millisecond {
						t.Fatalf("after %v, a record for another target took %v", time.Since(start), late)
					}
				}
				for i, o := range sick {
					if d := o.after(start); d < target.StalledAfter || d > target.StalledAfter+idleEvery+backoffMax {
						t.Errorf("record %d was parked after %v, want %v", i+1, d, target.StalledAfter)
					}
				}
				later := w.deliver("sick", "21")
				time.Sleep(time.Second)
				if later.done.Load() == nil {
					t.Error("what came later was not parked")
				}
				if diff := cmp.Diff(numbers(1, 21), texts(w.log(w.names.Parked()))); diff != "" {
					t.Errorf("parked (- want, + got):\n%s", diff)
				}
			})
		})
	}
}

// TestGate: what comes for a target waits in the parked topic as long as anything
// parked for it has not been delivered, and then goes there straight.
func TestGate(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		fault := w.refuse("sick", kerr.NotEnoughReplicas)
		w.deliverAll("sick", 10)
		time.Sleep(10 * time.Second)
		fault.Remove()
		again := w.redeliver(0)
		time.Sleep(5 * time.Second)
		if n := told(again); n != 10 {
			t.Fatalf("%d of 10 were delivered when the target was well again", n)
		}
		w.commit(9)
		time.Sleep(5 * time.Second)
		w.deliver("sick", "11")
		time.Sleep(5 * time.Second)
		if diff := cmp.Diff(numbers(1, 11), texts(w.log(w.names.Parked()))); diff != "" {
			t.Errorf("parked while one is not committed (- want, + got):\n%s", diff)
		}
		w.redeliver(10)
		w.commit(11)
		time.Sleep(2 * time.Second)
		w.deliver("sick", "12")
		time.Sleep(time.Second)
		if diff := cmp.Diff(numbers(1, 12), texts(w.log("sick"))); diff != "" {
			t.Errorf("delivered (- want, + got):\n%s", diff)
		}
		if n := len(w.log(w.names.Parked())); n != 11 {
			t.Errorf("%d are parked, want 11: the last one after the gate had opened", n)
		}
	})
}

// TestCloseGates: another instance has parked records, and this one takes over
// what stands behind them.
func TestCloseGates(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		ctx := context.Background()
		if err := w.out.CloseGates(ctx); err != nil {
			t.Errorf("with nothing parked, and no forwarder yet: %v", err)
		}
		for i, target := range []string{"apart", "sick"} {
			rec := record.Parked(&kgo.Record{Value: []byte("1")}, w.names.Parked(), Facts{Topic: target, ID: "id", Granted: "1s", Partition: ByKey})
			rec.Partition = 0
			if err := w.Client.ProduceSync(ctx, rec).FirstErr(); err != nil {
				t.Fatal(i, err)
			}
		}
		w.commit(1) // the first is delivered
		if err := w.out.CloseGates(ctx); err != nil {
			t.Fatal(err)
		}
		w.deliver("apart", "2")
		w.deliver("sick", "2")
		time.Sleep(2 * time.Second)
		got := []int{len(w.log("apart")), len(w.log("sick")), len(w.log(w.names.Parked()))}
		if diff := cmp.Diff([]int{1, 0, 3}, got); diff != "" {
			t.Errorf("records on a target with nothing parked, on one with, and parked (- want, + got):\n%s", diff)
		}
	})
}

// TestCloseGatesBehindWhatIsOnItsWay: another instance has parked records while this one
// tries to deliver some. What comes then stays behind those.
func TestCloseGatesBehindWhatIsOnItsWay(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		ctx := context.Background()
		fault := w.refuse("sick", kerr.NotEnoughReplicas)
		defer fault.Remove()
		w.deliver("sick", "1")
		w.deliver("sick", "2")
		time.Sleep(target.StalledAfter / 10)
		rec := record.Parked(&kgo.Record{Topic: "delay.level.1s", Partition: 3, Value: []byte("theirs")}, w.names.Parked(),
			Facts{Topic: "sick", ID: "id", Granted: "1s", Partition: ByKey})
		if err := w.Client.ProduceSync(ctx, rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := w.out.CloseGates(ctx); err != nil {
			t.Fatal(err)
		}
		w.deliver("sick", "3")
		time.Sleep(2 * target.StalledAfter)
		if diff := cmp.Diff([]string{"theirs", "1", "2", "3"}, texts(w.log(w.names.Parked()))); diff != "" {
			t.Errorf("parked (- want, + got):\n%s", diff)
		}
	})
}

// TestPartitionOfAnother: another instance has parked records on a partition that is not the
// one of this instance, which takes over what stands behind them while its own gate
// is closed. They stay on one partition, and what comes from elsewhere on the other.
func TestPartitionOfAnother(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		ctx := context.Background()
		if _, err := w.Admin.CreatePartitions(ctx, 3, w.names.Parked()); err != nil {
			t.Fatal(err)
		}
		if err := w.out.CloseGates(ctx); err != nil { // it learns how many partitions there are
			t.Fatal(err)
		}
		fault := w.refuse("sick", kerr.NotEnoughReplicas)
		defer fault.Remove()
		w.deliverFrom(0, "sick", "ours")
		time.Sleep(10 * time.Second)
		ours := w.log(w.names.Parked())[0].Partition
		rec := record.Parked(&kgo.Record{Topic: "delay.level.1s", Partition: 3, Value: []byte("theirs")}, w.names.Parked(),
			Facts{Topic: "sick", ID: "id", Granted: "1s", Partition: ByKey})
		if err := w.Client.ProduceSync(ctx, rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
		theirs := rec.Partition
		if ours == theirs {
			t.Fatalf("both on %d", ours)
		}
		if err := w.out.CloseGates(ctx); err != nil {
			t.Fatal(err)
		}
		w.deliverFrom(3, "sick", "theirs too")
		w.deliverFrom(0, "sick", "ours too")
		time.Sleep(time.Second)
		got := make(map[string]int32)
		for _, rec := range w.log(w.names.Parked()) {
			got[string(rec.Value)] = rec.Partition
		}
		want := map[string]int32{"ours": ours, "ours too": ours, "theirs": theirs, "theirs too": theirs}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("partitions (- want, + got):\n%s", diff)
		}
	})
}

// TestGiveUp: a parked record that its target refuses for too long, counted from
// when it was first refused, is a dead letter; later ones go on trying.
func TestGiveUp(t *testing.T) {
	for name, fall := range sickTargets {
		t.Run(name, func(t *testing.T) {
			virtual(t, Config{GiveUp: time.Minute}, func(w *world) {
				heal := fall(w)
				start := time.Now()
				w.deliverAll("sick", 10)
				time.Sleep(10 * time.Second)
				old := w.redeliver(0)
				time.Sleep(time.Until(start.Add(50 * time.Second)))
				if n := told(old); n != 0 {
					t.Errorf("%d records were given up after 50s, of a minute", n)
				}
				w.deliver("sick", "young")
				time.Sleep(time.Second)
				young := w.redeliver(10)
				time.Sleep(time.Until(start.Add(75 * time.Second)))
				if n := told(old); n != 10 {
					t.Errorf("%d of 10 records were given up after 75s, with a minute to wait", n)
				}
				if diff := cmp.Diff(all(10, levels.GaveUp), w.codes()); diff != "" {
					t.Errorf("dead letters (- want, + got):\n%s", diff)
				}
				heal()
				time.Sleep(30 * time.Second)
				if n := told(young); n != 1 || !slices.Contains(texts(w.log("sick")), "young") {
					t.Error("the youngest was not delivered when the target was well again")
				}
			})
		})
	}
}

// TestPilesUp: two thousand records without an answer are too many after a second.
func TestPilesUp(t *testing.T) {
	for _, c := range []struct {
		records int
		parked  time.Duration
	}{
		{target.StalledHeld - 1, target.StalledAfter},
		{target.StalledHeld, target.StalledHeldAfter},
	} {
		virtual(t, Config{}, func(w *world) {
			fault := w.refuse("sick", kerr.NotEnoughReplicas)
			defer fault.Remove()
			start := time.Now()
			owners := w.deliverAll("sick", c.records)
			time.Sleep(10 * time.Second)
			first, last := owners[0].after(start), owners[c.records-1].after(start)
			if first < c.parked || last > c.parked+2*time.Second {
				t.Errorf("%d records were parked after %v to %v, want %v", c.records, first, last, c.parked)
			}
			if diff := cmp.Diff(numbers(1, c.records), texts(w.log(w.names.Parked()))); diff != "" {
				t.Errorf("parked (- want, + got):\n%s", diff)
			}
		})
	}
}

// TestCloseGatesWhilePurging: parked records may be delivered and deleted while
// they are being read. That must not hold up the lanes for ever.
func TestCloseGatesWhilePurging(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		rec := record.Parked(&kgo.Record{}, w.names.Parked(), Facts{Topic: "sick", ID: "id", Granted: "1s", Partition: ByKey})
		rec.Partition = 0
		ctx := context.Background()
		if err := w.Client.ProduceSync(ctx, rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
		w.Cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.Cluster.SleepControl(func() {
				w.commit(1)
				if err := w.Cluster.DeleteRecords(w.names.Parked(), 0, 1); err != nil {
					t.Error(err)
				}
			})
			return nil, nil, false
		})
		for w.out.CloseGates(ctx) != nil { // as a lane does
			time.Sleep(time.Second)
		}
		o := w.deliver("sick", "1")
		time.Sleep(time.Second)
		if o.done.Load() == nil || len(w.log("sick")) != 1 {
			t.Error("not delivered with nothing parked any more")
		}
	})
}

// TestGateAfterHandOver: records that were never parked, because their partitions
// went to another instance first, do not keep the gate closed.
func TestGateAfterHandOver(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		parked, fault := w.refuse(w.names.Parked(), kerr.UnknownServerError), w.refuse("sick", kerr.NotEnoughReplicas)
		owners := w.deliverAll("sick", 10)
		time.Sleep(10 * time.Second)
		for _, o := range owners {
			o.gone.Store(true)
		}
		parked.Remove()
		fault.Remove()
		time.Sleep(10 * time.Second)
		o := w.deliver("sick", "11")
		time.Sleep(time.Second)
		if diff := cmp.Diff([]string{"11"}, texts(w.log("sick"))); diff != "" || o.done.Load() == nil {
			t.Errorf("delivered (- want, + got):\n%s", diff)
		}
	})
}

// TestParkedTopicRefuses: what cannot be set aside waits, and is no dead letter.
func TestParkedTopicRefuses(t *testing.T) {
	for _, err := range []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.UnknownServerError} {
		t.Run(err.Message, func(t *testing.T) {
			virtual(t, Config{}, func(w *world) {
				parked, fault := w.refuse(w.names.Parked(), err), w.refuse("sick", kerr.NotEnoughReplicas)
				defer fault.Remove()
				owners := w.deliverAll("sick", 10)
				time.Sleep(5 * time.Minute)
				if n := told(owners); n != 0 {
					t.Errorf("%d records were let go that are nowhere", n)
				}
				parked.Remove()
				time.Sleep(5 * time.Second)
				if diff := cmp.Diff(numbers(1, 10), texts(w.log(w.names.Parked()))); diff != "" {
					t.Errorf("parked (- want, + got):\n%s", diff)
				}
				if n := len(w.codes()); n != 0 {
					t.Errorf("%d dead letters", n)
				}
			})
		})
	}
}

// TestCloseGatesOfARecreatedTopic: a commit for the former topic of parked records hides nothing
// that the new one holds.
func TestCloseGatesOfARecreatedTopic(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		ctx := context.Background()
		rec := record.Parked(&kgo.Record{Value: []byte("x")}, w.names.Parked(), Facts{Topic: "sick", ID: "id", Granted: "1s", Partition: ByKey})
		rec.Partition = 0
		if err := w.Client.ProduceSync(ctx, rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
		meta, err := w.Admin.Metadata(ctx, w.names.Parked())
		if err != nil {
			t.Fatal(err)
		}
		former := meta.Topics[w.names.Parked()].ID
		former[0] ^= 1
		var commits kadm.Offsets
		commits.Add(kadm.Offset{Topic: w.names.Parked(), Partition: 0, At: 1, LeaderEpoch: -1,
			Metadata: "id " + base64.RawURLEncoding.EncodeToString(former[:]) + "@" + meta.Cluster})
		if err := w.Admin.CommitAllOffsets(ctx, w.names.ForwarderGroup(), commits); err != nil {
			t.Fatal(err)
		}
		if err := w.out.CloseGates(ctx); err != nil {
			t.Fatal(err)
		}
		o := w.deliver("sick", "y")
		time.Sleep(time.Second)
		if o.done.Load() == nil || len(w.log("sick")) > 0 {
			t.Error("a record overtook one that is parked")
		}
	})
}

// TestCloseGatesReadsOnce: the next assignment reads what was parked since, and what was
// read before only where the commit has gone back. The gate is closed all along.
func TestCloseGatesReadsOnce(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		ctx := context.Background()
		var from atomic.Int64
		w.Cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.Cluster.KeepControl()
			for _, topic := range req.(*kmsg.FetchRequest).Topics {
				for _, part := range topic.Partitions {
					from.Store(min(from.Load(), part.FetchOffset))
				}
			}
			return nil, nil, false
		})
		for i, step := range []struct{ commit, want int64 }{{1, 1}, {1, 2}, {2, 4}, {0, 0}} {
			for range 2 - min(i, 1) {
				rec := record.Parked(&kgo.Record{Value: []byte("x")}, w.names.Parked(), Facts{Topic: "sick", ID: "id", Granted: "1s", Partition: ByKey})
				rec.Partition = 0
				if err := w.Client.ProduceSync(ctx, rec).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			w.commit(step.commit)
			from.Store(1000)
			if err := w.out.CloseGates(ctx); err != nil {
				t.Fatal(err)
			}
			if got := from.Load(); got != step.want {
				t.Errorf("assignment %d reads from offset %d, want %d", i+1, got, step.want)
			}
			o := w.deliver("sick", "y")
			time.Sleep(time.Second)
			if o.done.Load() == nil || len(w.log("sick")) > 0 {
				t.Errorf("after assignment %d a record was not parked", i+1)
			}
		}
	})
}
