//go:build synctests

package endtoend

import (
	"context"
	"testing"
	"time"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// TestZeroValues runs with zero values alone: each is the default of its field.
func TestZeroValues(t *testing.T) {
	virtual(t, "", []string{"orders"}, func(w *world) {
		results, err := admin.Ensure(context.Background(), w.Client, admin.Spec{})
		if err != nil || len(results) != w.Ladder.Len()+5 {
			t.Errorf("Ensure of the zero Spec: %d topics, %v", len(results), err)
		}
		for _, r := range results {
			if r.Outcome == admin.OutcomeCreated {
				t.Errorf("the zero Spec has the topic %s, which the default one has not", r.Topic)
			}
		}
		r, err := router.New(router.Config{}, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		f, err := forwarder.New(forwarder.Config{}, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		defer w.run(r.Run)()
		defer w.run(f.Run)()
		got := w.watch("orders")
		w.send(w.request("0", "orders", "a", "1"), w.request("5s", "orders", "b", "1"), w.direct("1s", "orders", "c", "1"))
		all := got.wait(3, time.Minute)
		once(t, all, 3)
		onTime(t, all)
		if first := w.start(levels.Names{}.Level(levels.Level{Delay: time.Second})); first != 0 {
			t.Errorf("the level starts at %d right after a delivery, want 0: kept for the default of %v", first, forwarder.DefaultPurgeAfter)
		}
	})
}

// start is the sum of the offsets at which a topic starts.
func (w *world) start(topic string) (sum int64) {
	w.t.Helper()
	starts, err := w.Admin.ListStartOffsets(context.Background(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, partition := range starts[topic] {
		sum += partition.Offset
	}
	return sum
}

// TestPurgeAtOnce: what is delivered is deleted within seconds.
func TestPurgeAtOnce(t *testing.T) {
	virtual(t, "1s", []string{"orders"}, func(w *world) {
		s := w.serve("one", func(rc *router.Config, fc *forwarder.Config) {
			rc.PurgeAfter, fc.PurgeAfter = router.PurgeAtOnce, forwarder.PurgeAtOnce
		})
		defer s.stop()
		got := w.watch("orders")
		w.send(w.request("1s", "orders", "k", "1"))
		once(t, got.wait(1, time.Minute), 1)
		time.Sleep(time.Minute)
		for _, topic := range []string{w.Names.Inbox(), w.Names.Level(levels.Level{Delay: time.Second})} {
			if first := w.start(topic); first != 1 {
				t.Errorf("%s starts at %d a minute after the delivery, want 1", topic, first)
			}
		}
	})
}

// TestWaitForEver: a target that does not exist is waited for without end.
func TestWaitForEver(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery func(*router.Config, *forwarder.Config), _ time.Duration) {
		virtual(t, "1s", nil, func(w *world) {
			w.idle = 5 * time.Second
			s := w.serve("one", delivery, missingWait(forwarder.WaitForEver))
			defer s.stop()
			dead := w.watchCommitted(w.Names.Dead())
			w.send(w.request("0", "orders", "a", "1"), w.direct("1s", "orders", "b", "1"))
			time.Sleep(10 * time.Minute)
			if letters := dead.now(); len(letters) > 0 {
				t.Errorf("%d dead letters after 10 minutes", len(letters))
			}
			if err := w.Cluster.CreateTopic("orders", 1, nil); err != nil {
				t.Fatal(err)
			}
			once(t, w.watchCommitted("orders").wait(2, time.Minute), 2)
		})
	})
}
