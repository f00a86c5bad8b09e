package delaydotel

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/telemetry"
)

const (
	sampled    = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	notSampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
)

var due = time.UnixMilli(1_700_000_000_000)

// ended makes the spans of what ended.
func ended(t *testing.T, ends ...telemetry.End) tracetest.SpanStubs {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	tracer := New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter)))
	for _, e := range ends {
		tracer.Ended(e)
	}
	return exporter.GetSpans()
}

func delivered(headers ...kgo.RecordHeader) telemetry.End {
	return telemetry.End{
		Record: &kgo.Record{Topic: "orders", Headers: headers},
		Level:  "10s", Due: due, Now: due.Add(1500 * time.Millisecond),
	}
}

func header(key, value string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: key, Value: []byte(value)}
}

// attributes are those of a span, by key.
func attributes(span tracetest.SpanStub) map[string]any {
	all := make(map[string]any)
	for _, a := range span.Attributes {
		all[string(a.Key)] = a.Value.AsInterface()
	}
	return all
}

func TestDelivered(t *testing.T) {
	t.Parallel()
	spans := ended(t, delivered(
		header("traceparent", sampled), header("tracestate", "vendor=1"),
		header(levels.HeaderID, "a"), header(levels.HeaderRequested, "11s"),
	))
	if len(spans) != 1 {
		t.Fatalf("%d spans, want 1", len(spans))
	}
	span := spans[0]
	want := map[string]any{
		"messaging.system": "kafka", "messaging.operation.type": "send", "messaging.destination.name": "orders",
		"messaging.message.id": "a",
		"delayd.level":         "10s", "delayd.requested": "11s", "delayd.lateness_seconds": 1.5,
	}
	if diff := cmp.Diff(want, attributes(span)); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if span.Name != "deliver orders" || span.SpanKind != trace.SpanKindProducer || span.Status.Code != codes.Unset {
		t.Errorf("span %q of kind %v, %v", span.Name, span.SpanKind, span.Status)
	}
	if !span.StartTime.Equal(due) || span.EndTime.Sub(span.StartTime) != 1500*time.Millisecond {
		t.Errorf("from %v to %v", span.StartTime, span.EndTime)
	}
	if len(span.Links) != 1 {
		t.Fatalf("%d links, want 1", len(span.Links))
	}
	link := span.Links[0].SpanContext
	if id := link.TraceID().String() + "-" + link.SpanID().String(); id != "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7" ||
		link.TraceState().String() != "vendor=1" || !link.IsRemote() {
		t.Errorf("linked to %s, %s", id, link.TraceState())
	}
	if span.SpanContext.TraceID() == link.TraceID() || span.Parent.IsValid() {
		t.Error("the span is in the producer's trace")
	}
}

func TestDied(t *testing.T) {
	t.Parallel()
	late := delivered(header("traceparent", sampled), header(levels.HeaderLevel, "soon"))
	late.Code, late.Due, late.Record.Topic, late.Level = levels.BadLevel, time.Time{}, "delay.dead", ""
	spans := ended(t, late)
	if len(spans) != 1 {
		t.Fatalf("%d spans, want 1", len(spans))
	}
	span := spans[0]
	if span.Name != "dead-letter delay.dead" || span.Status.Code != codes.Error || span.Status.Description != "bad-level" {
		t.Errorf("span %q, %v", span.Name, span.Status)
	}
	if !span.StartTime.Equal(late.Now) || !span.EndTime.Equal(late.Now) {
		t.Errorf("from %v to %v, want %v", span.StartTime, span.EndTime, late.Now)
	}
	got := attributes(span)
	if got["delayd.error"] != "bad-level" || got["delayd.requested"] != "soon" || got["delayd.lateness_seconds"] != 0.0 {
		t.Errorf("attributes %v", got)
	}
}

// Where its producer does not trace a record there is nothing to link to.
func TestNoSpan(t *testing.T) {
	t.Parallel()
	for name, headers := range map[string][]kgo.RecordHeader{
		"no header":   nil,
		"empty":       {header("traceparent", "")},
		"nonsense":    {header("traceparent", "\x00\xff")},
		"zeros":       {header("traceparent", "00-00000000000000000000000000000000-0000000000000000-01")},
		"not sampled": {header("traceparent", notSampled)},
	} {
		if spans := ended(t, delivered(headers...)); len(spans) != 0 {
			t.Errorf("%s: %d spans, want none", name, len(spans))
		}
	}
}

func TestOff(t *testing.T) {
	t.Parallel()
	if tracer := New(nil); tracer != nil {
		t.Error("a tracer without a provider")
	}
}

// TestContext: the context of a handler has the span that sent the record.
func TestContext(t *testing.T) {
	t.Parallel()
	tracer := New(sdktrace.NewTracerProvider())
	got := trace.SpanContextFromContext(tracer.Context(t.Context(), &kgo.Record{Headers: []kgo.RecordHeader{header("traceparent", sampled)}}))
	if got.TraceID().String() != "4bf92f3577b34da6a3ce929d0e0e4736" || !got.IsSampled() || !got.IsRemote() {
		t.Errorf("span %+v", got)
	}
	if ctx := t.Context(); tracer.Context(ctx, &kgo.Record{}) != ctx {
		t.Error("a record without traceparent has a context of its own")
	}
}
