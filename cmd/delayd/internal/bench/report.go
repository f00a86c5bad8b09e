package bench

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/delayd-io/delayd/levels"
)

// summarise fills in what the runs come to, all of them or those that were made
// before the run ended.
func (r *Report) summarise() {
	r.Summary = summarize(r.Runs)
	r.Ratios = compare(r.Runs, r.Summary)
	if r.Load.Scenario == Steady { // there the rate is the load's, and nobody's merit
		r.Ratios = slices.DeleteFunc(r.Ratios, func(q Ratio) bool { return q.Figure == FigureRate })
	}
	r.noteSender()
}

// keptUp is the share of the load's rate that has to have gone in: what is
// missing of all is what the last records took to be acknowledged.
const keptUp = 0.98

// noteSender adds a note where less was sent than the load says.
func (r *Report) noteSender() {
	least := float64(r.Load.Rate)
	for _, run := range r.Runs {
		if run.SentRate > 0 && run.Contender != Naive { // which is not given all of it
			least = min(least, run.SentRate)
		}
	}
	if least < keptUp*float64(r.Load.Rate) {
		r.Notes = append(r.Notes, fmt.Sprintf("In one round only %s a second went in: the sender or the brokers could not keep up with the load.",
			counted(int64(least), "record")))
	}
}

// figure is one figure of a run. It is false where the run does not have it.
func (r Result) figure(f Figure) (float64, bool) {
	switch f {
	case FigureLateP50, FigureLateP90, FigureLateP99, FigureLateP999, FigureLateMax:
		return r.Late.figure(f)
	case FigureRate:
		return r.Rate, r.Rate > 0
	case FigureFirst:
		return r.FirstSeconds, r.FirstSeconds > 0
	case FigureCPUPerMillion:
		return r.CPUPerMillion, r.CPUPerMillion > 0
	case FigureIdleMiB:
		return r.IdleMiB, r.IdleMiB > 0
	case FigurePendingMiB:
		return r.PendingMiB, r.PendingMiB > 0
	case FigurePeakMiB:
		return r.PeakMiB, r.PeakMiB > 0
	case FigureIdleCPU: // may well be 0 where it was measured
		return r.IdleCPUPercent, r.PendingMiB > 0
	case FigurePendingCPU:
		return r.PendingCPUPercent, r.PendingMiB > 0
	case FigureCancelsMiB:
		return r.CancelsMiB, r.CancelsMiB > 0
	case FigureCancelsCPU:
		return r.CancelsCPUPercent, r.CancelsMiB > 0
	}
	return 0, false
}

func (l *Late) figure(f Figure) (float64, bool) {
	if l == nil {
		return 0, false
	}
	switch f {
	case FigureLateP50:
		return l.P50, true
	case FigureLateP90:
		return l.P90, true
	case FigureLateP99:
		return l.P99, true
	case FigureLateP999:
		return l.P999, true
	case FigureLateMax:
		return l.Max, true
	}
	return 0, false
}

// summarize puts the rounds of each contender and label together, in the order
// in which they first ran.
func summarize(runs []Result) []Summary {
	var all []Summary
	for _, r := range runs {
		i := slices.IndexFunc(all, r.partOf)
		if i < 0 {
			i = len(all)
			all = append(all, Summary{Contender: r.Contender, Label: r.Label})
		}
		s := &all[i]
		s.Rounds++
		s.Sent += r.Sent
		s.Delivered += r.Delivered
		s.Lost += r.Lost
		s.Duplicated += r.Duplicated
		s.Early += r.Early
		s.Disordered += r.Disordered
		s.Kills += r.Kills
		s.Cancelled += r.Cancelled
		s.CancelledDelivered += r.CancelledDelivered
	}
	for i := range all {
		all[i].Medians = medians(runs, all[i])
		all[i].Late = mergeLate(runs, all[i])
	}
	return all
}

// partOf reports whether s has the run in it.
func (r Result) partOf(s Summary) bool { return r.Contender == s.Contender && r.Label == s.Label }

func medians(runs []Result, s Summary) map[Figure]float64 {
	found := make(map[Figure]float64)
	for _, f := range Figures {
		var values []float64
		for _, r := range runs {
			if v, ok := r.figure(f); ok && r.partOf(s) {
				values = append(values, v)
			}
		}
		if len(values) > 0 {
			found[f] = median(values)
		}
	}
	return found
}

// median is the middle of values, or half-way between the two in the middle.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

func mergeLate(runs []Result, s Summary) *Late {
	var merged *hdrhistogram.Histogram
	for _, r := range runs {
		switch {
		case !r.partOf(s) || r.Late == nil || r.Late.Histogram == nil:
		case merged == nil:
			merged = r.Late.Histogram.Clone()
		default:
			merged.Merge(r.Late.Histogram) // all have one range: nothing is dropped
		}
	}
	if merged == nil {
		return nil
	}
	return newLate(merged)
}

// compare relates the service to every yardstick, and what it does in trouble to
// what it does without.
func compare(runs []Result, all []Summary) []Ratio {
	var ratios []Ratio
	for _, of := range all {
		for _, to := range all {
			if !related(of, to) {
				continue
			}
			for _, f := range Figures {
				if values := perRound(runs, of, to, f); len(values) > 0 {
					ratios = append(ratios, Ratio{
						Of: of.Contender, OfLabel: of.Label, To: to.Contender, ToLabel: to.Label, Figure: f,
						Median: median(values), Min: slices.Min(values), Max: slices.Max(values), Pairs: len(values),
					})
				}
			}
		}
	}
	return ratios
}

// related reports whether a ratio of the two means something. A yardstick has
// one load, and is no measure for what the service does beside another one.
func related(of, to Summary) bool {
	switch {
	case of.Contender != Delayd || of.Label == LabelFlooding || to.Label == LabelFlooding:
		return false
	case to.Contender == Delayd:
		return of.Label != LabelAlone && to.Label == LabelAlone
	case of.Label == LabelFlood || of.Label == LabelSick:
		return of.Label == to.Label
	}
	return true
}

// perRound returns the ratios of a figure, one for each round in which both
// contenders have it.
func perRound(runs []Result, of, to Summary, f Figure) []float64 {
	var values []float64
	for _, a := range runs {
		for _, b := range runs {
			if !a.partOf(of) || !b.partOf(to) || a.Round != b.Round {
				continue
			}
			above, okA := a.figure(f)
			below, okB := b.figure(f)
			if okA && okB && below > 0 {
				values = append(values, above/below)
			}
		}
	}
	return values
}

// Check returns an error that says what the service did that it promises never
// to do. How fast it was is no part of that, nor what the yardsticks did.
func (r *Report) Check() error {
	var faults []string
	for _, s := range r.Summary {
		if s.Contender != Delayd {
			continue
		}
		fault := func(n int64, did string) {
			if n > 0 {
				who := s.name()
				if s.Label != "" {
					who += ","
				}
				faults = append(faults, fmt.Sprintf("%s %s %s of %s", who, did, grouped(n), counted(s.Sent, "record")))
			}
		}
		fault(s.Lost, "lost")
		fault(s.CancelledDelivered, "delivered in spite of a cancel")
		fault(s.Early, "delivered early")
		fault(s.Disordered, "delivered out of order")
		if s.Kills == 0 || r.Delivery == levels.ExactlyOnce { // else a kill may deliver twice
			fault(s.Duplicated, "delivered twice")
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return errors.New("bench: " + strings.Join(faults, "; "))
}

// name is who was measured, and on which occasion.
func (s Summary) name() string { return name(s.Contender, s.Label) }

func name(k Kind, label string) string {
	if label == "" {
		return string(k)
	}
	return string(k) + ", " + label
}
