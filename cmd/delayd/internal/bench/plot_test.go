package bench

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/delayd-io/delayd/internal/harness"
	"github.com/delayd-io/delayd/levels"
)

// lateBy makes up the lateness of n records: around a median, with a tail that
// ends at most times as late.
func lateBy(n int, median time.Duration, tail float64) *Late {
	random := rand.New(rand.NewPCG(1, 2))
	h := harness.NewLateness(time.Microsecond)
	for range n {
		factor := math.Exp(random.NormFloat64() / 4)
		if random.Float64() < 0.02 {
			factor *= 1 + random.Float64()*tail
		}
		h.Add(time.Duration(float64(median) * factor))
	}
	return newLate(h.Histogram)
}

// madeUp is a report of runs that nobody made.
func madeUp(scenario string, runs ...Result) *Report {
	level, _ := levels.Default().Number(2)
	r := &Report{
		Started: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
		Version: "devel (go1.26.8)",
		Machine: Machine{CPU: "a processor", Cores: 2, MemoryGiB: 7.8, OS: "debian 13, linux 6.12", Arch: "amd64", Go: "go1.26.8"},
		Cluster: Cluster{Brokers: 1, Version: "v4.1", Local: true},
		Clock:   "Lateness is one clock minus another.",
		Load: Load{
			Scenario: scenario, Through: ThroughLevel, Levels: []levels.Level{level},
			Size: 200, Keys: 500, Partitions: 4,
		},
		Runs: runs,
	}
	switch scenario {
	case Steady:
		r.Load.Rate, r.Load.Duration = 2000, 20*time.Second
	default:
		r.Load.Records = 2_000_000
	}
	r.summarise()
	return r
}

func steadyReport() *Report {
	var runs []Result
	for round := 1; round <= 5; round++ {
		shift := time.Duration(round) * 20 * time.Microsecond
		runs = append(runs,
			Result{Contender: Delayd, Label: LabelAlone, Round: round, Sent: 40_000, Delivered: 40_000, Late: lateBy(40_000, 1800*time.Microsecond+shift, 3)},
			Result{Contender: Delayd, Label: LabelFlood, Round: round, Sent: 40_000, Delivered: 40_000, Late: lateBy(40_000, 2300*time.Microsecond+shift, 9)},
			Result{Contender: Loop, Label: LabelAlone, Round: round, Sent: 40_000, Delivered: 40_000, Late: lateBy(40_000, 1700*time.Microsecond+shift, 2.5)},
			Result{Contender: Naive, Label: LabelAlone, Round: round, Sent: 40_000, Delivered: 40_000, Late: lateBy(40_000, 520*time.Millisecond, 4)},
		)
	}
	return madeUp(Steady, runs...)
}

func backlogReport() *Report {
	var runs []Result
	for round := 1; round <= 5; round++ {
		more := 9000 * float64(round)
		runs = append(runs,
			Result{Contender: Delayd, Round: round, Sent: 2_000_000, Delivered: 2_000_000, Seconds: 5, Rate: 402_000 + more},
			Result{Contender: Copy, Round: round, Sent: 2_000_000, Delivered: 2_000_000, Seconds: 5, Rate: 395_000 - more},
			Result{Contender: Naive, Round: round, Sent: 20_000, Delivered: 20_000, Seconds: 9, Rate: 2100 + more/100},
		)
	}
	return madeUp(Backlog, runs...)
}

func TestPlotIsAPictureOfItsFormat(t *testing.T) {
	t.Parallel()
	for name, report := range map[string]*Report{"steady": steadyReport(), "backlog": backlogReport()} {
		dir := t.TempDir()
		if here := os.Getenv("BENCH_PLOTS"); here != "" { // to look at them
			dir = here
		}
		file := filepath.Join(dir, name+".svg")
		if err := report.Plot(file); err != nil {
			t.Fatal(err)
		}
		svg := read(t, file)
		if words := svgText(t, svg); !strings.Contains(words, "delayd") || !strings.Contains(words, "values of 200 bytes") ||
			!strings.Contains(words, "2 cores") {
			t.Errorf("%s: the plot does not say what was measured on what: %s", name, words)
		}
		file = filepath.Join(dir, name+".png")
		if err := report.Plot(file); err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(read(t, file)))
		if err != nil {
			t.Fatal(err)
		}
		if r, g, b, a := picture.At(0, 0).RGBA(); r&g&b&a != 0xffff {
			t.Errorf("%s: the background is not white", name)
		}
	}
}

// A line goes as far as there are records to tell of.
func TestCurveEndsWithTheRecords(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]float64{1: 0, 10: 1, 1000: 3, 100_000: nines} {
		points := curve(lateBy(n, time.Millisecond, 1).Histogram)
		if last := points[len(points)-1]; last.X != want {
			t.Errorf("%d records: the line ends at %v nines, want %v", n, last.X, want)
		}
	}
}

func TestNothingToPlot(t *testing.T) {
	t.Parallel()
	for _, scenario := range []string{Steady, Backlog} {
		err := madeUp(scenario).Plot(filepath.Join(t.TempDir(), "x.svg"))
		if err == nil || !strings.Contains(err.Error(), "no record arrived") {
			t.Errorf("%s: %v", scenario, err)
		}
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// svgText parses a picture and returns the words in it.
func svgText(t *testing.T, svg []byte) string {
	t.Helper()
	var words strings.Builder
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return words.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			words.Write(text)
		}
	}
}
