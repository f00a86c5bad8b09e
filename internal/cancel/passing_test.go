package cancel

import (
	"testing"
	"time"
)

// TestPassing: what is known follows from what the router has passed. Times are in seconds.
func TestPassing(t *testing.T) {
	t.Parallel()
	at := func(s float64) time.Time { return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second))) }
	p := newPassing()
	for i, step := range []struct {
		at     float64
		now    []spot
		stalls map[int32]int64
		known  []float64 // of each partition; below 0: nothing
		all    float64
		behind int
		why    string
	}{
		{0, []spot{{10, 10}, {5, 3}}, nil, []float64{0, -1}, -1, 1, "one is passed, one is not"},
		{1, []spot{{12, 10}, {9, 4}}, nil, []float64{0, -1}, -1, 1, "new records; the aim of 0 s stays"},
		{2, []spot{{12, 11}, {9, 5}}, nil, []float64{0, 0}, 0, 0, "the second has passed what it had at 0 s"},
		{3, []spot{{12, 12}, {9, 5}}, nil, []float64{3, 0}, 0, 1, "the first has caught up; the second aims at 9 since 2 s"},
		{21.9, []spot{{20, 20}, {9, 5}}, nil, []float64{21.9, 0}, 0, 1, "the second has not moved since 2 s, and not for longer than the limit"},
		{22.5, []spot{{21, 21}, {9, 5}}, nil, []float64{22.5, 0}, 22.5, 1, "it stands still, and counts for its own records only"},
		{45, []spot{{22, 21}, {9, 5}}, nil, []float64{22.5, 0}, 0, 1, "nothing moves any more: the router is away, and all wait"},
		{46, []spot{{22, 22}, {9, 9}}, nil, []float64{46, 46}, 46, -1, "it is back"},
		{47, []spot{{1, 0}, {9, 9}}, nil, []float64{46, 47}, 46, 0, "the inbox is a new one"},
		{48, []spot{{0, 0}, {9, 9}, {4, 0}}, nil, []float64{48, 48, -1}, -1, 2, "and emptied; a partition is new"},
		{49, []spot{{3, 2}, {9, 9}, {4, 2}}, map[int32]int64{2: 2}, []float64{48, 49, -1}, 48, 2, "the new one stalls, by what its router says: it counts for its own records only"},
		{50, []spot{{3, 3}, {9, 9}, {6, 2}}, map[int32]int64{2: 2}, []float64{50, 50, -1}, 50, 2, "so it does from then on"},
		{51, []spot{{3, 3}, {9, 9}, {6, 3}}, map[int32]int64{2: 2}, []float64{51, 51, -1}, -1, 2, "it moves again"},
	} {
		k, behind := p.look(step.now, at(step.at), step.stalls)
		if behind != step.behind {
			t.Errorf("step %d, %s: %d is behind, want %d", i, step.why, behind, step.behind)
		}
		want := func(s float64) time.Time {
			if s < 0 {
				return time.Time{}
			}
			return at(s)
		}
		for n, s := range step.known {
			if !k.partitions[n].Equal(want(s)) {
				t.Errorf("step %d, %s: partition %d is known to %v, want %v", i, step.why, n, k.partitions[n].Sub(at(0)), s)
			}
		}
		if !k.all.Equal(want(step.all)) {
			t.Errorf("step %d, %s: all are known to %v, want %v", i, step.why, k.all.Sub(at(0)), step.all)
		}
		if own := k.of(1); own.After(k.partitions[1]) {
			t.Errorf("step %d: a record of partition 1 goes by %v", i, own.Sub(at(0)))
		}
	}
}
