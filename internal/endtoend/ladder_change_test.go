//go:build synctests

package endtoend

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// withLadder serves with another ladder than the world's, and creates its topics.
func (w *world) withLadder(spec string) func(*router.Config, *forwarder.Config) {
	w.t.Helper()
	ladder, err := levels.Parse(spec)
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = admin.Ensure(context.Background(), w.Client, admin.Spec{Ladder: ladder, Names: w.Names, Partitions: 2, Replicas: -1})
	if err != nil {
		w.t.Fatal(err)
	}
	return func(rc *router.Config, fc *forwarder.Config) { rc.Ladder, fc.Ladder = ladder, ladder }
}

// bothDeliveries runs test at least once and exactly once.
func bothDeliveries(t *testing.T, test func(t *testing.T, delivery func(*router.Config, *forwarder.Config), slack time.Duration)) {
	t.Run("at least once", func(t *testing.T) {
		t.Parallel()
		test(t, func(*router.Config, *forwarder.Config) {}, linger+100*time.Millisecond)
	})
	t.Run("exactly once", func(t *testing.T) {
		t.Parallel()
		test(t, exactly, time.Second)
	})
}

// TestLadderChanges changes the ladder under records that wait: instances are
// restarted one by one with another one, and then with a third. Everything arrives
// when it is due.
func TestLadderChanges(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery func(*router.Config, *forwarder.Config), slack time.Duration) {
		virtual(t, "5s 5m", []string{"orders"}, func(w *world) {
			got := w.watchCommitted("orders")
			n := 0
			send := func(inbox bool, direct ...string) {
				for range 5 {
					n++
					if inbox {
						w.send(w.request("5m", "orders", "inbox"+strconv.Itoa(n), strconv.Itoa(n)))
					}
					for _, level := range direct {
						w.send(w.direct(level, "orders", "direct"+level, strconv.Itoa(n)))
					}
					time.Sleep(time.Second)
				}
			}
			want := 0
			one, two := w.serve("one", delivery), w.serve("two", delivery)
			send(true, "5m")
			want += 10

			one.stop() // two still has 5m, and does not know 20m
			change := w.withLadder("5s 20m")
			one = w.serve("one", delivery, change)
			time.Sleep(10 * time.Second)
			send(false, "5m", "20m")
			want += 10
			time.Sleep(2 * time.Minute) // now it does
			one.stop()
			send(false, "20m")
			want += 5
			one = w.serve("one", delivery, change)

			two.stop()
			two = w.serve("two", delivery, change)
			time.Sleep(10 * time.Second)
			send(false, "5m") // a producer that has not heard of it
			want += 5
			got.wait(10+5, 5*time.Minute)

			one.stop()
			two.stop()
			one = w.serve("one", delivery, w.withLadder("10s")) // all the others are retired
			defer one.stop()
			all := got.wait(want, time.Hour)
			once(t, all, want)
			inOrder(t, all)
			for _, a := range all {
				if a.late() < 0 || a.late() > slack {
					t.Errorf("%s: %v after its due time", a.Key, a.late())
				}
			}
			time.Sleep(time.Second)
			for _, level := range []string{"5s", "5m", "20m"} {
				if u := w.uncommitted(level); u != 0 {
					t.Errorf("%d records of level %s are not committed", u, level)
				}
			}
		})
	})
}
