// Package delaydotel traces deliveries with OpenTelemetry: it makes a span of the delivery of
// each record whose producer traces it. What [New] returns is the Tracing of a router's and a
// forwarder's configuration.
//
// The consumer of a target gets its producer's traceparent byte for byte. So no span
// of ours stands between the two: ours is a trace of its own, with a link to the span
// that sent the record, as the wait in between may take hours. For the same reason
// the hooks of franz-go's plugin kotel are not used, which write a traceparent into
// what is produced; its carrier is, which reads one.
package delaydotel

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kotel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/telemetry"
)

// scope is what the spans are attributed to.
const scope = "github.com/delayd-io/delayd"

// The attributes of a delivery's span that are ours.
const (
	KeyLevel     = attribute.Key("delayd.level")            // its name, 0s for none
	KeyRequested = attribute.Key("delayd.requested")        // the delay as its producer wrote it
	KeyLateness  = attribute.Key("delayd.lateness_seconds") // from due to acknowledged
	KeyError     = attribute.Key("delayd.error")            // the code of a dead letter
)

// tracer is a [telemetry.Tracer].
type tracer struct {
	tracer trace.Tracer
	format propagation.TraceContext
}

// New returns a tracer whose spans go to provider, nil where that is nil. The context of a
// forwarder's Handler has the span that sent the record, by its traceparent header.
func New(provider trace.TracerProvider) telemetry.Tracer {
	if provider == nil {
		return nil
	}
	return &tracer{tracer: provider.Tracer(scope)}
}

// Context is part of [telemetry.Tracer].
func (t *tracer) Context(ctx context.Context, rec *kgo.Record) context.Context {
	return t.format.Extract(ctx, kotel.NewRecordCarrier(rec))
}

// end is a [telemetry.End].
type end struct{ telemetry.End }

// Ended makes the span of a record, from its due time to its delivery. There is none
// for a record without traceparent, nor for one whose producer did not sample its
// trace: what would it be linked to?
func (t *tracer) Ended(of telemetry.End) {
	e := &end{of}
	ctx := t.format.Extract(context.Background(), kotel.NewRecordCarrier(e.Record))
	producer := trace.SpanContextFromContext(ctx)
	if !producer.IsSampled() {
		return
	}
	_, span := t.tracer.Start(context.Background(), e.name(),
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithLinks(trace.Link{SpanContext: producer}),
		trace.WithTimestamp(e.begin()),
		trace.WithAttributes(e.attributes()...),
	)
	if e.Code != "" {
		span.SetStatus(codes.Error, string(e.Code))
	}
	span.End(trace.WithTimestamp(e.Now))
}

// name is the operation and where to, as OpenTelemetry names the spans of messaging.
func (e *end) name() string {
	if e.Code != "" {
		return "dead-letter " + e.Record.Topic
	}
	return "deliver " + e.Record.Topic
}

// begin is the due time; a record that dies before it is due, or never was, has a span
// of no length.
func (e *end) begin() time.Time {
	if e.Due.IsZero() || e.Due.After(e.Now) {
		return e.Now
	}
	return e.Due
}

func (e *end) attributes() []attribute.KeyValue {
	list := []attribute.KeyValue{
		semconv.MessagingSystemKafka,
		semconv.MessagingOperationTypeSend,
		semconv.MessagingDestinationName(e.Record.Topic),
		KeyLevel.String(e.Level),
		KeyLateness.Float64(e.Now.Sub(e.begin()).Seconds()),
	}
	for _, h := range e.Record.Headers { // the last one wins where there are several
		switch h.Key {
		case levels.HeaderID:
			list = append(list, semconv.MessagingMessageID(string(h.Value)))
		case levels.HeaderRequested, levels.HeaderLevel, levels.HeaderFor, levels.HeaderUntil: // of what is delivered, of a dead letter
			list = append(list, KeyRequested.String(string(h.Value)))
		}
	}
	if e.Code != "" {
		list = append(list, KeyError.String(string(e.Code)))
	}
	return list
}
