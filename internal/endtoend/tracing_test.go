//go:build synctests

package endtoend

import (
	"cmp"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/tracing"
	"github.com/delayd-io/delayd/router"
)

// TestTracing: whichever way a record goes, its consumer gets the producer's trace
// headers as they were sent, and there is a span of its delivery, or of its death,
// with a link to the producer's span. So it is in transactions.
func TestTracing(t *testing.T) {
	for _, delivery := range []forwarder.Delivery{forwarder.AtLeastOnce, forwarder.ExactlyOnce} {
		t.Run(delivery.String(), func(t *testing.T) { testTracing(t, delivery) })
	}
}

func testTracing(t *testing.T, delivery forwarder.Delivery) {
	virtual(t, "", []string{"orders"}, func(w *world) {
		exporter := tracetest.NewInMemoryExporter()
		provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
		s := w.serve("one", func(rc *router.Config, fc *forwarder.Config) {
			rc.Tracing, fc.Tracing = provider, provider
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
		type span struct {
			name, level, requested string
			late                   bool
		}
		var got []span
		for _, s := range exporter.GetSpans() {
			g := span{name: s.Name}
			for _, a := range s.Attributes {
				switch a.Key {
				case tracing.KeyLevel:
					g.level = a.Value.AsString()
				case tracing.KeyRequested:
					g.requested = a.Value.AsString()
				case tracing.KeyLateness:
					g.late = a.Value.AsFloat64() > 2
				}
			}
			got = append(got, g)
			if len(s.Links) != 1 || s.Links[0].SpanContext.SpanID().String() != "00f067aa0ba902b7" {
				t.Errorf("span %s is linked to %v", s.Name, s.Links)
			}
		}
		slices.SortFunc(got, func(a, b span) int { return cmp.Compare(a.name+a.requested, b.name+b.requested) })
		want := []span{
			{name: "bury delay.dead", requested: "soon"},
			{name: "deliver orders", level: "10s"}, // written straight to the level: nothing was asked for
			{name: "deliver orders", level: "0s", requested: "0"},
			{name: "deliver orders", level: "10s", requested: "11s"},
		}
		if diff := gocmp.Diff(want, got, gocmp.AllowUnexported(span{})); diff != "" {
			t.Errorf("spans (-want +got):\n%s", diff)
		}
	})
}
