// Package series counts and measures: counters, gauges and histograms, by labels. The names
// and the semantics are those of Prometheus's client, which this package spares the library:
// nothing here publishes anything, see package telemetry.
package series

import (
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/delayd-io/delayd/telemetry"
)

// Collector is a metric that can be read.
type Collector interface {
	// Describe returns the metric without its series, and Collect the series.
	Describe() telemetry.Family
	Collect() []telemetry.Series
}

// Counter only rises.
type Counter interface {
	Collector
	Inc()
	Add(float64)
	Value() float64
}

// Gauge rises and falls.
type Gauge interface {
	Counter
	Dec()
	Set(float64)
}

// Observer takes measurements.
type Observer interface {
	Collector
	Observe(float64)
}

// The options of metrics. Buckets are the upper bounds of a histogram's buckets, rising.
type (
	CounterOpts   struct{ Name, Help string }
	GaugeOpts     struct{ Name, Help string }
	HistogramOpts struct {
		Name, Help string
		Buckets    []float64
	}
)

// NewCounter returns a counter without labels.
func NewCounter(opts CounterOpts) Counter {
	return &number{of: &telemetry.Family{Name: opts.Name, Help: opts.Help, Kind: telemetry.Counter}}
}

// NewGauge returns a gauge without labels.
func NewGauge(opts GaugeOpts) Gauge {
	return &number{of: &telemetry.Family{Name: opts.Name, Help: opts.Help, Kind: telemetry.Gauge}}
}

// number is a counter or a gauge.
type number struct {
	of     *telemetry.Family
	values []string
	bits   atomic.Uint64 // of a float64
}

func (n *number) Describe() telemetry.Family { return *n.of }

func (n *number) Collect() []telemetry.Series {
	return []telemetry.Series{{Values: n.values, Value: n.Value()}}
}

func (n *number) Inc()           { n.Add(1) }
func (n *number) Dec()           { n.Add(-1) }
func (n *number) Set(v float64)  { n.bits.Store(math.Float64bits(v)) }
func (n *number) Value() float64 { return math.Float64frombits(n.bits.Load()) }

func (n *number) Add(v float64) { add(&n.bits, v) }

// add adds to a float64 that is kept as its bits.
func add(to *atomic.Uint64, v float64) {
	for {
		old := to.Load()
		if to.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

// histogram counts measurements by bucket.
type histogram struct {
	of     *telemetry.Family
	values []string
	bounds []float64
	counts []atomic.Uint64 // one more than there are bounds: those above the last
	sum    atomic.Uint64   // the bits of a float64
}

func (h *histogram) Describe() telemetry.Family { return *h.of }

func (h *histogram) Observe(v float64) {
	at, _ := slices.BinarySearch(h.bounds, v) // the first bound that is v or more
	h.counts[at].Add(1)
	add(&h.sum, v)
}

// Collect reads the buckets one after another: a measurement that is made meanwhile is in all
// of its buckets and in the count, or in none.
func (h *histogram) Collect() []telemetry.Series {
	s := telemetry.Series{Values: h.values, Sum: math.Float64frombits(h.sum.Load()), Buckets: make([]telemetry.Bucket, len(h.bounds))}
	for i := range h.counts {
		s.Count += h.counts[i].Load()
		if i < len(h.bounds) {
			s.Buckets[i] = telemetry.Bucket{Upper: h.bounds[i], Count: s.Count}
		}
	}
	return []telemetry.Series{s}
}

// vec is a metric with labels: a series for each combination of their values.
type vec[M Collector] struct {
	of   *telemetry.Family
	make func(values []string) M

	mu  sync.RWMutex
	all map[string]M // by the values
}

// CounterVec is counters, GaugeVec gauges, and HistogramVec histograms, by labels.
type (
	CounterVec   struct{ vec[Counter] }
	GaugeVec     struct{ vec[Gauge] }
	HistogramVec struct{ vec[Observer] }
)

// NewCounterVec returns counters by labels.
func NewCounterVec(opts CounterOpts, labels []string) *CounterVec {
	of := &telemetry.Family{Name: opts.Name, Help: opts.Help, Kind: telemetry.Counter, Labels: labels}
	return &CounterVec{vec[Counter]{of: of, all: make(map[string]Counter), make: func(values []string) Counter {
		return &number{of: of, values: values}
	}}}
}

// NewGaugeVec returns gauges by labels.
func NewGaugeVec(opts GaugeOpts, labels []string) *GaugeVec {
	of := &telemetry.Family{Name: opts.Name, Help: opts.Help, Kind: telemetry.Gauge, Labels: labels}
	return &GaugeVec{vec[Gauge]{of: of, all: make(map[string]Gauge), make: func(values []string) Gauge {
		return &number{of: of, values: values}
	}}}
}

// NewHistogramVec returns histograms by labels.
func NewHistogramVec(opts HistogramOpts, labels []string) *HistogramVec {
	of := &telemetry.Family{Name: opts.Name, Help: opts.Help, Kind: telemetry.Histogram, Labels: labels}
	return &HistogramVec{vec[Observer]{of: of, all: make(map[string]Observer), make: func(values []string) Observer {
		return &histogram{of: of, values: values, bounds: opts.Buckets, counts: make([]atomic.Uint64, len(opts.Buckets)+1)}
	}}}
}

// key is values as the key of a map: no label has a zero byte.
func key(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return strings.Join(values, "\x00")
}

// WithLabelValues returns the series with these values, which is made unless it is there. It
// panics where there are more or fewer values than labels.
func (v *vec[M]) WithLabelValues(values ...string) M {
	if len(values) != len(v.of.Labels) {
		panic("series: " + v.of.Name + " with another number of labels than it has")
	}
	k := key(values)
	v.mu.RLock()
	m, ok := v.all[k]
	v.mu.RUnlock()
	if ok {
		return m
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if m, ok = v.all[k]; !ok {
		m = v.make(slices.Clone(values))
		v.all[k] = m
	}
	return m
}

// DeleteLabelValues ends the series with these values, and reports whether there was one.
func (v *vec[M]) DeleteLabelValues(values ...string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	k := key(values)
	_, ok := v.all[k]
	delete(v.all, k)
	return ok
}

// Describe implements Collector.
func (v *vec[M]) Describe() telemetry.Family { return *v.of }

// Collect implements Collector.
func (v *vec[M]) Collect() []telemetry.Series {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var all []telemetry.Series
	for _, m := range v.all {
		all = append(all, m.Collect()...)
	}
	return all
}
