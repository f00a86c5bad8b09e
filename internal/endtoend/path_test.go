//go:build synctests

package endtoend

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// onTime reports arrivals that are early or late. What is due first for a target
// may wait until the target's partitions are known, which is asked for at most
// every connect.MetadataMinAge.
func onTime(t *testing.T, all []arrival) {
	t.Helper()
	known := make(map[string]string) // the due time of the first, by topic
	for _, a := range all {
		due := a.header(levels.HeaderDue)
		if known[a.Topic] == "" {
			known[a.Topic] = due
		}
		bound := linger
		if due == known[a.Topic] {
			bound += connect.MetadataMinAge
		}
		if late := a.late(); late < 0 || late > bound {
			t.Errorf("%s/%s: %v after its due time", a.Topic, a.Value, late)
		}
	}
}

// inOrder reports a key whose values, which are numbers, do not rise.
func inOrder(t *testing.T, all []arrival) {
	t.Helper()
	last := make(map[string]int)
	for _, a := range all {
		n, err := strconv.Atoi(string(a.Value))
		if err != nil {
			t.Fatal(err)
		}
		key := a.Topic + "/" + string(a.Key)
		if n <= last[key] {
			t.Errorf("%s: %d arrived after %d", key, n, last[key])
		}
		last[key] = n
	}
}

// once reports values that did not arrive exactly once.
func once(t *testing.T, all []arrival, want int) {
	t.Helper()
	seen := make(map[string]int)
	for _, a := range all {
		seen[a.Topic+"/"+string(a.Key)+"/"+string(a.Value)]++
	}
	if len(seen) != want {
		t.Errorf("%d different records arrived, want %d", len(seen), want)
	}
	for value, n := range seen {
		if n != 1 {
			t.Errorf("%s arrived %d times", value, n)
		}
	}
}

// TestDay runs a day of traffic over all levels, both ways in; under the race detector,
// which makes it ten times slower, the first three hours.
func TestDay(t *testing.T) {
	const minutes = 1440 / lighter
	const records = minutes * 2
	virtual(t, "", []string{"orders", "mails"}, func(w *world) {
		w.idle = 5 * time.Second // virtual time costs as much as there is to do in it
		s := w.serve("one")
		defer s.stop()
		got := w.watch("orders", "mails")
		random := rand.New(rand.NewPCG(1, 2))
		ladder := slices.Collect(w.Ladder.All())
		for i := range minutes {
			time.Sleep(time.Minute)
			level := ladder[random.IntN(len(ladder))].String()
			key := strconv.Itoa(random.IntN(100))
			w.send(
				w.request(level, "orders", "inbox"+level+key, strconv.Itoa(i+1)),
				w.direct(level, "mails", "direct"+level+key, strconv.Itoa(i+1)),
			)
		}
		all := got.wait(records, 3*time.Hour)
		once(t, all, records)
		onTime(t, all)
		inOrder(t, all)
	})
}

// TestRestartBeforeDue stops the service while records wait.
func TestRestartBeforeDue(t *testing.T) {
	virtual(t, "", []string{"orders"}, func(w *world) {
		s := w.serve("one")
		got := w.watch("orders")
		for i := range 10 {
			w.send(w.request("10m", "orders", "k", strconv.Itoa(i+1)))
		}
		time.Sleep(5 * time.Minute)
		s.stop()
		time.Sleep(2 * time.Minute)
		s = w.serve("one")
		defer s.stop()
		all := got.wait(10, time.Hour)
		once(t, all, 10)
		onTime(t, all)
		inOrder(t, all)
	})
}

// TestSecondInstance has another instance join, and leave for good, while
// records wait.
func TestSecondInstance(t *testing.T) {
	const records = 200
	virtual(t, "", []string{"orders"}, func(w *world) {
		one := w.serve("one")
		got := w.watch("orders")
		for i := range records {
			w.send(w.request("30m", "orders", strconv.Itoa(i%20), strconv.Itoa(i+1)))
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Minute)
		two := w.serve("two")
		time.Sleep(5 * time.Minute)
		if err := two.forwarder.Ready(); err != nil {
			t.Errorf("second instance: %v", err)
		}
		one.stop()
		defer two.stop()
		all := got.wait(records, time.Hour)
		once(t, all, records)
		onTime(t, all)
		inOrder(t, all)
	})
}

// TestRouterDown keeps the router away for ten minutes while records are
// written to the inbox and straight to the levels.
func TestRouterDown(t *testing.T) {
	virtual(t, "", []string{"orders"}, func(w *world) {
		got := w.watch("orders")
		s := w.serve("one")
		s.stop()
		fc := forwarder.DefaultConfig()
		fc.Instance, fc.PurgeAfter = "one", forwarder.PurgeOff
		f, err := forwarder.New(fc, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		stop := w.run(f.Run)
		defer stop()

		delays := []string{"5s", "1m", "9m", "10m", "20m", "1h"}
		var n int
		for range 10 {
			for _, d := range delays {
				n++
				w.send(w.request(d, "orders", "inbox"+d, strconv.Itoa(n)), w.direct(d, "orders", "direct"+d, strconv.Itoa(n)))
			}
			time.Sleep(time.Minute)
		}
		back := time.Now()
		rc := router.DefaultConfig()
		rc.Instance, rc.PurgeAfter = "one", forwarder.PurgeOff
		r, err := router.New(rc, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		stopRouter := w.run(r.Run)
		defer stopRouter()
		all := got.wait(2*n, 2*time.Hour)
		once(t, all, 2*n)
		inOrder(t, all)
		for _, a := range all {
			ms, _ := strconv.ParseInt(a.header(levels.HeaderDue), 10, 64)
			due := time.UnixMilli(ms)
			if joined := back.Add(time.Second); due.Before(joined) && string(a.Key[:5]) == "inbox" {
				due = joined // it could not have been routed before the router had joined its group
			}
			if late := a.at.Sub(due); late > linger {
				t.Errorf("%s/%s: %v late", a.Key, a.Value, late)
			}
			if a.late() < 0 {
				t.Errorf("%s/%s: early by %v", a.Key, a.Value, -a.late())
			}
		}
	})
}

// TestRetry sends a delivered record on to be delayed again, as it came.
func TestRetry(t *testing.T) {
	virtual(t, "", []string{"orders"}, func(w *world) {
		s := w.serve("one")
		defer s.stop()
		got := w.watch("orders")
		w.send(w.request("10s", "orders", "k", "v", kgo.RecordHeader{Key: "mine", Value: []byte("1")}))
		first := got.wait(1, time.Minute)[0]
		for i, topic := range []string{w.Names.Inbox(), w.Names.Level(levels.Level{Delay: 30 * time.Second})} {
			rec := &kgo.Record{Topic: topic, Partition: -1, Key: first.Key, Value: first.Value}
			rec.Headers = append(rec.Headers, first.Headers...)
			rec.Headers = append(rec.Headers,
				kgo.RecordHeader{Key: levels.HeaderLevel, Value: []byte("30s")},
				kgo.RecordHeader{Key: levels.HeaderTarget, Value: []byte("orders")})
			sent := time.Now()
			w.send(rec)
			again := got.wait(2+i, time.Hour)
			if len(again) != 2+i {
				t.Fatalf("retry through %s: did not arrive", topic)
			}
			a := again[1+i]
			if waited := a.at.Sub(sent); waited < 30*time.Second {
				t.Errorf("retry through %s: waited %v, want 30s", topic, waited)
			}
			if id := a.header(levels.HeaderID); id == first.header(levels.HeaderID) || id == "" {
				t.Errorf("retry through %s: id %q is not new", topic, id)
			}
			if id := a.header(levels.HeaderPreviousID); id != first.header(levels.HeaderID) {
				t.Errorf("retry through %s: previous id %q, want %q", topic, id, first.header(levels.HeaderID))
			}
			if len(a.Headers) != len(first.Headers)+1 { // the previous id
				t.Errorf("retry through %s: headers %v", topic, a.Headers)
			}
		}
	})
}

// TestForgedTimes writes records whose times and private headers claim another
// century.
func TestForgedTimes(t *testing.T) {
	virtual(t, "", []string{"orders"}, func(w *world) {
		s := w.serve("one")
		defer s.stop()
		got := w.watch("orders")
		far, past := time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)
		sent := time.Now()
		for _, at := range []time.Time{far, past} {
			ms := []byte(strconv.FormatInt(at.UnixMilli(), 10))
			stamp := w.direct("1m", "orders", "k", fmt.Sprint("direct stamp ", at.Year()))
			stamp.Timestamp = at
			inbox := w.request("1m", "orders", "k", fmt.Sprint("inbox stamp ", at.Year()))
			inbox.Timestamp = at
			w.send(stamp, inbox,
				w.direct("1m", "orders", "k", fmt.Sprint("direct header ", at.Year()), kgo.RecordHeader{Key: record.KeyDue, Value: ms}),
				w.request("1m", "orders", "k", fmt.Sprint("inbox header ", at.Year()), kgo.RecordHeader{Key: record.KeyDue, Value: ms},
					kgo.RecordHeader{Key: levels.HeaderDue, Value: ms}))
		}
		// A neighbour that forges nothing waits no longer than it asked for.
		w.send(w.direct("1m", "orders", "honest", "honest"))
		all := got.wait(9, 2*time.Minute)
		if len(all) != 9 {
			t.Errorf("%d records arrived, want 9", len(all))
		}
		for _, a := range all {
			waited := a.at.Sub(sent)
			if waited > time.Minute+time.Second {
				t.Errorf("%s: waited %v", a.Value, waited)
			}
			if v := string(a.Value); (v == "honest" || strings.Contains(v, "header 1970")) && waited < time.Minute {
				t.Errorf("%s: early, after %v", a.Value, waited)
			}
		}
	})
}

// TestFirstSeenSurvives restarts the service in the middle of the wait of a
// record that is stamped far ahead on a topic which keeps producers' times.
func TestFirstSeenSurvives(t *testing.T) {
	virtual(t, "", []string{"orders"}, func(w *world) {
		s := w.serve("one")
		got := w.watch("orders")
		time.Sleep(10 * time.Second) // so that it is fetched, and seen, as soon as it is there
		rec := w.direct("10m", "orders", "k", "v")
		rec.Timestamp = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
		sent := time.Now()
		w.send(rec)
		for range 3 {
			time.Sleep(2 * time.Minute)
			s.stop()
			s = w.serve("one")
		}
		defer s.stop()
		all := got.wait(1, time.Hour)
		if len(all) != 1 {
			t.Fatal("did not arrive")
		}
		if waited := all[0].at.Sub(sent); waited < 10*time.Minute || waited > 10*time.Minute+time.Second {
			t.Errorf("waited %v, want 10m", waited)
		}
	})
}

// TestOneKey sends ten thousand records with one key, and restarts the service
// while they are being delivered.
func TestOneKey(t *testing.T) {
	const records = 10_000
	virtual(t, "", []string{"orders"}, func(w *world) {
		s := w.serve("one")
		got := w.watch("orders")
		for i := range records {
			w.Client.Produce(context.Background(), w.request("30s", "orders", "k", strconv.Itoa(i+1)), func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
			if i%100 == 99 {
				time.Sleep(100 * time.Millisecond)
			}
		}
		got.wait(records/2, time.Minute)
		s.stop()
		s = w.serve("one")
		defer s.stop()
		all := got.wait(records, time.Hour)
		once(t, all, records)
		inOrder(t, all)
	})
}

// TestHandsThrough looks at what a consumer gets, byte for byte.
func TestHandsThrough(t *testing.T) {
	virtual(t, "", []string{"orders"}, func(w *world) {
		s := w.serve("one")
		defer s.stop()
		got := w.watch("orders")
		user := []kgo.RecordHeader{
			{Key: "a", Value: []byte{0, 255}}, {Key: "a", Value: nil}, {Key: "delay-unknown", Value: []byte("x")}, {Key: "", Value: []byte{}},
		}
		w.send(&kgo.Record{Topic: w.Names.Inbox(), Partition: -1, Headers: append([]kgo.RecordHeader{
			{Key: levels.HeaderLevel, Value: []byte("1")}, {Key: levels.HeaderTarget, Value: []byte("orders")},
			{Key: levels.HeaderPartition, Value: []byte("1")}, {Key: levels.HeaderID, Value: []byte("my-id")},
		}, user...)})
		all := got.wait(1, time.Minute)
		if len(all) != 1 {
			t.Fatal("did not arrive")
		}
		a := all[0]
		if a.Key != nil || a.Value != nil {
			t.Errorf("key %v, value %v: want both null", a.Key, a.Value)
		}
		if a.Partition != 1 {
			t.Errorf("partition %d, want 1", a.Partition)
		}
		if len(a.Headers) != len(user)+5 {
			t.Fatalf("headers %v", a.Headers)
		}
		for i, h := range user {
			if g := a.Headers[i]; g.Key != h.Key || string(g.Value) != string(h.Value) || (g.Value == nil) != (h.Value == nil) {
				t.Errorf("header %d: %v, want %v", i, g, h)
			}
		}
		for key, want := range map[string]string{
			levels.HeaderID: "my-id", levels.HeaderGranted: "1s", levels.HeaderRequested: "1",
		} {
			if v := a.header(key); v != want {
				t.Errorf("%s: %q, want %q", key, v, want)
			}
		}
		if _, ok := record.Last(a.Headers, levels.HeaderTarget); ok {
			t.Error("the target header was not taken off")
		}
	})
}
