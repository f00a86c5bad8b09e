package metrics

import (
	"testing"
	"time"

	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/telemetry"
)

// TestForgedRecords: whatever level and due time a record claims, it makes no series of
// its own, and does not spoil the histogram. It is counted.
func TestForgedRecords(t *testing.T) {
	m := New(nil)
	m.Expect(levels.Default())
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m.Late("10s", now.Add(-time.Second), now)
	m.Late("10s", time.UnixMilli(0), now)
	for _, level := range []string{"31s", "1d", "9h"} {
		m.Late(level, now, now)
		m.Park(level)
	}
	got := make(map[string]telemetry.Series)
	known := map[string]bool{Other: true, levels.Level{}.String(): true, levels.GrantedExact: true}
	for l := range levels.Default().All() {
		known[l.String()] = true
	}
	for _, f := range m.Gather() {
		if len(f.Labels) != 1 || f.Labels[0] != "level" {
			continue
		}
		for _, s := range f.Series {
			if !known[s.Values[0]] {
				t.Errorf("%s has a series of level %s", f.Name, s.Values[0])
			}
			got[f.Name+" "+s.Values[0]] = s
		}
	}
	if n := got["delayd_delivered_total 10s"].Value; n != 2 {
		t.Errorf("%v delivered of 10s, want 2", n)
	}
	if h := got["delayd_lateness_seconds 10s"]; h.Count != 1 || h.Sum != 1 {
		t.Errorf("lateness of 10s: %d of %v s in all, want 1 of 1 s", h.Count, h.Sum)
	}
	for _, name := range []string{"delayd_delivered_total", "delayd_parked_total"} {
		if n := got[name+" "+Other].Value; n != 3 {
			t.Errorf("%s: %v of other levels, want 3", name, n)
		}
	}
}

// registry is a telemetry.Registry of one source, that of a test.
type registry struct{ source telemetry.Source }

func (r *registry) Register(source telemetry.Source) (telemetry.Source, error) {
	if r.source == nil {
		r.source = source
	}
	return r.source, nil
}

// TestRegisterTwice: a router and a forwarder that share a registry count together, and each
// has the levels of its own ladder.
func TestRegisterTwice(t *testing.T) {
	reg := new(registry)
	router, forwarder := New(reg), New(reg)
	router.Expect(levels.Default())
	router.Retried.Inc()
	forwarder.Retried.Inc()
	if n := router.Retried.Value(); n != 2 {
		t.Errorf("%v counted, want 2", n)
	}
	if forwarder.levels != nil {
		t.Error("the forwarder's metrics have the router's levels")
	}
	reg.source = foreign{}
	if _, err := Register(reg); err == nil {
		t.Error("no error where the registry has something else")
	}
}

// foreign is a source that is not ours.
type foreign struct{ telemetry.Source }
