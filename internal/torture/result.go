package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
)

// result is what came of a row's run. Times are in nanoseconds.
type result struct {
	Row      string        `json:"row"`
	Matrix   int           `json:"matrix,omitempty"`
	About    string        `json:"about"`
	Delivery delivery      `json:"delivery"`
	Seed     uint64        `json:"seed"`
	Rate     int           `json:"rate"` // records a second
	verdict                // its figures stand beside the others
	P50      time.Duration `json:"late_p50_ns"`
	P99      time.Duration `json:"late_p99_ns"`
	Worst    time.Duration `json:"late_worst_ns"`
	// Recovered is how long after the end of a fault records still came late, of
	// the fault after which it was longest.
	Recovered time.Duration `json:"recovered_ns"`
	// RecoveredLast is the same for the fault that ended last.
	RecoveredLast time.Duration `json:"recovered_last_ns"`
	// Drained is the same after the last fault for records of targets that stand
	// apart: those that a row breaks.
	Drained  time.Duration `json:"drained_ns,omitempty"`
	Crashes  int           `json:"crashes"`
	Restarts int           `json:"restarts"`         // of delayd that ended by themselves
	Rewound  int64         `json:"rewound"`          // records whose commit was taken away
	Memory   int64         `json:"memory,omitempty"` // bytes that a delayd had at most, where a row has looked
	Faults   []fault       `json:"faults"`
	// Violations say what is not allowed, in words; none where all is well.
	Violations []string `json:"violations"`
	// Notes say what the row measured besides.
	Notes   []string `json:"notes,omitempty"`
	Command string   `json:"command"`
	Logs    string   `json:"logs,omitempty"` // kept where there are violations

	worst []time.Duration // by slot of arrival; see [lateness]
}

func writeJSON(w io.Writer, results []*result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(results)
}

// writeTable writes the results for people: a line for each, and below what is
// wrong, with what to type to see it again.
func writeTable(w io.Writer, results []*result) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"row", "#", "delivery", "sent", "maybe", "aborted", "lost", "twice", "early", "reordered", "altered",
		"worst ms", "p99 ms", "recovered ms", "faults", ""})
	for _, r := range results {
		end := "ok"
		if len(r.Violations) > 0 {
			end = "VIOLATED"
		}
		t.AppendRow(table.Row{r.Row, r.Matrix, r.Delivery, r.Sent, r.Maybe, r.Aborted, r.Lost, r.Twice, r.Early, r.Reordered, r.Altered,
			r.Worst.Milliseconds(), r.P99.Milliseconds(), r.Recovered.Milliseconds(), len(r.Faults), end})
	}
	t.Render()
	for _, r := range results {
		r.writeViolations(w)
	}
}

// writeViolations writes what is wrong, some of the records it was wrong with, and
// what to type to see it again.
func (r *result) writeViolations(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n", r.Row, r.Command)
	for _, n := range r.Notes {
		fmt.Fprintf(w, "  %s\n", n)
	}
	for _, v := range r.Violations {
		fmt.Fprintf(w, "  violated: %s\n", v)
	}
	if len(r.Violations) == 0 {
		return
	}
	for _, e := range r.Examples {
		fmt.Fprintf(w, "    %s\n", e)
	}
	fmt.Fprintf(w, "  logs: %s\n", r.Logs)
}
