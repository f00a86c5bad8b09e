package main

import (
	"testing"
	"time"
)

// A fault answers for what is late after it, until the next one begins.
func TestRecovered(t *testing.T) {
	t.Parallel()
	const limit = 250 * time.Millisecond
	two := []fault{{From: 1 * time.Second, To: 2 * time.Second}, {From: 10 * time.Second, To: 11 * time.Second}}
	for name, tc := range map[string]struct {
		faults []fault
		late   map[time.Duration]time.Duration // by arrival
		want   time.Duration
	}{
		"never late":             {two, map[time.Duration]time.Duration{3 * time.Second: limit}, 0},
		"late during a fault":    {two, map[time.Duration]time.Duration{1500 * time.Millisecond: time.Second}, 0},
		"late after the first":   {two, map[time.Duration]time.Duration{3 * time.Second: time.Second}, time.Second + slot},
		"late before the second": {two, map[time.Duration]time.Duration{9950 * time.Millisecond: time.Second}, 8 * time.Second},
		"late after the second":  {two, map[time.Duration]time.Duration{3 * time.Second: time.Second, 14 * time.Second: time.Second}, 3*time.Second + slot},
		"late without a fault":   {nil, map[time.Duration]time.Duration{3 * time.Second: time.Second}, 0},
	} {
		l := newLateness()
		for at, late := range tc.late {
			l.add(at, late)
		}
		if got := l.recovered(tc.faults, limit); got != tc.want {
			t.Errorf("%s: recovered after %v, want %v", name, got, tc.want)
		}
	}
}
