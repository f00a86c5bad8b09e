//go:build synctests

package endtoend

import (
	"strconv"
	"testing"
	"time"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/router"
)

// TestLeaveOnStop stops one of two instances cleanly, for good, while records come due.
// When it leaves the group, the other takes its partitions over at once; when it stays,
// they stand until the session has timed out.
func TestLeaveOnStop(t *testing.T) {
	for _, tc := range []struct {
		name        string
		instance    string
		leave       bool
		least, most time.Duration // of the worst lateness
	}{
		{"static, leaves", "two", true, 0, 2 * time.Second},
		{"static, stays", "two", false, consume.SessionTimeout / 2, consume.SessionTimeout + 3*time.Second},
		{"dynamic", "", false, 0, 2 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bothDeliveries(t, func(t *testing.T, delivery func(*router.Config, *forwarder.Config), _ time.Duration) {
				virtual(t, "5s", []string{"orders"}, func(w *world) {
					leave := func(rc *router.Config, fc *forwarder.Config) { rc.LeaveOnStop, fc.LeaveOnStop = tc.leave, tc.leave }
					first := w.serve("one", delivery, leave)
					defer first.stop()
					second := w.serve(tc.instance, delivery, leave)
					first.joined()
					second.joined()
					time.Sleep(30 * time.Second)
					got := w.watchCommitted("orders")
					n := 0
					send := func(d time.Duration) {
						for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
							n++
							w.send(w.direct("5s", "orders", strconv.Itoa(n%20), strconv.Itoa(n)))
						}
					}
					send(10 * time.Second)
					stopped := make(chan struct{})
					go func() { defer close(stopped); second.stop() }()
					send(20 * time.Second)
					<-stopped
					all := got.wait(n, time.Minute)
					once(t, all, n)
					inOrder(t, all)
					var worst time.Duration
					for _, a := range all {
						worst = max(worst, a.late())
					}
					t.Logf("worst lateness %v", worst)
					if worst < tc.least || worst > tc.most {
						t.Errorf("worst lateness %v, want %v to %v", worst, tc.least, tc.most)
					}
				})
			})
		})
	}
}

// TestLeftComesBack: an instance that has left comes back under its name, and is on time.
func TestLeftComesBack(t *testing.T) {
	virtual(t, "5s", []string{"orders"}, func(w *world) {
		leave := func(rc *router.Config, fc *forwarder.Config) { rc.LeaveOnStop, fc.LeaveOnStop = true, true }
		for range 3 {
			s := w.serve("one", leave)
			s.joined()
			got := w.watch("orders")
			before := len(got.wait(1, 2*time.Second))
			w.send(w.direct("5s", "orders", "k", "1"))
			if all := got.wait(before+1, time.Minute); len(all) != before+1 || all[before].late() > time.Second {
				t.Errorf("%d arrivals, want %d", len(all), before+1)
			}
			s.stop()
		}
	})
}
