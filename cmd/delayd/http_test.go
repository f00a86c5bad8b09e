package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
)

func TestReadyz(t *testing.T) {
	t.Parallel()
	ready := new(readiness)
	handler := newHandler(ready, prometheus.NewRegistry(), false, "")
	check := func(wantCode int, wantBody string) {
		t.Helper()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		if w.Code != wantCode || w.Body.String() != wantBody {
			t.Errorf("readyz: %d %q, want %d %q", w.Code, w.Body, wantCode, wantBody)
		}
	}
	fine := func() error { return nil }
	ready.not("starting")
	check(http.StatusServiceUnavailable, "starting\n")
	ready.when(fine, fine)
	check(http.StatusOK, "ready\n")
	ready.when(func() error { return errors.New("one") }, fine, func() error { return errors.New("two") })
	check(http.StatusServiceUnavailable, "one\ntwo\n")
	ready.not("stopping")
	check(http.StatusServiceUnavailable, "stopping\n")
}

// A process has several clients, and their metrics are one set.
func TestClientMetricsOfSeveralClients(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	reg := prometheus.NewPedanticRegistry()
	hooks := newClientMetrics(reg, zerolog.Nop())
	for range 2 {
		cl, err := kgo.NewClient(append(connect.Options([]string{broker}, "test", zerolog.Nop()), kgo.WithHooks(hooks))...)
		if err != nil {
			t.Fatal(err)
		}
		if err := cl.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		cl.Close()
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	connects := 0.0
	for _, f := range families {
		if f.GetName() == "delayd_kafka_connects_total" {
			for _, m := range f.GetMetric() {
				connects += m.GetCounter().GetValue()
			}
		}
	}
	if connects < 2 {
		t.Errorf("%v connections counted after both clients are closed, want one of each at least", connects)
	}
}
