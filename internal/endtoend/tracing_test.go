//go:build synctests

package endtoend

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
	"github.com/delayd-io/delayd/telemetry"
)

// tracer is a telemetry.Tracer that keeps what it gets. The context of a handler has the
// record's traceparent.
type tracer struct {
	mu   sync.Mutex
	ends []telemetry.End
}

func (r *tracer) Ended(e telemetry.End) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends = append(r.ends, e)
}

// traceparent is the key of the context's value.
type traceparent struct{}

func (*tracer) Context(ctx context.Context, rec *kgo.Record) context.Context {
	parent, _ := record.Last(rec.Headers, "traceparent")
	return context.WithValue(ctx, traceparent{}, string(parent))
}

// TestTracing: whichever way a record goes, its consumer gets the producer's trace
// headers as they were sent. The tracer gets the end of its way once, with all that a
// span of it says. So it is in transactions.
func TestTracing(t *testing.T) {
	for _, delivery := range []forwarder.Delivery{forwarder.AtLeastOnce, forwarder.ExactlyOnce} {
		t.Run(delivery.String(), func(t *testing.T) { testTracing(t, delivery) })
	}
}

func testTracing(t *testing.T, delivery forwarder.Delivery) {
	virtual(t, "", []string{"orders"}, func(w *world) {
		tracer := new(tracer)
		s := w.serve("one", func(rc *router.Config, fc *forwarder.Config) {
			rc.Tracing, fc.Tracing = tracer, tracer
			rc.Delivery, fc.Delivery = delivery, delivery
		})
		trace := []kgo.RecordHeader{
			{Key: "traceparent", Value: []byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")},
			{Key: "tracestate", Value: []byte("vendor=1, other=2")},
			{Key: "baggage", Value: []byte("a=b")},
		}
		watched := w.watchCommitted("orders")
		w.send(
			w.request("11s", "orders", "a", "routed", trace...),
			w.direct("10s", "orders", "b", "direct", trace...),
			w.request("0", "orders", "c", "at once", trace...),
			w.request("soon", "orders", "d", "dead", trace...),
			w.request("10s", "orders", "e", "not traced"),
		)
		all := watched.wait(4, time.Minute)
		s.stop()
		if len(all) != 4 {
			t.Errorf("%d records arrived, want 4", len(all))
		}
		for _, a := range all {
			if string(a.Value) == "not traced" {
				continue
			}
			if diff := gocmp.Diff(trace, a.Headers[:min(len(trace), len(a.Headers))]); diff != "" {
				t.Errorf("%s (-sent +received):\n%s", a.Value, diff)
			}
		}
		type end struct {
			topic, value, level, requested string
			code                           levels.Code
			late                           bool
		}
		var got []end
		for _, e := range tracer.ends {
			if string(e.Record.Value) == "not traced" { // which its tracer has to see by itself
				continue
			}
			requested, _ := record.Last(e.Record.Headers, levels.HeaderRequested)
			got = append(got, end{e.Record.Topic, string(e.Record.Value), e.Level, string(requested), e.Code, !e.Due.IsZero() && e.Now.Sub(e.Due) > 2*time.Second})
			if parent, _ := record.Last(e.Record.Headers, "traceparent"); string(parent) != string(trace[0].Value) {
				t.Errorf("%s came with traceparent %q", e.Record.Value, parent)
			}
		}
		slices.SortFunc(got, func(a, b end) int { return cmp.Compare(a.value, b.value) })
		want := []end{
			{topic: "orders", value: "at once", level: "0s", requested: "0"},
			{topic: "delay.dead", value: "dead", code: levels.BadLevel},
			{topic: "orders", value: "direct", level: "10s"}, // written straight to the level: nothing was asked for
			{topic: "orders", value: "routed", level: "10s", requested: "11s"},
		}
		if diff := gocmp.Diff(want, got, gocmp.AllowUnexported(end{})); diff != "" {
			t.Errorf("ends (-want +got):\n%s", diff)
		}
	})
}
