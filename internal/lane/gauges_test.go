//go:build synctests

package lane

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestGauges: what the lanes hold is shown under the label of their topic, and how
// long the oldest record has been due. A record that is handled at once is late from
// when it was appended.
func TestGauges(t *testing.T) {
	virtual(t, 2, func(w *world) {
		if err := w.cluster.CreateTopic("in", 1, nil); err != nil {
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
			got := testutil.ToFloat64(m.Overdue.WithLabelValues(label))
			// They are set once a second.
			if late := time.Duration(got * float64(time.Second)); late > overdue || late < overdue-houseEvery-100*time.Millisecond {
				t.Errorf("%s: the oldest of %s is overdue by %v, want about %v", when, label, late, overdue)
			}
			if n := testutil.ToFloat64(m.Assigned.WithLabelValues(label)); n != float64(assigned) {
				t.Errorf("%s: %v partitions of %s, want %d", when, n, label, assigned)
			}
			if n := testutil.ToFloat64(m.InFlight.WithLabelValues(label)); n != float64(inFlight) {
				t.Errorf("%s: %v records of %s in flight, want %d", when, n, label, inFlight)
			}
			if n := testutil.ToFloat64(m.Queued.WithLabelValues(label)); bytes != (n > 0) {
				t.Errorf("%s: %v bytes of %s", when, n, label)
			}
		}
		check("empty", "1h", 2, 0, false, 0)
		check("empty", "inbox", 1, 0, false, 0)

		w.fill(0, 0, 10, 10)
		if err := w.client.ProduceSync(context.Background(), &kgo.Record{Topic: "in"}).FirstErr(); err != nil {
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

// unready fails the test unless c is unready for a reason that has all of the words.
func unready(t *testing.T, c *Consumer, words ...string) {
	t.Helper()
	err := c.Ready()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("ready says %v, want %q in it", err, word)
		}
	}
}

// TestReadySaysWhichLane: also where records are handled at once, as in the inbox.
func TestReadySaysWhichLane(t *testing.T) {
	virtual(t, 3, func(w *world) {
		h := &handler{finish: func(h *handed) {
			if h.partition != 1 {
				h.end()
			}
		}}
		c, stop := w.consume(h)
		defer stop()
		for p := range int32(3) {
			w.fill(p, 0, 10, 10)
		}
		time.Sleep(stuckAfter + 5*time.Second)
		unready(t, c, "t/1: overdue by ", " and not moving")
		for _, h := range h.now() {
			if h.partition == 1 {
				h.end()
			}
		}
		time.Sleep(time.Second)
		if err := c.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// TestReadyWithoutLease: the group's coordinator takes no commit.
func TestReadyWithoutLease(t *testing.T) {
	virtual(t, 1, func(w *world) {
		c, stop := w.consume(new(handler))
		defer stop()
		time.Sleep(time.Minute)
		if err := c.Ready(); err != nil {
			t.Fatal(err)
		}
		fault := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RequestTimedOut, Count: -1})
		time.Sleep(SessionTimeout + leaseTime)
		unready(t, c, group, "the lease is lost: no commit succeeded for ")
		if age := testutil.ToFloat64(c.cfg.Metrics.LeaseAge.WithLabelValues(group)); age < leaseTime.Seconds() {
			t.Errorf("the lease is %v seconds old", age)
		}
		fault.Remove()
		time.Sleep(time.Minute)
		if err := c.Ready(); err != nil {
			t.Error(err)
		}
	})
}
