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
		{0, []spot{{end: 10, passed: 10}, {end: 5, passed: 3}}, nil, []float64{0, -1}, -1, 1, "one is passed, one is not"},
		{1, []spot{{end: 12, passed: 10}, {end: 9, passed: 4}}, nil, []float64{0, -1}, -1, 1, "new records; the aim of 0 s stays"},
		{2, []spot{{end: 12, passed: 11}, {end: 9, passed: 5}}, nil, []float64{0, 0}, 0, 0, "the second has passed what it had at 0 s"},
		{3, []spot{{end: 12, passed: 12}, {end: 9, passed: 5}}, nil, []float64{3, 0}, 0, 1, "the first has caught up; the second aims at 9 since 2 s"},
		{21.9, []spot{{end: 20, passed: 20}, {end: 9, passed: 5}}, nil, []float64{21.9, 0}, 0, 1, "the second has not moved since 2 s, and not for longer than the limit"},
		{22.5, []spot{{end: 21, passed: 21}, {end: 9, passed: 5}}, nil, []float64{22.5, 0}, 22.5, 1, "it stands still, and counts for its own records only"},
		{45, []spot{{end: 22, passed: 21}, {end: 9, passed: 5}}, nil, []float64{22.5, 0}, 0, 1, "nothing moves any more: the router is away, and all wait"},
		{46, []spot{{end: 22, passed: 22}, {end: 9, passed: 9}}, nil, []float64{46, 46}, 46, -1, "it is back"},
		{47, []spot{{end: 1, passed: 0}, {end: 9, passed: 9}}, nil, []float64{46, 47}, 46, 0, "the inbox is a new one"},
		{48, []spot{{end: 0, passed: 0}, {end: 9, passed: 9}, {end: 4, passed: 0}}, nil, []float64{48, 48, -1}, -1, 2, "and emptied; a partition is new"},
		{49, []spot{{end: 3, passed: 2}, {end: 9, passed: 9}, {end: 4, passed: 2}}, map[int32]int64{2: 2}, []float64{48, 49, -1}, 48, 2, "the new one stalls, by what its router says: it counts for its own records only"},
		{50, []spot{{end: 3, passed: 3}, {end: 9, passed: 9}, {end: 6, passed: 2}}, map[int32]int64{2: 2}, []float64{50, 50, -1}, 50, 2, "so it does from then on"},
		{51, []spot{{end: 3, passed: 3}, {end: 9, passed: 9}, {end: 6, passed: 3}}, map[int32]int64{2: 2}, []float64{51, 51, -1}, -1, 2, "it moves again"},
		{52, []spot{{end: 3, passed: 3}, {away: true, passed: 9}, {end: 6, passed: 6}}, nil, []float64{52, 51, 52}, 51, 1, "the second is away: nobody knows what comes there"},
		{71.9, []spot{{end: 3, passed: 3}, {away: true, passed: 9}, {end: 6, passed: 6}}, nil, []float64{71.9, 51, 71.9}, 51, 1, "not for longer than the limit"},
		{72.1, []spot{{end: 3, passed: 3}, {away: true, passed: 9}, {end: 6, passed: 6}}, nil, []float64{72.1, 51, 72.1}, 72.1, 1, "it counts for its own records only, though the router moves nowhere"},
		{73, []spot{{end: 3, passed: 3}, {end: 12, passed: 9}, {end: 6, passed: 6}}, nil, []float64{73, 51, 73}, 51, 1, "it is back, with records: those are seen first"},
		{74, []spot{{end: 3, passed: 3}, {end: 13, passed: 12}, {end: 6, passed: 6}}, nil, []float64{74, 52, 74}, 52, 1, "they have been; what came since has not"},
		{75, []spot{{away: true, passed: 3}, {away: true, passed: 13}, {away: true, passed: 6}}, nil, []float64{74, 74, 74}, 74, 0, "all are away"},
		{99, []spot{{away: true, passed: 3}, {away: true, passed: 13}, {away: true, passed: 6}}, nil, []float64{74, 74, 74}, 74, 0, "and none alone: all wait"},
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
