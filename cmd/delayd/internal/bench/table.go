package bench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/delayd-io/delayd/internal/harness/picture"
	"github.com/delayd-io/delayd/levels"
)

// column is how a figure is shown in tables.
type column struct {
	heading string
	meaning string // "" where the heading or a neighbour says it
}

var columns = map[Figure]column{
	FigureLateP50:       {"p50", "p50 to max: lateness in milliseconds, by percentile"},
	FigureLateP90:       {"p90", ""},
	FigureLateP99:       {"p99", ""},
	FigureLateP999:      {"p99.9", ""},
	FigureLateMax:       {"max", ""},
	FigureRate:          {"rate", "rate: deliveries a second, from the first to the last"},
	FigureFirst:         {"first", "first: seconds from the start of the process to its first delivery"},
	FigureCPUPerMillion: {"cpu", "cpu: seconds of processor time for a million records"},
	FigureIdleMiB:       {"mem idle", "mem: resident memory in MiB"},
	FigurePendingMiB:    {"mem pending", ""},
	FigurePeakMiB:       {"mem peak", ""},
	FigureIdleCPU:       {"cpu idle", "cpu idle, cpu pending: percent of one core, with nothing to do"},
	FigurePendingCPU:    {"cpu pending", ""},
	FigureCancelsMiB:    {"mem cancels", "mem cancels, cpu cancels: with the cancels outstanding too"},
	FigureCancelsCPU:    {"cpu cancels", ""},
}

// countHeadings are what was sent and what went wrong with it.
var countHeadings = []string{"sent", "lost", "twice", "early", "disordered"}

// cancelHeadings are what was cancelled, and what of it was delivered all the same.
var cancelHeadings = []string{"cancelled", "delivered still"}

const (
	// lineWidth is where long lines are broken, and indent where the text of
	// the lines at the top begins.
	lineWidth = 120
	indent    = 9
)

// WriteText writes the report for people: what was measured on what, the medians
// of each contender, the ratios, and every single run.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fits := func(line string) bool { return utf8.RuneCountInString(line) <= lineWidth-indent }
	say := func(what, sentence string) {
		for _, line := range picture.Wrap(sentence, fits) {
			fmt.Fprintf(&b, "%-*s%s\n", indent, what, line)
			what = ""
		}
	}
	say("machine", r.Machine.sentence())
	say("cluster", r.Cluster.sentence())
	say("load", r.Load.sentence())
	say("clock", r.Clock)
	say("version", r.Version)
	say("started", r.Started.Format("2006-01-02 15:04:05 MST"))
	for _, note := range r.Notes {
		say("note", note)
	}
	if len(r.Summary) > 0 {
		r.writeSummary(&b)
	}
	if len(r.Ratios) > 0 {
		r.writeRatios(&b)
	}
	if r.several() { // else they are the summary
		r.writeRuns(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// several reports whether there are more rounds than one.
func (r *Report) several() bool { return len(r.Runs) > len(r.Summary) }

// cancels reports whether anything was cancelled in any run.
func (r *Report) cancels() bool {
	return slices.ContainsFunc(r.Summary, func(s Summary) bool { return s.Cancelled > 0 })
}

func (r *Report) countHeadings() []string {
	if r.cancels() {
		return slices.Concat(countHeadings, cancelHeadings)
	}
	return countHeadings
}

// figures are those that the runs have, in the order to show them in.
func (r *Report) figures() []Figure {
	var found []Figure
	for _, f := range Figures {
		for _, s := range r.Summary {
			if _, ok := s.Medians[f]; ok {
				found = append(found, f)
				break
			}
		}
	}
	return found
}

func (r *Report) writeSummary(b *strings.Builder) {
	figures := r.figures()
	if r.several() {
		b.WriteString("\nAll rounds: the records of all together, and the medians of the figures\n\n")
	} else {
		b.WriteString("\nOne round\n\n")
	}
	t := newTable(1, append([]string{"contender", "rounds"}, r.countHeadings()...), figures)
	for _, s := range r.Summary {
		row := table.Row{s.name(), s.Rounds}
		row = append(row, counts(s.Sent, s.Lost, s.Duplicated, s.Early, s.Disordered)...)
		if r.cancels() {
			row = append(row, counts(s.Cancelled, s.CancelledDelivered)...)
		}
		for _, f := range figures {
			v, ok := s.Medians[f]
			row = append(row, cell(v, ok))
		}
		t.AppendRow(row)
	}
	b.WriteString(t.Render() + "\n\n")
	for _, f := range figures {
		if meaning := columns[f].meaning; meaning != "" {
			b.WriteString(meaning + "\n")
		}
	}
}

func (r *Report) writeRatios(b *strings.Builder) {
	b.WriteString("\nRatios: the median of those of each round, and the least and the greatest of them\n\n")
	t := newTable(3, []string{"of", "to", "figure", "median", "least", "greatest", "rounds"}, nil)
	for _, q := range r.Ratios {
		t.AppendRow(table.Row{
			name(q.Of, q.OfLabel), name(q.To, q.ToLabel), columns[q.Figure].heading,
			ratio(q.Median), ratio(q.Min), ratio(q.Max), q.Pairs,
		})
	}
	b.WriteString(t.Render() + "\n")
}

func (r *Report) writeRuns(b *strings.Builder) {
	figures := r.figures()
	b.WriteString("\nEvery run, in the order they were made\n\n")
	t := newTable(1, append([]string{"contender", "round"}, r.countHeadings()...), figures)
	for _, run := range r.Runs {
		row := table.Row{name(run.Contender, run.Label), run.Round}
		row = append(row, counts(run.Sent, run.Lost, run.Duplicated, run.Early, run.Disordered)...)
		if r.cancels() {
			row = append(row, counts(run.Cancelled, run.CancelledDelivered)...)
		}
		for _, f := range figures {
			v, ok := run.figure(f)
			row = append(row, cell(v, ok))
		}
		t.AppendRow(row)
	}
	b.WriteString(t.Render() + "\n")
}

// newTable is a table in the style of all commands. All columns but the first
// few are numbers.
func newTable(words int, headings []string, figures []Figure) table.Writer {
	for _, f := range figures {
		headings = append(headings, columns[f].heading)
	}
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	var heading table.Row
	var aligned []table.ColumnConfig
	for i, h := range headings {
		heading = append(heading, h)
		if i >= words {
			aligned = append(aligned, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	t.AppendHeader(heading)
	t.SetColumnConfigs(aligned)
	return t
}

func counts(numbers ...int64) table.Row {
	var row table.Row
	for _, n := range numbers {
		row = append(row, grouped(n))
	}
	return row
}

// cell is a figure to three digits, or as many as it has before the point.
func cell(v float64, ok bool) string {
	switch {
	case !ok:
		return "-"
	case v >= 99.95:
		return grouped(int64(math.Round(v)))
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// ratio keeps digits of small ones too.
func ratio(v float64) string {
	if v > 0 && v < 0.1 {
		return fmt.Sprintf("%.2g", v)
	}
	return cell(v, true)
}

// sentence is the load in words.
func (l Load) sentence() string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch l.Scenario {
	case Steady:
		add("%s a second for %s", counted(int64(l.Rate), "record"), levels.FormatDelay(l.Duration))
	case Backlog:
		add("%s, all overdue", counted(int64(l.Records), "record"))
	case Pending:
		add("%s that wait", counted(int64(l.Records), "record"))
	}
	add("values of %s", counted(int64(l.Size), "byte"))
	add("%s", counted(int64(l.Keys), "key"))
	var names []string
	for _, level := range l.Levels {
		names = append(names, level.String())
	}
	if l.Exact {
		from := exactFrom
		if l.Scenario == Pending {
			from = shortest(l.Levels)
		}
		add("exact delays of %s to %s", levels.FormatDelay(from), levels.FormatDelay(longest(l.Levels)))
	} else if len(names) == 1 {
		add("level %s", names[0])
	} else if len(names) > 1 {
		add("in turns on the levels %s", strings.Join(names, " "))
	}
	if l.Through == ThroughInbox {
		add("through the inbox")
	} else {
		add("straight to the level")
	}
	add("%s", counted(int64(l.Partitions), "partition"))
	return strings.Join(parts, ", ")
}

// sentence is the machine in words.
func (m Machine) sentence() string {
	return fmt.Sprintf("%s of %s, %.1f GiB of memory, %s, %s, %s",
		counted(int64(m.Cores), "core"), m.CPU, m.MemoryGiB, m.OS, m.Arch, m.Go)
}

// sentence is the cluster in words.
func (c Cluster) sentence() string {
	switch {
	case c.Embedded:
		return "The embedded broker, which is no Apache Kafka"
	case c.Local:
		return fmt.Sprintf("%s of Kafka %s, on this machine", counted(int64(c.Brokers), "broker"), c.Version)
	}
	return fmt.Sprintf("%s of Kafka %s", counted(int64(c.Brokers), "broker"), c.Version)
}

// english writes numbers as the documentation does: 20,000.
var english = message.NewPrinter(language.English)

func grouped(n int64) string { return english.Sprintf("%d", n) }

// counted is n with its noun.
func counted(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}
