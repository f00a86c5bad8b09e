//go:build synctests

package consume

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestGauges: what the lanes hold is shown under the label of their topic, and how
// long the oldest record has been due. A record that is handled at once is late from
// when it was appended.
func TestGauges(t *testing.T) {
	virtual(t, 2, func(w *world) {
		if err := w.Cluster.CreateTopic("in", 1, nil); err != nil {
			t.Fatal(err)
		}
		waiting, atOnce := &handler{delay: time.Hour, finish: never}, &handler{finish: never}
		c, stop := w.consume(waiting, func(cfg *Config) {
			cfg.Topics[0].Label = "1h"
			cfg.Topics = append(cfg.Topics, Topic{Name: "in", Label: "inbox", Handler: atOnce})
		})
		defer stop()
		time.Sleep(10 * time.Second)
		m := c.cfg.Metrics
		check := func(when, label string, assigned, inFlight int, bytes bool, overdue time.Duration) {
			t.Helper()
			got := m.Overdue.WithLabelValues(label).Value()
			// They are set once a second.
			if late := time.Duration(got * float64(time.Second)); late > overdue || late < overdue-maintainEvery-100*time.Millisecond {
				t.Errorf("%s: the oldest of %s is overdue by %v, want about %v", when, label, late, overdue)
			}
			if n := m.Assigned.WithLabelValues(label).Value(); n != float64(assigned) {
				t.Errorf("%s: %v partitions of %s, want %d", when, n, label, assigned)
			}
			if n := m.InFlight.WithLabelValues(label).Value(); n != float64(inFlight) {
				t.Errorf("%s: %v records of %s in flight, want %d", when, n, label, inFlight)
			}
			if n := m.Queued.WithLabelValues(label).Value(); bytes != (n > 0) {
				t.Errorf("%s: %v bytes of %s", when, n, label)
			}
		}
		check("empty", "1h", 2, 0, false, 0)
		check("empty", "inbox", 1, 0, false, 0)

		w.fill(0, 0, 10, 10)
		if err := w.Client.ProduceSync(context.Background(), &kgo.Record{Topic: "in"}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		check("not due", "1h", 2, 0, true, 0)
		check("not done", "inbox", 1, 1, true, time.Minute)
		time.Sleep(time.Hour)
		check("overdue", "1h", 2, 10, true, time.Minute)
		doneAll(append(waiting.now(), atOnce.now()...))
		time.Sleep(2 * time.Second)
		check("done", "1h", 2, 0, false, 0)
		check("done", "inbox", 1, 0, false, 0)
	})
}
