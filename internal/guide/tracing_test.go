//go:build synctests

package guide

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kotel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/delayd-io/delayd/delaydotel"
	"github.com/delayd-io/delayd/delaydtest"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/router"
)

func newTracedProducer(provider trace.TracerProvider, opts ...kgo.Opt) (*router.Producer, error) {
	tracer := kotel.NewTracer(kotel.TracerProvider(provider), kotel.TracerPropagator(propagation.TraceContext{}))
	hooks := kgo.WithHooks(kotel.NewKotel(kotel.WithTracer(tracer)).Hooks()...)
	return router.NewProducer(router.ProducerConfig{}, append(opts, hooks)...)
}

func newTracedForwarder(provider trace.TracerProvider, opts ...kgo.Opt) (*forwarder.Forwarder, error) {
	cfg := forwarder.DefaultConfig()
	cfg.Tracing = delaydotel.New(provider) // a span of each delivery, linked to the producer's
	return forwarder.New(cfg, opts...)
}

// TestTracing: the span of a delivery has a link to the span of its sending.
func TestTracing(t *testing.T) {
	delaydtest.Run(t, delaydtest.Config{Topics: []string{"reminders"}}, func(t *testing.T, env *delaydtest.Env) {
		exporter := tracetest.NewInMemoryExporter()
		provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
		f, err := newTracedForwarder(provider, env.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		stop := env.Start(f)
		p, err := newTracedProducer(provider, env.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close(context.Background())
		sent := make(chan error)
		p.SendAsync(t.Context(), &kgo.Record{Topic: "reminders"}, 5*time.Second, func(_ router.Receipt, err error) { sent <- err })
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		env.Records("reminders", 1, time.Minute)
		stop()
		spans := exporter.GetSpans()
		if len(spans) != 2 || len(spans[1].Links) != 1 || spans[1].Links[0].SpanContext.SpanID() != spans[0].SpanContext.SpanID() {
			t.Errorf("got %+v, want the delivery's span with a link to the producer's", spans)
		}
	})
}
