package cancel

import (
	"github.com/rs/zerolog"

	"github.com/delayd-io/delayd/internal/series"
)

var (
	nopLog   = zerolog.Nop()
	nopGauge = series.NewGauge(series.GaugeOpts{Name: "nop"})
)
