//go:build synctests

package endtoend

import (
	"testing"
	"time"

	"github.com/delayd-io/delayd/levels"
)

// linger is the most that a delivery may be behind its due time when nothing
// else keeps anyone busy: virtual time does not pass while the service works.
const linger = 10 * time.Millisecond

// TestEveryLevel waits out each level of the default ladder, through the inbox
// and straight to the level's topic.
func TestEveryLevel(t *testing.T) {
	for l := range levels.Default().All() {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			virtual(t, "", []string{"orders"}, func(w *world) {
				s := w.serve("one")
				defer s.stop()
				got := w.watch("orders")
				sent := time.Now()
				w.send(w.request(l.String(), "orders", "k", "inbox"), w.direct(l.String(), "orders", "k", "direct"))
				all := got.wait(2, l.Delay+time.Minute)
				if len(all) != 2 {
					t.Fatalf("%d records arrived, want 2", len(all))
				}
				for _, a := range all {
					if waited := a.at.Sub(sent); waited < l.Delay || a.late() < 0 {
						t.Errorf("%s: early: arrived after %v, %v after its due time", a.Value, waited, a.late())
					} else if a.late() > linger {
						t.Errorf("%s: %v late", a.Value, a.late())
					}
					if g := a.header(levels.HeaderGranted); g != l.String() {
						t.Errorf("%s: granted %q, want %q", a.Value, g, l)
					}
				}
			})
		})
	}
}
