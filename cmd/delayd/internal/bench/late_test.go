package bench

import (
	"testing"
	"time"

	"github.com/delayd-io/delayd/internal/harness"
)

func TestLate(t *testing.T) {
	t.Parallel()
	h := harness.NewLateness(time.Microsecond)
	if newLate(h.Histogram) != nil {
		t.Error("lateness of no records")
	}
	for i := range 1000 {
		h.Add(time.Duration(i+1) * time.Millisecond)
	}
	l := newLate(h.Histogram)
	near := func(name string, got, want float64) {
		t.Helper()
		if got < want*0.999 || got > want*1.001 { // three digits are kept
			t.Errorf("%s: %v ms, want %v", name, got, want)
		}
	}
	near("mean", l.Mean, 500.5)
	near("p50", l.P50, 500)
	near("p90", l.P90, 900)
	near("p99", l.P99, 990)
	near("p99.9", l.P999, 999)
	near("max", l.Max, 1000)
	last := Percentile{}
	for _, p := range l.Percentiles {
		if p.Percent < last.Percent || p.Ms < last.Ms {
			t.Fatalf("%v behind %v", p, last)
		}
		last = p
	}
	if last.Percent != 100 || last.Ms != l.Max {
		t.Errorf("the last percentile is %v", last)
	}
}
