package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/delayd-io/delayd/delaydotel"
	"github.com/delayd-io/delayd/telemetry"
)

const (
	// traceStopTimeout bounds how long the last spans hold up the exit.
	traceStopTimeout = 2 * time.Second
	// traceLogPeriod is how often it is said that spans cannot be exported.
	traceLogPeriod = 30 * time.Second
)

// OpenTelemetry's own variables that ask for traces, and that refuse them.
const (
	otelDisabled = "OTEL_SDK_DISABLED"
	otelExporter = "OTEL_TRACES_EXPORTER"
)

// The first that is set counts: its kind of telemetry before all kinds.
var (
	otelEndpoints = []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}
	otelProtocols = []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"}
)

// otelProtocol is the one protocol of OTLP that the program has: gRPC makes it 1.5 MB
// larger, and collectors take both.
const otelProtocol = "http/protobuf"

// tracesWanted names the variable that asks for traces, "" where none does. Without
// any OpenTelemetry would send to localhost.
func tracesWanted(getenv func(string) string) (name string) {
	exporter := getenv(otelExporter)
	if strings.EqualFold(getenv(otelDisabled), "true") || exporter == "none" {
		return ""
	}
	if exporter != "" {
		return otelExporter
	}
	for _, name := range otelEndpoints {
		if getenv(name) != "" {
			return name
		}
	}
	return ""
}

// startTracing returns what makes spans, nil where nobody asked for any, and
// what sends the last of them. All that it does is set by OpenTelemetry's own
// variables (OTEL_…), which its SDK reads.
func startTracing(ctx context.Context, log zerolog.Logger) (tracer telemetry.Tracer, stop func(), err error) {
	by := tracesWanted(os.Getenv)
	if by == "" {
		return nil, func() {}, nil
	}
	exporter, err := newExporter(ctx, os.Getenv)
	if err != nil {
		return nil, nil, err
	}
	res, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "delayd"), attribute.String("service.version", version())),
		resource.WithFromEnv(), // what is set there wins
	)
	if err != nil {
		return nil, nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	quiet := log.Sample(&zerolog.BurstSampler{Burst: 1, Period: traceLogPeriod})
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		quiet.Warn().Err(err).Msg("exporting spans: some are dropped")
	}))
	sdk := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
	log.Info().Str("set_by", by).Msg("deliveries of records with a sampled traceparent are traced")
	return delaydotel.New(sdk), func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), traceStopTimeout)
		defer cancel()
		if err := sdk.Shutdown(ctx); err != nil {
			log.Warn().Err(err).Msg("the last spans could not be exported")
		}
	}, nil
}

// newExporter returns what sends spans to where OpenTelemetry's variables say.
func newExporter(ctx context.Context, getenv func(string) string) (sdktrace.SpanExporter, error) {
	switch exporter := getenv(otelExporter); exporter {
	case "", "otlp":
		for _, name := range otelProtocols {
			if protocol := getenv(name); protocol == otelProtocol {
				break
			} else if protocol != "" {
				return nil, usagef("%s=%q: only %s is supported; unset it, and name the collector's port for HTTP, usually 4318", name, protocol, otelProtocol)
			}
		}
		return otlptracehttp.New(ctx)
	case "console":
		return stdouttrace.New()
	default:
		return nil, usagef("%s=%q: unknown exporter; set %s=otlp or console, or none for no traces", otelExporter, exporter, otelExporter)
	}
}
