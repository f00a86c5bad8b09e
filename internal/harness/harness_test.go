package harness

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The clock decides what is due, also after a pause.
func TestDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		looks := 0
		for now, due := range Due(ctx, time.Millisecond, 2000) {
			looks++
			if most := int64(2 * now.Sub(start).Milliseconds()); due > most || due < most-1 || !now.Equal(time.Now()) {
				t.Fatalf("after %v: %d, want %d", now.Sub(start), due, most)
			}
			if looks == 10 {
				time.Sleep(4 * time.Second)
			}
		}
		if took := time.Since(start); took != 5*time.Second || looks < 900 || looks > 1100 {
			t.Errorf("%d looks in %v", looks, took)
		}
		for range Due(t.Context(), time.Millisecond, 1) {
			break // nothing is left behind
		}
	})
}

func TestLatenessHasBounds(t *testing.T) {
	t.Parallel()
	for _, unit := range []time.Duration{time.Microsecond, time.Millisecond} {
		l := NewLateness(unit)
		l.Add(-time.Second)
		l.Add(2 * time.Hour)
		if l.TotalCount() != 2 || l.Min() != 0 || l.Max() < int64(latest/unit) {
			t.Errorf("%d records from %d to %d times %v", l.TotalCount(), l.Min(), l.Max(), unit)
		}
	}
}

// serve answers every request, and returns where.
func serve(t *testing.T, status int, body string) (addr string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestReady(t *testing.T) {
	t.Parallel()
	if err := Ready(t.Context(), serve(t, http.StatusOK, "ready\n")); err != nil {
		t.Error(err)
	}
	for body, want := range map[string]string{"no topic delay.inbox\n": "no topic delay.inbox\n", "": "503 Service Unavailable"} {
		if err := Ready(t.Context(), serve(t, http.StatusServiceUnavailable, body)); err == nil || err.Error() != want {
			t.Errorf("%q: %v", body, err)
		}
	}
	if err := Ready(t.Context(), "127.0.0.1:1"); err == nil {
		t.Error("ready, and nobody listens")
	}
}

func TestMetric(t *testing.T) {
	t.Parallel()
	addr := serve(t, http.StatusOK, "# TYPE delivered counter\ndelivered{level=\"0s\"} 1\ndelivered{level=\"1s\"} 2\ndelivered{level=\"5s\"} 4\n"+
		"# TYPE held gauge\nheld{level=\"1s\"} 8\n")
	for _, tc := range []struct {
		metric, label string
		want          float64
	}{
		{"delivered", "", 7}, {"delivered", "level=1s", 2}, {"delivered", "level!=0s", 6}, {"delivered", "level=2s", 0},
		{"held", "level=1s", 8}, {"nothing", "", 0},
	} {
		got, found, err := Metric(t.Context(), addr, tc.metric, strings.Fields(tc.label)...)
		if err != nil || got != tc.want || found != (tc.metric != "nothing") {
			t.Errorf("%s{%s}: %v, %v, %v, want %v", tc.metric, tc.label, got, found, err, tc.want)
		}
	}
	if _, _, err := Metric(t.Context(), serve(t, http.StatusOK, "<html>"), "held"); err == nil {
		t.Error("no error of a page that has no metrics")
	}
}
