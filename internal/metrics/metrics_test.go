package metrics

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/delayd-io/delayd/levels"
)

// TestForgedRecords: whatever level and due time a record claims, it makes no series of
// its own, and does not spoil the histogram. It is counted.
func TestForgedRecords(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := New(registry)
	m.Expect(levels.Default())
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m.Late("10s", now.Add(-time.Second), now)
	m.Late("10s", time.UnixMilli(0), now)
	for _, level := range []string{"31s", "1d", "9h"} {
		m.Late(level, now, now)
		m.Park(level)
	}
	got := make(map[string]*dto.Metric)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{Other: true, levels.Level{}.String(): true, levels.GrantedExact: true}
	for l := range levels.Default().All() {
		known[l.String()] = true
	}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() != "level" {
					continue
				}
				if !known[label.GetValue()] {
					t.Errorf("%s has a series of level %s", f.GetName(), label.GetValue())
				}
				got[f.GetName()+" "+label.GetValue()] = metric
			}
		}
	}
	if n := got["delayd_delivered_total 10s"].GetCounter().GetValue(); n != 2 {
		t.Errorf("%v delivered of 10s, want 2", n)
	}
	if h := got["delayd_lateness_seconds 10s"].GetHistogram(); h.GetSampleCount() != 1 || h.GetSampleSum() != 1 {
		t.Errorf("lateness of 10s: %d of %v s in all, want 1 of 1 s", h.GetSampleCount(), h.GetSampleSum())
	}
	for _, name := range []string{"delayd_delivered_total", "delayd_parked_total"} {
		if n := got[name+" "+Other].GetCounter().GetValue(); n != 3 {
			t.Errorf("%s: %v of other levels, want 3", name, n)
		}
	}
}
