package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// prefixLabel tells the metrics of several installations apart.
const prefixLabel = "prefix"

// newRegistry returns a registry of metrics with those of the process itself: Go's,
// the operating system's, what was built, and whether it is ready. What is registered
// with ours is labelled with the prefix of the installation.
func newRegistry(ready *readiness, prefix string) (reg *prometheus.Registry, ours prometheus.Registerer) {
	built := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "delayd_build_info", Help: "1; the label says which version this is.",
		ConstLabels: prometheus.Labels{"version": version()},
	})
	built.Set(1)
	reg = prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	ours = prometheus.WrapRegistererWith(prometheus.Labels{prefixLabel: prefix}, reg)
	ours.MustRegister(built,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "delayd_ready", Help: "1 while /readyz says that the service can do its work, else 0.",
		}, func() float64 {
			if ready.check() != nil {
				return 0
			}
			return 1
		}),
	)
	return reg, ours
}
