package admin

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/delayd-io/delayd/internal/offsets"
)

// TestHeadIsFound searches logs whose timestamps are known. Offset and index are
// the same here.
func TestHeadIsFound(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	rapid.Check(t, func(t *rapid.T) {
		ages := rapid.SliceOfN(rapid.Int64Range(0, 3*time.Hour.Milliseconds()), 1, 60).Draw(t, "ages")
		delay := rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 2 * time.Hour}).Draw(t, "delay")
		stamps := make([]int64, len(ages))
		for i, age := range ages {
			stamps[i] = now.UnixMilli() - age
		}
		slices.Sort(stamps)
		next := rapid.IntRange(0, len(stamps)-1).Draw(t, "next")
		look := func(at int64) offsets.Found {
			i, _ := slices.BinarySearch(stamps, at)
			if i == len(stamps) {
				return offsets.Found{Offset: offsets.None, Timestamp: -1}
			}
			return offsets.Found{Offset: int64(i), Timestamp: stamps[i]}
		}

		h := newHead(offsets.Partition{}, int64(next), now)
		at := now.Add(-delay).UnixMilli()
		h.learn(at, look(at))
		for range searchRounds {
			if at, ok := h.next(); ok {
				h.learn(at, look(at))
			}
		}
		span := spanOf(stamps, now)
		if got, want := h.after, stamps[next]; !h.known || got > want || want-got > span/2000+1 {
			t.Fatalf("head at %d, want %d, or earlier by at most 1/2000 of %d ms", got, want, span)
		}
	})
}

func spanOf(stamps []int64, now time.Time) int64 { return now.Add(clockAhead).UnixMilli() - stamps[0] }
