package harness

import (
	"context"
	"iter"
	"time"
)

// Due yields, at each tick until ctx ends, the time and how many records are to be sent by
// then at a rate, in records a second. The clock decides how many are due: after a pause a
// load catches up, as real producers together would.
func Due(ctx context.Context, tick time.Duration, rate float64) iter.Seq2[time.Time, int64] {
	return func(yield func(time.Time, int64) bool) {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		start := time.Now()
		for {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			if now := time.Now(); !yield(now, int64(now.Sub(start).Seconds()*rate)) {
				return
			}
		}
	}
}
