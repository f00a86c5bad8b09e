// Package delaydprom publishes the metrics of delayd with Prometheus. [Registry] is for the
// Metrics of a router's and a forwarder's configuration, [Collector] for what else is a
// [telemetry.Source], such as an admin.Collector.
package delaydprom

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/delayd-io/delayd/telemetry"
)

// Registry returns a registry that publishes with reg, nil where that is nil. A router and a
// forwarder that share one count together. Two forwarders need labels that differ: see
// prometheus.WrapRegistererWith.
func Registry(reg prometheus.Registerer) telemetry.Registry {
	if reg == nil {
		return nil
	}
	return registry{reg}
}

type registry struct{ to prometheus.Registerer }

// Register implements [telemetry.Registry].
func (r registry) Register(source telemetry.Source) (telemetry.Source, error) {
	err := r.to.Register(Collector(source))
	if err == nil {
		return source, nil
	}
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if same, ok := already.ExistingCollector.(collector); ok {
			return same.source, nil
		}
	}
	return nil, fmt.Errorf("%w; give delayd a registry of its own, or labels by prometheus.WrapRegistererWith", err)
}

// Collector returns a collector of what source gathers at each scrape.
func Collector(source telemetry.Source) prometheus.Collector { return collector{source} }

type collector struct{ source telemetry.Source }

func describe(f *telemetry.Family) *prometheus.Desc {
	return prometheus.NewDesc(f.Name, f.Help, f.Labels, nil)
}

// Describe implements prometheus.Collector.
func (c collector) Describe(descs chan<- *prometheus.Desc) {
	for _, f := range c.source.Describe() {
		descs <- describe(&f)
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, f := range c.source.Gather() {
		desc := describe(&f)
		for _, s := range f.Series {
			out <- metric(desc, f.Kind, &s)
		}
	}
}

// metric is a series as Prometheus has it.
func metric(desc *prometheus.Desc, kind telemetry.Kind, s *telemetry.Series) prometheus.Metric {
	switch kind {
	case telemetry.Counter:
		return prometheus.MustNewConstMetric(desc, prometheus.CounterValue, s.Value, s.Values...)
	case telemetry.Histogram:
		buckets := make(map[float64]uint64, len(s.Buckets))
		for _, b := range s.Buckets {
			buckets[b.Upper] = b.Count
		}
		return prometheus.MustNewConstHistogram(desc, s.Count, s.Sum, buckets, s.Values...)
	}
	return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, s.Value, s.Values...)
}
