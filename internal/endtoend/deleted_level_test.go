//go:build synctests

package endtoend

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/delayd-io/delayd/internal/deliver"
	"github.com/delayd-io/delayd/levels"
)

// TestDeletedLevel: somebody deletes the topic of a level. Records for it are waited for
// as those for a missing target are, and do not hold up the inbox for ever.
func TestDeletedLevel(t *testing.T) {
	eachDelivery(t, func(t *testing.T, mode change) {
		virtual(t, "1s 5s", []string{"orders"}, func(w *world) {
			s := w.serve("one", mode)
			defer s.stop()
			dead, got := w.watchCommitted(w.Names.Dead()), w.watchCommitted("orders")
			w.send(w.request("1s", "orders", "k", "0"))
			got.wait(1, time.Minute)
			if _, err := w.Admin.DeleteTopics(context.Background(), w.Names.Level(levels.Level{Delay: 5 * time.Second})); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			sent := time.Now()
			for i := range 10 {
				w.send(w.request("5s", "orders", "k", strconv.Itoa(i)), w.request("1s", "orders", "k", strconv.Itoa(i+1)))
			}
			died := dead.wait(10, 10*time.Minute)
			once(t, died, 10)
			for _, a := range died {
				if code := a.header(levels.HeaderError); code != string(levels.UnknownTopic) {
					t.Errorf("%s: code %q: %s", a.Value, code, a.header(levels.HeaderErrorDetail))
				}
				if waited := a.at.Sub(sent); waited < deliver.DefaultMissingTargetWait || waited > 2*deliver.DefaultMissingTargetWait {
					t.Errorf("%s: dead after %v", a.Value, waited)
				}
			}
			once(t, got.wait(11, time.Minute), 11)
		})
	})
}
