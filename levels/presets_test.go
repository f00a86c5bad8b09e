package levels_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/delayd-io/delayd/levels"
)

// presetsFile has a table of the steps that walks take on each of the presets.
const presetsFile = "../docs/exact-delays.md"

// presets are the ladders of docs/exact-delays.md.
var presets = []struct{ name, spec string }{
	{"RocketMQ's", levels.DefaultSpec},
	{"RocketMQ's, and long ones", levels.DefaultSpec + " 8h 1d 4d 16d"},
	{"decimal", decimal},
	{"decimal, and long ones", decimal + " 4h 12h 1d 2d 4d 8d 16d"},
}

// decimal has 1 to 9 of each power of ten seconds, up to two hours.
const decimal = "1s 2s 3s 4s 5s 6s 7s 8s 9s 10s 20s 30s 40s 50s 60s 70s 80s 90s " +
	"100s 200s 300s 400s 500s 600s 700s 800s 900s 1000s 2000s 3000s 4000s 5000s 6000s 7000s"

// TestPresets computes the table of the presets, from 200,000 delays each, and checks the
// one in the documentation.
func TestPresets(t *testing.T) {
	page, err := os.ReadFile(presetsFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range presets {
		ladder, err := levels.Parse(p.spec)
		if err != nil {
			t.Fatal(err)
		}
		row := fmt.Sprintf("| %s | %d |", p.name, ladder.Len())
		for _, longest := range []time.Duration{time.Minute, 2 * time.Hour, 24 * time.Hour, 30 * 24 * time.Hour} {
			mean, worst := steps(ladder, longest)
			row += fmt.Sprintf(" %.1f, %d |", mean, worst)
		}
		if !strings.Contains(string(page), row+"\n") {
			t.Errorf("%s lacks the row\n%s", presetsFile, row)
		}
	}
}

// steps returns the mean and the most steps of random delays of up to longest.
func steps(ladder levels.Ladder, longest time.Duration) (mean float64, worst int) {
	const n = 200_000
	rng := rand.New(rand.NewPCG(1, 2))
	sum := 0
	for range n {
		d := time.Duration(1+rng.Int64N(longest.Milliseconds())) * time.Millisecond
		took := ladder.Steps(d)
		sum, worst = sum+took, max(worst, took)
	}
	return float64(sum) / n, worst
}
