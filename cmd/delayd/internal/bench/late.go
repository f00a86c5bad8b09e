package bench

import "github.com/HdrHistogram/hdrhistogram-go"

// ticksPerHalf is how many percentiles are written for each halving of the distance to
// 100 %: enough for a smooth line.
const ticksPerHalf = 5

// newLate reads a histogram of microseconds; nil where it is empty.
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
