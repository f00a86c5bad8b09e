//go:build synctests

package endtoend

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// TestMaxLate has the service be away for half an hour: what is later than ten
// minutes is a dead letter, through both ways in and without delay, and what is not
// arrives in order.
func TestMaxLate(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery func(*router.Config, *forwarder.Config), _ time.Duration) {
		virtual(t, "5s 1m", []string{"orders"}, func(w *world) {
			got, dead := w.watchCommitted("orders"), w.watchCommitted(w.Names.Dead())
			const minutes = 30
			for n := range minutes {
				v := strconv.Itoa(n + 1)
				w.send(w.request("0", "orders", "none", v), w.request("1m", "orders", "inbox", v), w.direct("1m", "orders", "direct", v))
				time.Sleep(time.Minute)
			}
			s := w.serve("one", delivery, maxLate(10*time.Minute))
			defer s.stop()
			// Without delay those of the last ten minutes, one of them late by exactly that
			// when it is sent and a moment more when it is checked; with a minute one more.
			all := got.wait(9+10+10, time.Minute)
			once(t, all, 9+10+10)
			inOrder(t, all)
			letters := dead.wait(3*minutes-len(all), time.Minute)
			once(t, letters, 3*minutes-len(all))
			tooLate(t, letters)
		})
	})
}

// TestMaxLateParked has a target refuse all writes for longer than records may be
// late: they are dead letters, whether or not they were parked, and those behind
// them arrive.
func TestMaxLateParked(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery func(*router.Config, *forwarder.Config), _ time.Duration) {
		virtual(t, "5s", []string{"orders"}, func(w *world) {
			fault := w.Cluster.Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders", Err: kerr.NotEnoughReplicas, Count: -1,
			})
			s := w.serve("one", delivery, maxLate(time.Minute))
			defer s.stop()
			got, dead := w.watchCommitted("orders"), w.watchCommitted(w.Names.Dead())
			const seconds = 300
			for n := range seconds {
				w.send(w.direct("5s", "orders", "k"+strconv.Itoa(n%3), strconv.Itoa(n+1)))
				time.Sleep(time.Second)
			}
			fault.Remove()
			got.wait(seconds, time.Minute)
			all, letters := got.now(), dead.now()
			once(t, all, len(all))
			inOrder(t, all)
			if len(all)+len(letters) != seconds || len(all) < 50 || len(all) > 70 {
				t.Errorf("%d records arrived and %d are dead letters, want those of about the last minute of %d", len(all), len(letters), seconds)
			}
			tooLate(t, letters)
			for _, a := range all {
				if a.late() > time.Minute+5*time.Second {
					t.Errorf("%s: delivered %v late", a.Value, a.late())
				}
			}
		})
	})
}

// TestMaxLateHandler does not hand out what is too late.
func TestMaxLateHandler(t *testing.T) {
	virtual(t, "5s", nil, func(w *world) {
		w.send(w.direct("5s", "", "k", "old"))
		time.Sleep(2 * time.Minute)
		w.send(w.direct("5s", "", "k", "new"))
		dead := w.watch(w.Names.Dead())
		handed := make(chan string, 2)
		cfg := forwarder.DefaultConfig()
		cfg.Ladder, cfg.MaxLate = w.Ladder, time.Minute
		cfg.Handler = func(_ context.Context, rec *kgo.Record) error { handed <- string(rec.Value); return nil }
		f, err := forwarder.New(cfg, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		defer w.run(f.Run)()
		if v := <-handed; v != "new" {
			t.Errorf("handed out %q", v)
		}
		tooLate(t, dead.wait(1, time.Minute))
	})
}

func maxLate(d time.Duration) func(*router.Config, *forwarder.Config) {
	return func(rc *router.Config, fc *forwarder.Config) { rc.MaxLate, fc.MaxLate = d, d }
}

// tooLate wants dead letters that are too late, and say so.
func tooLate(t *testing.T, letters []arrival) {
	t.Helper()
	for _, a := range letters {
		if code := a.header(levels.HeaderError); code != string(levels.TooLate) {
			t.Errorf("%s: code %q: %s", a.Value, code, a.header(levels.HeaderErrorDetail))
		}
		if detail := a.header(levels.HeaderErrorDetail); !strings.Contains(detail, "--max-late is") {
			t.Errorf("%s: %s", a.Value, detail)
		}
	}
}
