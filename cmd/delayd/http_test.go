package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
)

func TestReadyz(t *testing.T) {
	t.Parallel()
	ready := new(readiness)
	handler := newHandler(ready, prometheus.NewRegistry(), false, "", nil)
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

// pipes is a listener without a network, so that deadlines are on virtual time.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// Whoever sends slowly, or nothing, or does not read, is cut off; what takes long is
// not.
func TestHTTPBoundsConnections(t *testing.T) {
	t.Parallel()
	const get, profile = "GET /x HTTP/1.1\r\nHost: x\r\n", "GET /profile HTTP/1.1\r\nHost: x\r\n"
	const long = writeTimeout - time.Second
	handler := http.NewServeMux()
	handler.HandleFunc("/x", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "done") })
	handler.HandleFunc("/profile", unhurried(func(w http.ResponseWriter, req *http.Request) {
		select {
		case <-time.After(long):
			io.WriteString(w, "done")
		case <-req.Context().Done():
		}
	}))
	for name, tc := range map[string]struct {
		sent  string
		reads bool
		after time.Duration
	}{
		"nothing":         {"", true, headerTimeout},
		"half a header":   {get, true, headerTimeout},
		"half a body":     {get + "Content-Length: 9\r\n\r\nhalf", true, readTimeout},
		"idle":            {get + "\r\n", true, idleTimeout},
		"reads no answer": {get + "\r\n", false, writeTimeout},
		"a profile":       {profile + "Connection: close\r\n\r\n", true, long},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := make(pipes)
				ctx, cancel := context.WithCancel(t.Context())
				served := make(chan error)
				go func() { served <- serveHTTP(ctx, ln, handler) }()
				ours, theirs := net.Pipe()
				begun := time.Now()
				ln <- theirs
				io.WriteString(ours, tc.sent)
				if tc.reads {
					body, _ := io.ReadAll(bufio.NewReader(ours))
					if answered := strings.Contains(string(body), "done"); answered != strings.Contains(tc.sent, "\r\n\r\n") {
						t.Errorf("answer %q", body)
					}
				} else {
					time.Sleep(time.Hour)
					// What is written to a pipe that is closed is an error, as is what is read.
					if _, err := ours.Read(make([]byte, 1)); err != io.EOF {
						t.Errorf("read %v, want the end", err)
					}
				}
				if took := time.Since(begun); tc.reads && took != tc.after {
					t.Errorf("closed after %v, want %v", took, tc.after)
				}
				ours.Close()
				cancel()
				if err := <-served; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
