//go:build synctests

package endtoend

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/router"
)

// exactly asks for exactly-once delivery.
func exactly(rc *router.Config, fc *forwarder.Config) {
	rc.Delivery, fc.Delivery = router.ExactlyOnce, forwarder.ExactlyOnce
}

// TestExactlyOnce runs an hour of traffic over all levels, both ways in, with bad
// records in between.
func TestExactlyOnce(t *testing.T) {
	const records = 600
	virtual(t, "", []string{"orders", "mails"}, func(w *world) {
		s := w.serve("one", exactly)
		defer s.stop()
		got, dead := w.watchCommitted("orders", "mails"), w.watchCommitted(w.names.Dead())
		random := rand.New(rand.NewPCG(1, 2))
		delays := []string{"0", "1s", "5s", "10s", "30s", "1m"}
		for i := range records / 2 {
			time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
			delay := delays[random.IntN(len(delays))]
			level := delays[1+random.IntN(len(delays)-1)]
			key := strconv.Itoa(random.IntN(20))
			bad := w.request("nonsense", "orders", key, "bad")
			w.send(
				w.request(delay, "orders", "inbox"+delay+key, strconv.Itoa(i+1)), bad,
				w.direct(level, "mails", "direct"+level+key, strconv.Itoa(i+1)),
			)
		}
		all := got.wait(records, 3*time.Hour)
		time.Sleep(time.Minute)
		all = got.now()
		once(t, all, records)
		inOrder(t, all)
		for _, a := range all {
			if late := a.late(); late < 0 || late > time.Second {
				t.Errorf("%s/%s: %v after its due time", a.Topic, a.Value, late)
			}
		}
		if n := len(dead.now()); n != records/2 {
			t.Errorf("%d dead letters, want %d", n, records/2)
		}
	})
}
