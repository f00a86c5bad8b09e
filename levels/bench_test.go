package levels_test

import (
	"testing"
	"time"

	"github.com/delayd-io/delayd/levels"
)

// One request is read and rounded for every record, so it must not allocate.
func TestRequestsDoNotAllocate(t *testing.T) {
	ladder := levels.Default()
	for _, s := range []string{"10s", "3", "1m30s", "1.5s", "1d12h", "0", "5µs"} {
		allocs := testing.AllocsPerRun(100, func() {
			q, err := levels.ParseRequest(s)
			if err != nil {
				t.Fatal(err)
			}
			ladder.Grant(q, levels.Nearest)
		})
		if allocs != 0 {
			t.Errorf("%q: %v allocations, want none", s, allocs)
		}
	}
}

func BenchmarkParseRequest(b *testing.B) {
	for _, s := range []string{"3", "10s", "1m30s", "1.5s", "1d12h"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := levels.ParseRequest(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRound(b *testing.B) {
	ladder := levels.Default()
	b.ReportAllocs()
	for b.Loop() {
		ladder.Round(45*time.Minute, levels.Nearest)
	}
}

func BenchmarkLevelTopic(b *testing.B) {
	level := levels.Default().Last()
	b.ReportAllocs()
	for b.Loop() {
		_ = names.Level(level)
	}
}
