package console

import (
	"time"

	"github.com/delayd-io/delayd/internal/metrics"
)

// latenessWindow is over how long lateness and delivery rates are taken, once there has
// been a look that long ago. Before that they are since the process started.
const latenessWindow = time.Minute

// Lateness is what this instance has delivered of one level, and how late.
type Lateness struct {
	Level string `json:"level"`
	// PerSecond is how many records a second were delivered.
	PerSecond float64 `json:"per_second"`
	Delivered uint64  `json:"delivered"`
	// P50 and P99 are in seconds, as exact as the buckets of the histogram; nil where
	// nothing was delivered.
	P50 *float64 `json:"p50_seconds"`
	P99 *float64 `json:"p99_seconds"`
}

// histogram is a level's lateness as it was at a time.
type histogram struct {
	bounds []float64 // rising; above the last one is the rest
	counts []uint64  // as many as bounds have, cumulative
	count  uint64
}

// snapshot is all levels' lateness at a time.
type snapshot struct {
	at     time.Time
	levels map[string]histogram
}

// takeSnapshot reads the histograms of this process. It asks nobody.
func takeSnapshot(m *metrics.Metrics, now time.Time) snapshot {
	s := snapshot{now, make(map[string]histogram)}
	if m == nil {
		return s
	}
	for _, of := range m.Lateness.Collect() {
		h := histogram{count: of.Count}
		for _, b := range of.Buckets {
			h.bounds, h.counts = append(h.bounds, b.Upper), append(h.counts, b.Count)
		}
		s.levels[of.Values[0]] = h
	}
	return s
}

// since subtracts what was counted before.
func (h histogram) since(before histogram) histogram {
	diff := histogram{h.bounds, make([]uint64, len(h.counts)), h.count - before.count}
	for i := range h.counts {
		diff.counts[i] = h.counts[i]
		if i < len(before.counts) {
			diff.counts[i] -= before.counts[i]
		}
	}
	return diff
}

// quantile is the value below which a part of the records is, interpolated within a
// bucket; nil where there are none. Above the last bucket it is that bucket's bound.
func (h histogram) quantile(q float64) *float64 {
	if h.count == 0 || len(h.bounds) == 0 {
		return nil
	}
	rank := q * float64(h.count)
	below, lower := uint64(0), 0.0
	for i, n := range h.counts {
		if float64(n) >= rank && n > below {
			v := lower + (h.bounds[i]-lower)*(rank-float64(below))/float64(n-below)
			return &v
		}
		below, lower = n, h.bounds[i]
	}
	last := h.bounds[len(h.bounds)-1]
	return &last
}

// latenesses compares two snapshots. The levels are in no order.
func latenesses(now, before snapshot) map[string]Lateness {
	list := make(map[string]Lateness)
	for level, h := range now.levels {
		d := h.since(before.levels[level])
		l := Lateness{Level: level, Delivered: d.count, P50: d.quantile(.5), P99: d.quantile(.99)}
		if seconds := now.at.Sub(before.at).Seconds(); seconds > 0 {
			l.PerSecond = float64(d.count) / seconds
		}
		list[level] = l
	}
	return list
}
