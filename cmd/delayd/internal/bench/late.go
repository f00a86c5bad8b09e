package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// latest is the greatest lateness that the histogram distinguishes: an hour,
	// in microseconds.
	latest = int64(time.Hour / time.Microsecond)
	// digits is how many digits of a lateness are kept.
	digits = 3
	// ticksPerHalf is how many percentiles are written for each halving of the
	// distance to 100 %: enough for a smooth line.
	ticksPerHalf = 5
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, latest, digits) }

// observe adds a lateness. One below zero, which is counted as early, is no
// lateness.
func observe(h *hdrhistogram.Histogram, late time.Duration) {
	// It cannot fail: the value is within the bounds of newHistogram.
	_ = h.RecordValue(min(latest, max(0, late.Microseconds())))
}

// newLate reads a histogram; nil where it is empty.
func newLate(h *hdrhistogram.Histogram) *Late {
	if h.TotalCount() == 0 {
		return nil
	}
	l := &Late{
		Mean: h.Mean() / 1000,
		P50:  ms(h.ValueAtPercentile(50)),
		P90:  ms(h.ValueAtPercentile(90)),
		P99:  ms(h.ValueAtPercentile(99)),
		P999: ms(h.ValueAtPercentile(99.9)),
		Max:  ms(h.Max()), Histogram: h,
	}
	for _, b := range h.CumulativeDistributionWithTicks(ticksPerHalf) {
		l.Percentiles = append(l.Percentiles, Percentile{Percent: b.Quantile, Ms: ms(b.ValueAt)})
	}
	return l
}

// ms is microseconds in milliseconds.
func ms(us int64) float64 { return float64(us) / 1000 }
