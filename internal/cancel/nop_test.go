package cancel

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

var (
	nopLog   = zerolog.Nop()
	nopGauge = prometheus.NewGauge(prometheus.GaugeOpts{Name: "nop"})
)
