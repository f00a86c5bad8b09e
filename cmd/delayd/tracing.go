package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
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

var otelEndpoints = []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}

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
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return nil, nil, usagef("%s=%q: %w; set %s=otlp or console, or none for no traces", by, os.Getenv(by), err, otelExporter)
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
