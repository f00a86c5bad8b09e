//go:build synctests

package endtoend

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/cancel"
	"github.com/delayd-io/delayd/internal/rawbatch"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// named is a header with a record's own id.
func named(id string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: levels.HeaderID, Value: []byte(id)}
}

var replaces = kgo.RecordHeader{Key: levels.HeaderReplace, Value: []byte("true")}

// cancel is a cancel of an id, without a key where key is "".
func (w *world) cancel(id, key string) *kgo.Record {
	rec := &kgo.Record{Topic: w.Names.Inbox(), Partition: -1, Headers: []kgo.RecordHeader{{Key: levels.HeaderCancel, Value: []byte(id)}}}
	if key != "" {
		rec.Key = []byte(key)
	}
	return rec
}

// counts returns what arrived, as a set.
func counts(got []arrival) map[string]int {
	set := make(map[string]int)
	for _, a := range got {
		set[string(a.Value)]++
	}
	return set
}

// checkArrived compares what arrived with what was to, each once.
func checkArrived(t *testing.T, got []arrival, want ...string) {
	t.Helper()
	set := counts(got)
	for _, v := range want {
		if set[v] != 1 {
			t.Errorf("%q arrived %d times, want once", v, set[v])
		}
		delete(set, v)
	}
	for v, n := range set {
		t.Errorf("%q arrived %d times, and was cancelled", v, n)
	}
}

// TestCancel: records are cancelled by their own and by their default id, with and without a
// key, on a level and on their way to an exact time; all others arrive, and all offsets are
// committed.
func TestCancel(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, slack time.Duration) {
		virtual(t, "1s 5s 10s 1m", []string{"orders"}, func(w *world) {
			s := w.serve("one", delivery)
			defer s.stop()
			s.joined()
			got := w.watchCommitted("orders")
			exact := func(v, key string, d string, more ...kgo.RecordHeader) *kgo.Record {
				rec := w.request("", "orders", key, v, more...)
				rec.Headers[0] = kgo.RecordHeader{Key: levels.HeaderFor, Value: []byte(d)}
				return rec
			}
			keyless := func(rec *kgo.Record) *kgo.Record { rec.Key = nil; return rec }
			byDefault := w.request("10s", "orders", "d", "cancelled by its default id")
			w.send(
				w.request("10s", "orders", "a", "cancelled", named("1")),
				w.request("10s", "orders", "b", "the same id, another key", named("1")),
				w.request("10s", "orders", "a", "another id", named("2")),
				w.request("10s", "orders", "c", "cancelled without a key", named("3")),
				keyless(w.request("10s", "orders", "", "cancelled, keyless", named("4"))),
				exact("exact, cancelled", "e", "17300ms", named("5")),
				exact("exact", "e", "17301ms", named("6")),
				w.direct("10s", "orders", "f", "straight to a level, cancelled", named("7")),
				byDefault,
				w.request("10s", "orders", "d", "no id"),
			)
			time.Sleep(3 * time.Second)
			id := w.Names.Inbox() + "-" + strconv.Itoa(int(byDefault.Partition)) + "-" + strconv.FormatInt(byDefault.Offset, 10) + "-" + strconv.FormatInt(byDefault.Timestamp.UnixMilli(), 10)
			w.send(w.cancel("1", "a"), w.cancel("3", ""), w.cancel("4", ""), w.cancel("5", "e"), w.cancel("7", "f"), w.cancel(id, "d"))
			time.Sleep(time.Second)
			w.send(w.request("10s", "orders", "a", "after the cancel", named("1")))
			time.Sleep(time.Minute)
			checkArrived(t, got.now(), "the same id, another key", "another id", "exact", "no id", "after the cancel")
			for _, a := range got.now() {
				if late := a.late(); late < 0 || late > slack {
					t.Errorf("%s arrived %v after its due time", a.Value, late)
				}
			}
			for l := range w.Ladder.All() {
				if u := w.uncommitted(l.String()); u != 0 {
					t.Errorf("%d offsets of level %s are not committed", u, l)
				}
			}
		})
	})
}

// TestCancelRefused: a cancel that cannot be followed is a dead letter that says why, and
// delivers and cancels nothing.
func TestCancelRefused(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, _ time.Duration) {
		virtual(t, "1s 5s", []string{"orders"}, func(w *world) {
			s := w.serve("one", delivery)
			defer s.stop()
			s.joined()
			got, dead := w.watchCommitted("orders"), w.watchCommitted(w.Names.Dead())
			header := func(key, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: key, Value: []byte(value)} }
			empty, both := w.cancel("", "a"), w.cancel("1", "a")
			both.Headers = append(both.Headers, replaces)
			delayed := w.cancel("1", "a")
			delayed.Headers = append(delayed.Headers, header(levels.HeaderLevel, "5s"))
			misplaced := w.direct("5s", "orders", "a", "misplaced")
			misplaced.Headers = append(misplaced.Headers, header(levels.HeaderCancel, "1"))
			w.send(
				w.request("5s", "orders", "a", "stays", named("1")),
				empty, both, delayed, misplaced,
				w.request("5s", "orders", "a", "no id", replaces),
				w.request("5s", "orders", "a", "neither", named("1"), header(levels.HeaderReplace, "yes")),
				w.request("5s", "orders", "a", "misspelt", named("1"), header("Delay-Replace", "true")),
				w.request("5s", "", "a", "no target", named("1"), replaces),
				w.request("5s", "orders", "a", "false", named("2"), header(levels.HeaderReplace, "false")),
			)
			time.Sleep(time.Minute)
			checkArrived(t, got.now(), "stays", "false")
			codes := make(map[string]int)
			for _, a := range dead.now() {
				codes[a.header(levels.HeaderError)]++
				if testing.Verbose() {
					t.Logf("%s: %s", a.header(levels.HeaderError), a.header(levels.HeaderErrorDetail))
				}
			}
			if codes[string(levels.BadCancel)] != 7 || codes[string(levels.NoTarget)] != 1 || len(codes) != 2 {
				t.Errorf("dead letters: %v", codes)
			}
		})
	})
}

// TestCancelBudget: over the budget a cancel is a dead letter, and those that were taken hold.
func TestCancelBudget(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, _ time.Duration) {
		virtual(t, "1s 30s", []string{"orders"}, func(w *world) {
			s := w.serve("one", delivery, func(rc *router.Config, _ *forwarder.Config) { rc.MaxCancels = 3 })
			defer s.stop()
			s.joined()
			got, dead := w.watchCommitted("orders"), w.watchCommitted(w.Names.Dead())
			var want []string
			for i := range 6 {
				id := strconv.Itoa(i)
				w.send(w.request("30s", "orders", "a", id, named(id)))
			}
			for i := range 6 {
				w.send(w.cancel(strconv.Itoa(i), "a"))
				time.Sleep(2 * time.Second)
				if i >= 3 {
					want = append(want, strconv.Itoa(i))
				}
			}
			time.Sleep(time.Minute)
			checkArrived(t, got.now(), want...)
			for _, a := range dead.now() {
				if code := a.header(levels.HeaderError); code != string(levels.TooManyCancels) {
					t.Errorf("code %s: %s", code, a.header(levels.HeaderErrorDetail))
				}
			}
			if n := len(dead.now()); n != 3 {
				t.Errorf("%d dead letters, want 3", n)
			}
		})
	})
}

// TestCancelRouterAway: while no router reads the inbox, a record with an id of its own waits, as
// it may have been cancelled, and the instance says so; one without an id is on time. When the
// router is back, what was cancelled is dropped, and the rest arrives.
func TestCancelRouterAway(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, slack time.Duration) {
		virtual(t, "1s 30s", []string{"orders"}, func(w *world) {
			s := w.serve("one", delivery)
			s.joined()
			got := w.watchCommitted("orders")
			w.send(
				w.request("30s", "orders", "a", "cancelled", named("1")),
				w.request("30s", "orders", "b", "held", named("2")),
			)
			time.Sleep(5 * time.Second)
			s.stop()
			w.send(w.direct("30s", "orders", "c", "no id"))
			w.send(w.cancel("1", "a"))
			f, stop := w.forward(delivery)
			time.Sleep(50 * time.Second)
			for _, a := range got.now() {
				if string(a.Value) != "no id" {
					t.Errorf("%s arrived, and it was not known whether it was cancelled", a.Value)
				}
			}
			if err := f.Ready(); err == nil || !strings.Contains(err.Error(), "the router") {
				t.Errorf("ready: %v, want an error that names the router", err)
			}
			stop()
			s = w.serve("one", delivery)
			defer s.stop()
			time.Sleep(time.Minute)
			checkArrived(t, got.now(), "held", "no id")
		})
	})
}

// TestCancelInboxRecreated: what the router has committed for a former inbox says nothing about the
// cancels on the new one.
func TestCancelInboxRecreated(t *testing.T) {
	virtual(t, "1s 30s", []string{"orders"}, func(w *world) {
		ctx, inbox := context.Background(), w.Names.Inbox()
		s := w.serve("one")
		s.joined()
		got := w.watchCommitted("orders")
		for i := range 60 {
			w.send(w.cancel("none", strconv.Itoa(i)))
		}
		time.Sleep(5 * time.Second)
		s.stop()
		group := w.Names.RouterGroup()
		former, err := w.Admin.FetchOffsets(ctx, group)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Admin.DeleteTopics(ctx, inbox); err != nil {
			t.Fatal(err)
		}
		w.Client.PurgeTopicsFromClient(inbox)
		time.Sleep(10 * time.Second)
		if err := w.Cluster.CreateTopic(inbox, int32(len(former[inbox])), nil); err != nil {
			t.Fatal(err)
		}
		if err := w.Admin.CommitAllOffsets(ctx, group, former.Offsets()); err != nil { // in flight till now
			t.Fatal(err)
		}
		rec := w.direct("30s", "orders", "a", "cancelled")
		rec.Headers = append(rec.Headers, named("1"))
		w.send(rec, w.cancel("1", "a"))
		_, stop := w.forward()
		time.Sleep(time.Minute)
		checkArrived(t, got.now())
		stop()
		s = w.serve("one")
		defer s.stop()
		time.Sleep(time.Minute)
		checkArrived(t, got.now())
	})
}

// TestCancelStall: a batch that cannot be read holds up the records with an id that came by its
// partition of the inbox, whose cancels may be behind it, and no others.
func TestCancelStall(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, slack time.Duration) {
		virtual(t, "1s 10s", []string{"orders"}, func(w *world) {
			s := w.serve("one", delivery)
			defer s.stop()
			s.joined()
			got := w.watchCommitted("orders")
			w.send(w.request("10s", "orders", keyOn(badPartition), "held", named("held")))
			bad := rawbatch.Corrupt(rawbatch.New(kgo.CodecGzip, &kgo.Record{Value: []byte("v")}))
			if _, err := rawbatch.Produce(context.Background(), w.Client, w.Names.Inbox(), badPartition, rawbatch.Seal(bad)); err != nil {
				t.Fatal(err)
			}
			var want []string
			for i := range 100 {
				n := strconv.Itoa(i)
				want = append(want, n)
				if i%2 == 0 {
					w.send(w.request("10s", "orders", keyOn(1-badPartition), n, named(n)))
				} else {
					w.send(w.direct("10s", "orders", keyOn(1-badPartition), n, named(n)))
				}
				time.Sleep(100 * time.Millisecond)
			}
			time.Sleep(8 * time.Second)
			for _, a := range got.now() {
				if a.late() > slack+100*time.Millisecond {
					t.Errorf("%s was %v late", a.Value, a.late())
				}
			}
			time.Sleep(10 * time.Second)
			checkArrived(t, got.now(), want...)
			if err := s.forwarder.Ready(); err == nil || !strings.Contains(err.Error(), w.Names.Inbox()) {
				t.Errorf("ready: %v, want an error that names the partition", err)
			}
		})
	})
}

// TestCancelBehindWaiting: a record of the inbox that waits for its target does not hide which
// cancels the router has seen behind it. So names that do not exist, asked for without a delay, make
// no record with an id late.
func TestCancelBehindWaiting(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, slack time.Duration) {
		virtual(t, "1s 10s", []string{"orders"}, func(w *world) {
			s := w.serve("one", delivery, missingWait(20*time.Second))
			defer s.stop()
			s.joined()
			got := w.watchCommitted("orders")
			var want []string
			for i := range 200 {
				n := strconv.Itoa(i)
				w.send(
					w.request("0", "missing-"+n, keyOn(badPartition), n),
					w.request("1s", "orders", keyOn(i%2), n, named(n)),
				)
				want = append(want, n)
				time.Sleep(100 * time.Millisecond)
			}
			w.send(w.request("10s", "orders", keyOn(badPartition), "cancelled", named("cancelled")))
			time.Sleep(5 * time.Second)
			w.send(w.cancel("cancelled", keyOn(badPartition)))
			time.Sleep(30 * time.Second)
			for _, a := range got.now() {
				if a.late() > slack+100*time.Millisecond {
					t.Errorf("%s was %v late", a.Value, a.late())
				}
			}
			checkArrived(t, got.now(), want...)
		})
	})
}

// TestCancelPartitionAway: while a partition of the inbox has no leader, the records with an id
// that came by it wait. All others wait for twenty seconds at most.
func TestCancelPartitionAway(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, slack time.Duration) {
		virtual(t, "1s 10s", []string{"orders"}, func(w *world) {
			s := w.serve("one", delivery)
			defer s.stop()
			s.joined()
			got := w.watchCommitted("orders")
			w.send(w.request("10s", "orders", keyOn(badPartition), "held", named("held")))
			time.Sleep(time.Second)
			away := w.Cluster.Fault(kfake.Fault{
				Keys:  []kmsg.Key{kmsg.Fetch, kmsg.ListOffsets},
				Topic: w.Names.Inbox(), Partitions: []int32{badPartition}, Err: kerr.LeaderNotAvailable, Count: -1,
			})
			var want []string
			for i := range 60 {
				n := strconv.Itoa(i)
				want = append(want, n)
				w.send(w.direct("1s", "orders", keyOn(1-badPartition), n, named(n)))
				time.Sleep(time.Second)
			}
			time.Sleep(5 * time.Second)
			checkArrived(t, got.now(), want...)
			for _, a := range got.now() {
				n, _ := strconv.Atoi(string(a.Value))
				if late := a.late(); late > 21*time.Second || n > 20 && late > slack+100*time.Millisecond {
					t.Errorf("%s was %v late", a.Value, late)
				}
			}
			if err := s.forwarder.Ready(); err == nil || !strings.Contains(err.Error(), w.Names.Inbox()) {
				t.Errorf("ready: %v, want an error that names the partition", err)
			}
			away.Remove()
			time.Sleep(30 * time.Second)
			checkArrived(t, got.now(), append(want, "held")...)
		})
	})
}

// TestCancelUnreadable: while the cancel topic cannot be read, a record with an id of its own
// waits and the instance is not ready; nothing is lost when it can be read again.
func TestCancelUnreadable(t *testing.T) {
	virtual(t, "1s 30s", []string{"orders"}, func(w *world) {
		s := w.serve("one")
		defer s.stop()
		s.joined()
		got := w.watchCommitted("orders")
		w.send(w.request("30s", "orders", "a", "cancelled", named("1")), w.request("30s", "orders", "b", "held", named("2")))
		time.Sleep(5 * time.Second)
		var deny atomic.Bool
		deny.Store(true)
		w.Cluster.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.Cluster.KeepControl()
			r := req.(*kmsg.ListOffsetsRequest)
			if !deny.Load() || len(r.Topics) == 0 || r.Topics[0].Topic != w.Names.Cancel() {
				return nil, nil, false
			}
			return nil, errors.New("the leader is away"), true
		})
		w.send(w.cancel("1", "a"))
		time.Sleep(40 * time.Second)
		if n := len(got.now()); n > 0 {
			t.Errorf("%d records arrived while nobody could know what is cancelled", n)
		}
		if err := s.forwarder.Ready(); err == nil {
			t.Error("the forwarder is ready")
		}
		deny.Store(false)
		time.Sleep(time.Minute)
		checkArrived(t, got.now(), "held")
	})
}

// TestCancelTopicRecreated: somebody deletes the cancel topic and makes it again. What was
// cancelled before stays so, cancels hold again within ten seconds, and what waits goes on.
func TestCancelTopicRecreated(t *testing.T) {
	for name, away := range map[string]time.Duration{"at once": 0, "after a minute": time.Minute} {
		t.Run(name, func(t *testing.T) {
			virtual(t, "1s 30s", []string{"orders"}, func(w *world) {
				s := w.serve("one")
				defer s.stop()
				s.joined()
				got := w.watchCommitted("orders")
				for i := range 40 { // so that the next offsets are above those of the new topic
					w.send(w.cancel("none"+strconv.Itoa(i), strconv.Itoa(i)))
				}
				topic := w.Names.Cancel()
				details, err := w.Admin.ListTopics(context.Background(), topic)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := w.Admin.DeleteTopics(context.Background(), topic); err != nil {
					t.Fatal(err)
				}
				time.Sleep(away)
				if err := w.Cluster.CreateTopic(topic, int32(len(details[topic].Partitions)), nil); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * cancel.MissingWait)
				var want []string
				for i := range 20 {
					n := strconv.Itoa(i)
					w.send(w.request("30s", "orders", n, "cancelled", named("c"+n)), w.request("30s", "orders", n, "kept"+n, named("k"+n)), w.cancel("c"+n, n))
					want = append(want, "kept"+n)
				}
				time.Sleep(2 * time.Minute)
				checkArrived(t, got.now(), want...)
				if err := s.forwarder.Ready(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestReplace: of records that replace each other only the last arrives. That holds in the
// middle of sending and after restarts, with and without a key, also where the last asks for
// no delay.
func TestReplace(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, _ time.Duration) {
		virtual(t, "1s 5s 10s", []string{"orders"}, func(w *world) {
			s := w.serve("one", delivery)
			got := w.watchCommitted("orders")
			keyless := func(rec *kgo.Record) *kgo.Record { rec.Key = nil; return rec }
			for i := range 30 {
				n := strconv.Itoa(i)
				w.send(
					w.request("10s", "orders", "a", "a"+n, named("1"), replaces),
					w.request("10s", "orders", "b", "b"+n, named("1"), replaces),
					keyless(w.request("10s", "orders", "", "none"+n, named("2"), replaces)),
				)
				if i < 15 {
					w.send(w.request("10s", "orders", "z", "z"+n, named("3"), replaces))
				}
				if i == 15 {
					w.send(w.request("0", "orders", "z", "at once", named("3"), replaces))
				}
				time.Sleep(700 * time.Millisecond)
				if i%10 == 9 {
					s.stop()
					s = w.serve("one", delivery)
				}
			}
			defer s.stop()
			time.Sleep(time.Minute)
			checkArrived(t, got.now(), "a29", "b29", "none29", "at once")
		})
	})
}

// TestCancelParked: a record that was cancelled in time is not parked, a parked one can be
// cancelled before it is read again, and the target's other records arrive in order.
func TestCancelParked(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, _ time.Duration) {
		virtual(t, "1s 5s", []string{"orders"}, func(w *world) {
			s := w.serve("one", delivery)
			s.joined()
			cl := w.newClient()
			defer cl.Close()
			if err := admin.Pause(context.Background(), cl, w.Names, admin.TargetOf("orders")); err != nil {
				t.Fatal(err)
			}
			got := w.watchCommitted("orders")
			var want []string
			for i := range 10 {
				n := strconv.Itoa(i)
				w.send(w.request("5s", "orders", "a", n, named(n)))
				if i != 3 && i != 7 {
					want = append(want, n)
				}
			}
			w.send(w.cancel("3", "a"))
			time.Sleep(20 * time.Second)
			s.stop()
			w.send(w.cancel("7", "a"))
			s = w.serve("one", delivery)
			defer s.stop()
			s.joined()
			if err := admin.Resume(context.Background(), cl, w.Names, admin.TargetOf("orders")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(30 * time.Second)
			checkArrived(t, got.now(), want...)
			if !slices.IsSortedFunc(got.now(), func(a, b arrival) int { return bytes.Compare(a.Value, b.Value) }) {
				t.Error("the rest is out of order")
			}
			w.send(w.request("5s", "orders", "a", "after", named("after")))
			time.Sleep(30 * time.Second)
			checkArrived(t, got.now(), append(want, "after")...)
		})
	})
}

// TestCancelProducer: a Go program cancels and replaces what it has sent straight to the levels.
func TestCancelProducer(t *testing.T) {
	virtual(t, "1s 10s", []string{"orders"}, func(w *world) {
		s := w.serve("one")
		defer s.stop()
		s.joined()
		got := w.watchCommitted("orders")
		p, err := router.NewProducer(router.ProducerConfig{Policy: router.Policy{Ladder: w.Ladder, Names: w.Names}}, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		defer p.Close(ctx)
		rec := func(v string, h ...kgo.RecordHeader) *kgo.Record {
			return &kgo.Record{Topic: "orders", Key: []byte("k"), Value: []byte(v), Headers: h}
		}
		receipt, err := p.Send(ctx, rec("cancelled"), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Send(ctx, rec("replaced", named("1")), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if _, err := p.SendFor(ctx, rec("stays"), 12*time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if err := p.Cancel(ctx, receipt.ID, []byte("k")); err != nil {
			t.Fatal(err)
		}
		replaced, err := p.ReplaceFor(ctx, rec("replacement", named("1")), 15*time.Second)
		if err != nil || replaced.ID != "1" || replaced.Topic != w.Names.Inbox() {
			t.Fatal(replaced, err)
		}
		if _, err := p.Replace(ctx, rec("no id"), time.Second); err == nil {
			t.Error("a record without an id replaces others")
		}
		if _, err := p.Send(ctx, rec("misplaced", named("1"), replaces), time.Second); err == nil {
			t.Error("a record that replaces is sent straight to a level")
		}
		time.Sleep(time.Minute)
		checkArrived(t, got.now(), "stays", "replacement")
		for _, a := range got.now() {
			if a.late() > 200*time.Millisecond {
				t.Errorf("%s was %v late", a.Value, a.late())
			}
			if a.header(levels.HeaderReplace) != "" {
				t.Errorf("%s is delivered with %s", a.Value, levels.HeaderReplace)
			}
		}
	})
}

// TestCancelPartitionsAdded: topics get more partitions while records wait, so that keys have
// other ones, and cancels of these records hold.
func TestCancelPartitionsAdded(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, _ time.Duration) {
		virtual(t, "1s 2m", []string{"orders"}, func(w *world) {
			s := w.serve("one", delivery)
			defer s.stop()
			s.joined()
			got := w.watchCommitted("orders")
			var want []string
			for i := range 20 {
				n := strconv.Itoa(i)
				w.send(w.request("2m", "orders", "k"+n, n, named(n)))
			}
			time.Sleep(5 * time.Second)
			topics := []string{w.Names.Inbox(), w.Names.Cancel(), w.Names.Level(w.Ladder.First()), w.Names.Level(w.Ladder.Last())}
			if _, err := w.Admin.UpdatePartitions(context.Background(), 11, topics...); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			cl := w.newClient()
			defer cl.Close()
			for i := range 20 {
				n := strconv.Itoa(i)
				if i%2 == 0 {
					want = append(want, n)
				} else if err := cl.ProduceSync(context.Background(), w.cancel(n, "k"+n)).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(3 * time.Minute)
			checkArrived(t, got.now(), want...)
		})
	})
}

// TestCancelHandler: a record is not handed to a Handler any more once it is cancelled, neither
// when it is due nor between two attempts.
func TestCancelHandler(t *testing.T) {
	virtual(t, "1s 5s 10s", nil, func(w *world) {
		var mu sync.Mutex
		calls := make(map[string]int)
		s := w.serve("one", func(_ *router.Config, fc *forwarder.Config) {
			fc.Handler = func(_ context.Context, rec *kgo.Record) error {
				mu.Lock()
				defer mu.Unlock()
				calls[string(rec.Value)]++
				if strings.HasPrefix(string(rec.Value), "fails") && calls[string(rec.Value)] < 3 {
					return errors.New("not yet")
				}
				return nil
			}
			fc.Retry = func(int, error) (time.Duration, bool) { return 10 * time.Second, true }
		})
		defer s.stop()
		s.joined()
		w.send(
			w.request("5s", "orders", "a", "cancelled", named("1")), w.request("5s", "orders", "a", "stays", named("2")),
			w.request("5s", "orders", "a", "fails, cancelled", named("3")), w.request("5s", "orders", "a", "fails", named("4")),
		)
		w.send(w.cancel("1", "a"))
		time.Sleep(10 * time.Second)
		w.send(w.cancel("3", "a"))
		time.Sleep(2 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		for value, want := range map[string]int{"cancelled": 0, "stays": 1, "fails, cancelled": 1, "fails": 3} {
			if calls[value] != want {
				t.Errorf("%q was handed out %d times, want %d", value, calls[value], want)
			}
		}
	})
}

// TestCancelBehindTransaction: a cancel that the inbox has accepted behind somebody's open
// transaction holds, though the router can't read it when the record is due.
func TestCancelBehindTransaction(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, _ time.Duration) {
		virtual(t, "1s 10s", []string{"orders"}, func(w *world) {
			s := w.serve("one", delivery)
			defer s.stop()
			s.joined()
			got := w.watchCommitted("orders")
			w.send(w.request("10s", "orders", "a", "cancelled", named("1")), w.request("10s", "orders", "b", "stays", named("2")))
			time.Sleep(2 * time.Second)
			cl := w.newClient(kgo.TransactionalID("somebody"), kgo.TransactionTimeout(40*time.Second))
			defer cl.Close()
			if err := cl.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"a", "b", "c", "d", "e"} {
				if err := cl.ProduceSync(context.Background(), w.request("1s", "orders", key, "open "+key)).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			w.send(w.cancel("1", "a"))
			time.Sleep(15 * time.Second)
			if n := len(got.now()); n > 0 {
				t.Errorf("%d records arrived while cancels could not be read", n)
			}
			if err := cl.EndTransaction(context.Background(), kgo.TryAbort); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			checkArrived(t, got.now(), "stays")
		})
	})
}

// TestCancelLateStep: the last steps of a late exact record are skipped. It waits for the
// cancels before its due time, and not only for those before the end of its step.
func TestCancelLateStep(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, _ time.Duration) {
		virtual(t, "1s 30s", []string{"orders"}, func(w *world) {
			rc, fc := router.DefaultConfig(), forwarder.DefaultConfig()
			rc.Ladder, fc.Ladder, rc.Instance, fc.Instance = w.Ladder, w.Ladder, "one", "one"
			delivery(&rc, &fc)
			routing := func() (stop func()) {
				r, err := router.New(rc, w.Opts()...)
				if err != nil {
					t.Fatal(err)
				}
				return w.run(r.Run)
			}
			f, err := forwarder.New(fc, w.Opts()...)
			if err != nil {
				t.Fatal(err)
			}
			defer w.run(f.Run)()
			stopRouter := routing()
			got := w.watchCommitted("orders")
			time.Sleep(20 * time.Second)
			begun := time.Now()
			until := func(second float64) { time.Sleep(time.Until(begun.Add(time.Duration(second * float64(time.Second))))) }
			for i, id := range []string{"1", "2"} {
				rec := w.request("", "orders", "k"+id, []string{"cancelled", "stays"}[i], named(id))
				rec.Headers[0] = kgo.RecordHeader{Key: levels.HeaderFor, Value: []byte("35s")} // 30s, and then five times 1s
				w.send(rec)
			}
			cl := w.newClient()
			defer cl.Close()
			until(20)
			if err := admin.Pause(context.Background(), cl, w.Names, admin.LevelOf(30*time.Second)); err != nil {
				t.Fatal(err)
			}
			until(29.6)
			w.send(w.request("1s", "orders", "k1", "has the forwarder look", named("9")))
			until(31.5)
			stopRouter()
			w.send(w.cancel("1", "k1"))
			until(40)
			if err := admin.Resume(context.Background(), cl, w.Names, admin.LevelOf(30*time.Second)); err != nil {
				t.Fatal(err)
			}
			until(60)
			if n := len(got.now()); n != 1 {
				t.Errorf("%d records arrived before it was known which are cancelled, want 1", n)
			}
			stopRouter = routing()
			until(120)
			stopRouter()
			checkArrived(t, got.now(), "has the forwarder look", "stays")
		})
	})
}
