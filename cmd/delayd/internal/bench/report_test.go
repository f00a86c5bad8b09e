package bench

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/delayd-io/delayd/internal/harness"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{7}, 7},
		{[]float64{3, 1}, 2},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := median(tc.values); got != tc.want {
			t.Errorf("median of %v: %v, want %v", tc.values, got, tc.want)
		}
	}
}

// The two of a round are compared with each other, in whatever order they ran.
// A round that only one of them finished makes no pair.
func TestRatiosAreOfTheSameRound(t *testing.T) {
	t.Parallel()
	r := madeUp(Backlog,
		Result{Contender: Delayd, Round: 1, Rate: 100},
		Result{Contender: Copy, Round: 1, Rate: 50},
		Result{Contender: Copy, Round: 2, Rate: 400},
		Result{Contender: Delayd, Round: 2, Rate: 200},
		Result{Contender: Delayd, Round: 3, Rate: 900},
	)
	want := []Ratio{{Of: Delayd, To: Copy, Figure: FigureRate, Median: 1.25, Min: 0.5, Max: 2, Pairs: 2}}
	if diff := cmp.Diff(want, r.Ratios); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := r.Summary[0].Medians[FigureRate]; got != 200 {
		t.Errorf("median rate %v, want 200", got)
	}
}

func TestWhatIsCompared(t *testing.T) {
	t.Parallel()
	late := &Late{P50: 1, P90: 1, P99: 1, P999: 1, Max: 1}
	r := madeUp(Steady,
		Result{Contender: Delayd, Label: LabelAlone, Round: 1, Late: late},
		Result{Contender: Delayd, Label: LabelFlood, Round: 1, Late: late},
		Result{Contender: Delayd, Label: LabelFlooding, Round: 1, Late: late},
		Result{Contender: Loop, Round: 1, Late: late},
		Result{Contender: Naive, Round: 1, Late: late},
	)
	got := make(map[string]int)
	for _, q := range r.Ratios {
		got[name(q.Of, q.OfLabel)+" / "+name(q.To, q.ToLabel)]++
	}
	want := map[string]int{
		"delayd, alone / loop":                   5,
		"delayd, alone / naive":                  5,
		"delayd, beside a flood / delayd, alone": 5,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The records of all rounds are put together, and the rounds stay as they were.
func TestSummaryOfLateness(t *testing.T) {
	t.Parallel()
	quick, slow := harness.NewLateness(time.Microsecond), harness.NewLateness(time.Microsecond)
	for range 100 {
		quick.Add(time.Millisecond)
		slow.Add(3 * time.Millisecond)
	}
	first := newLate(quick.Histogram)
	r := madeUp(Steady,
		Result{Contender: Delayd, Round: 1, Sent: 100, Late: first},
		Result{Contender: Delayd, Round: 2, Sent: 100, Early: 2, Late: newLate(slow.Histogram)},
	)
	s := r.Summary[0]
	if s.Rounds != 2 || s.Sent != 200 || s.Early != 2 {
		t.Errorf("%d rounds, %d sent, %d early; want 2, 200, 2", s.Rounds, s.Sent, s.Early)
	}
	if n := s.Late.Histogram.TotalCount(); n != 200 || !near(s.Medians[FigureLateP50], (first.P50+r.Runs[1].Late.P50)/2) {
		t.Errorf("%d records, median %v", n, s.Medians[FigureLateP50])
	}
	if n := first.Histogram.TotalCount(); n != 100 {
		t.Errorf("the first round has %d records now, want 100", n)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	fine := Result{Contender: Delayd, Round: 1, Sent: 40_000, Delivered: 40_000}
	for _, tc := range []struct {
		name string
		run  Result
		want string
	}{
		{"nothing wrong", Result{Contender: Delayd}, ""},
		{"lost", Result{Contender: Delayd, Sent: 40_000, Lost: 1}, "bench: delayd lost 1 of 80,000 records"},
		{"in spite of a cancel", Result{Contender: Delayd, Label: LabelCancel, Sent: 9, Cancelled: 3, CancelledDelivered: 1},
			"bench: delayd, with cancels, delivered in spite of a cancel 1 of 9 records"},
		{"early", Result{Contender: Delayd, Sent: 40_000, Early: 1200}, "bench: delayd delivered early 1,200 of 80,000 records"},
		{"out of order", Result{Contender: Delayd, Disordered: 1}, "bench: delayd delivered out of order 1 of 40,000 records"},
		{"twice", Result{Contender: Delayd, Duplicated: 1}, "bench: delayd delivered twice 1 of 40,000 records"},
		{"twice after a kill", Result{Contender: Delayd, Label: LabelKilled, Sent: 9, Duplicated: 1, Kills: 1}, ""},
		{"lost after a kill", Result{Contender: Delayd, Label: LabelKilled, Sent: 9, Lost: 1, Kills: 1}, "bench: delayd, killed on the way, lost 1 of 9 records"},
		{"a yardstick", Result{Contender: Loop, Lost: 1, Duplicated: 1, Early: 1, Disordered: 1}, ""},
		{"all of it", Result{Contender: Delayd, Sent: 1, Lost: 1, Early: 1}, "bench: delayd lost 1 of 40,001 records; delayd delivered early 1 of 40,001 records"},
	} {
		err := madeUp(Steady, fine, tc.run).Check()
		if got := sentenceOf(err); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func sentenceOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A figure is only as good as the load that it is of.
func TestNoteOfASenderThatCouldNotKeepUp(t *testing.T) {
	t.Parallel()
	for sent, want := range map[float64]int{2000: 0, 1990: 0, 1500: 1} {
		r := madeUp(Steady,
			Result{Contender: Delayd, Round: 1, SentRate: sent},
			Result{Contender: Naive, Round: 1, SentRate: naiveRate},
		)
		if len(r.Notes) != want {
			t.Errorf("%v records a second of 2000: notes %q", sent, r.Notes)
		}
	}
}

func TestReportAsJSON(t *testing.T) {
	t.Parallel()
	r := steadyReport()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Clock, Version string
		Load           struct{ Levels []string }
		Runs           []struct {
			Late struct {
				P99         float64 `json:"p99_ms"`
				Percentiles []Percentile
			}
		}
		Summary []struct{ Medians map[Figure]float64 }
		Ratios  []Ratio
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Clock != r.Clock || got.Version != r.Version || len(got.Load.Levels) != 1 || len(got.Runs) != len(r.Runs) {
		t.Errorf("clock %q, version %q, levels %q, %d runs", got.Clock, got.Version, got.Load.Levels, len(got.Runs))
	}
	if diff := cmp.Diff(r.Ratios, got.Ratios); diff != "" {
		t.Errorf("ratios (-want +got):\n%s", diff)
	}
	if got.Summary[0].Medians[FigureLateP99] != r.Summary[0].Medians[FigureLateP99] {
		t.Errorf("p99 of the summary: %v", got.Summary[0].Medians)
	}
	points := got.Runs[0].Late.Percentiles
	for i := 1; i < len(points); i++ {
		if points[i].Percent < points[i-1].Percent || points[i].Ms < points[i-1].Ms {
			t.Fatalf("percentile points fall: %v, %v", points[i-1], points[i])
		}
	}
	if len(points) < 20 || points[len(points)-1].Ms != r.Runs[0].Late.Max {
		t.Errorf("%d percentile points, which end at %v", len(points), points[len(points)-1])
	}
}

func near(a, b float64) bool { return math.Abs(a/b-1) < 1e-9 }
