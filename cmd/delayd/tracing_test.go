package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

func TestTracesWanted(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		environ string
		want    string
	}{
		{"", ""},
		{"OTEL_SERVICE_NAME=delays", ""},
		{"OTEL_TRACES_EXPORTER=otlp", "OTEL_TRACES_EXPORTER"},
		{"OTEL_TRACES_EXPORTER=none OTEL_EXPORTER_OTLP_ENDPOINT=http://a", ""},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://a", "OTEL_EXPORTER_OTLP_ENDPOINT"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://a", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
		{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://a", ""},
		{"OTEL_SDK_DISABLED=TRUE OTEL_TRACES_EXPORTER=otlp", ""},
		{"OTEL_SDK_DISABLED=false OTEL_TRACES_EXPORTER=console", "OTEL_TRACES_EXPORTER"},
	} {
		got := tracesWanted(func(name string) string {
			for _, entry := range strings.Fields(tc.environ) {
				if value, ok := strings.CutPrefix(entry, name+"="); ok {
					return value
				}
			}
			return ""
		})
		if got != tc.want {
			t.Errorf("%s: wanted by %q, want %q", tc.environ, got, tc.want)
		}
	}
}

// What OpenTelemetry's variables ask for arrives at a collector.
func TestServeTraces(t *testing.T) {
	received := make(chan *collector.ExportTraceServiceRequest, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		traces := new(collector.ExportTraceServiceRequest)
		if err == nil {
			err = proto.Unmarshal(body, traces)
		}
		if err != nil || req.URL.Path != "/v1/traces" {
			t.Errorf("request for %s: %v", req.URL.Path, err)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
		received <- traces
	}))
	defer receiver.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.URL)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	s := startServer(t)
	succeed(t, "", "send", "--brokers", s.broker, "--to", "orders", "--delay", "1s",
		"--header", "traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "hello")
	select {
	case traces := <-received:
		text := traces.String()
		for _, want := range []string{
			`deliver orders`, `"service.name"`, `"delayd"`, `"deployment.environment.name"`, `"delayd.level"`, `"1s"`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %s in %s", want, text)
			}
		}
		if links := traces.ResourceSpans[0].ScopeSpans[0].Spans[0].Links; len(links) != 1 || links[0].SpanId[7] != 0xb7 {
			t.Errorf("links %v", links)
		}
	case <-time.After(patience):
		t.Fatalf("no traces\n%s", s.err)
	}
}

func TestServeRefusesAnExporterThatThereIsNot(t *testing.T) {
	for name, tc := range map[string]struct{ value, want string }{
		"OTEL_TRACES_EXPORTER":               {"jaeger", `OTEL_TRACES_EXPORTER="jaeger": unknown exporter; set OTEL_TRACES_EXPORTER=otlp or console, or none for no traces`},
		"OTEL_EXPORTER_OTLP_PROTOCOL":        {"grpc", `OTEL_EXPORTER_OTLP_PROTOCOL="grpc": only http/protobuf is supported; unset it`},
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": {"http/json", `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/json": only http/protobuf is supported; unset it`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv(name, tc.value)
			code, _, stderr := runDelayd(t, "", "serve", "--brokers", "127.0.0.1:1", "--http", "127.0.0.1:0")
			if code != exitUsage || !strings.Contains(stderr, tc.want) {
				t.Errorf("exit code %d, %s; want %s", code, stderr, tc.want)
			}
		})
	}
}
