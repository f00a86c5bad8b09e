package series

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/delayd-io/delayd/telemetry"
)

// sorted are the series of a metric by the values of their labels.
func sorted(c Collector) []telemetry.Series {
	all := c.Collect()
	slices.SortFunc(all, func(a, b telemetry.Series) int {
		return strings.Compare(strings.Join(a.Values, ","), strings.Join(b.Values, ","))
	})
	return all
}

// TestNumbers: a number counts whatever is added to it from several goroutines, and each
// combination of labels is a number of its own.
func TestNumbers(t *testing.T) {
	t.Parallel()
	c, g := NewCounterVec(CounterOpts{Name: "c"}, []string{"a", "b"}), NewGauge(GaugeOpts{Name: "g"})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				c.WithLabelValues("x", "y").Inc()
				c.WithLabelValues("x", "z").Add(.5)
				g.Inc()
				g.Dec()
			}
		})
	}
	wg.Wait()
	want := []telemetry.Series{{Values: []string{"x", "y"}, Value: 4000}, {Values: []string{"x", "z"}, Value: 2000}}
	if diff := cmp.Diff(want, sorted(c)); diff != "" {
		t.Errorf("counter (-want +got):\n%s", diff)
	}
	if g.Value() != 0 {
		t.Errorf("the gauge is %v, want 0", g.Value())
	}
	if g.Set(-3); g.Value() != -3 {
		t.Errorf("the gauge is %v, want -3", g.Value())
	}
	if !c.DeleteLabelValues("x", "y") || c.DeleteLabelValues("x", "y") || len(c.Collect()) != 1 {
		t.Errorf("after one was deleted there are %v", c.Collect())
	}
	want2 := telemetry.Family{Name: "c", Kind: telemetry.Counter, Labels: []string{"a", "b"}}
	if diff := cmp.Diff(want2, c.Describe()); diff != "" {
		t.Errorf("description (-want +got):\n%s", diff)
	}
}

// TestHistogram: a measurement counts in the first bucket whose bound is not below it, and in
// all above.
func TestHistogram(t *testing.T) {
	t.Parallel()
	h := NewHistogramVec(HistogramOpts{Name: "h", Buckets: []float64{1, 2, 5}}, []string{"l"})
	for _, v := range []float64{0, 1, 1.5, 2, 5, 6, 7} {
		h.WithLabelValues("x").Observe(v)
	}
	want := []telemetry.Series{{
		Values: []string{"x"}, Count: 7, Sum: 22.5,
		Buckets: []telemetry.Bucket{{Upper: 1, Count: 2}, {Upper: 2, Count: 4}, {Upper: 5, Count: 5}},
	}}
	if diff := cmp.Diff(want, h.Collect()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
