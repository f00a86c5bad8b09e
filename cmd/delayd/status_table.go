package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/printable"
)

// printStatus prints a report for people: a row for each topic, in the wide form who
// holds which partitions, and what there is to say in sentences.
func printStatus(w io.Writer, s statusReport, wide bool) {
	printTopics(w, s, wide, false)
	if wide {
		fmt.Fprintln(w)
		printHolders(w, s.Status)
	}
	printLines(w, warnings(s))
	printLines(w, remarks(s))
}

func printLines(w io.Writer, lines []string) {
	for _, line := range lines {
		printLine(w, "%s", line)
	}
}

// printTopics prints the row of each topic, without some columns where it is narrow.
func printTopics(w io.Writer, s statusReport, wide, narrow bool) {
	heading, numbers := table.Row{"Level"}, []int{2, 3, 4, 5, 6, 7, 8, 9}
	if wide {
		heading, numbers = table.Row{"Level", "Topic"}, []int{3, 4, 5, 6, 7, 8, 9, 10}
	}
	heading = append(heading, "Partitions", "Pending", "Overdue", "Next due", "In 1m", "In 10m", "In 1h", "Members", "Note")
	t := newTable(w, heading, numbers...)
	row := func(name string, topic admin.TopicStatus) {
		cells := table.Row{name}
		if wide {
			cells = append(cells, topic.Topic)
		}
		cells = append(cells, topic.Partitions, topic.Pending)
		if topic.Level == "" {
			cells = append(cells, "", "", "", "", "")
		} else {
			due := topic.DueWithin
			if due == nil { // could not be counted
				due = new(admin.DueWithin)
			}
			cells = append(cells, topic.Overdue, nextDue(topic.NextDue, s.At), due.Minute, due.TenMinutes, due.Hour)
		}
		if topic.Topic == s.Dead.Topic { // nobody reads them
			cells = append(cells, "", "")
		} else {
			cells = append(cells, members(topic), s.note(topic))
		}
		t.AppendRow(cells)
	}
	row("inbox", s.Inbox)
	for _, l := range s.Levels {
		row(l.Level, l)
	}
	row("parked", s.Parked)
	row("dead", s.Dead)
	columns := columns(heading, numbers)
	for _, i := range []int{0, 5, 6} { // the partitions, and what is due later
		columns[numbers[i]-1].Hidden = narrow
	}
	t.SetColumnConfigs(columns)
	t.Render()
}

// members is how many processes have a share of a topic.
func members(s admin.TopicStatus) string {
	switch {
	case s.Partitions == 0:
		return "no topic"
	case s.Members < 0:
		return "unknown"
	}
	return strconv.Itoa(s.Members)
}

// nextDue is a due time as seen from now.
func nextDue(due *time.Time, now time.Time) string {
	switch {
	case due == nil:
		return "-"
	case due.After(now):
		return fmt.Sprintf("in %v", due.Sub(now).Round(time.Second))
	}
	return fmt.Sprintf("%v ago", now.Sub(*due).Round(time.Second))
}

// note is what is special about a topic, in a few words: there may be several things.
func (r statusReport) note(s admin.TopicStatus) string {
	now := r.At
	var notes []string
	say := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	switch {
	case s.Retired && s.Pending > 0:
		say("retired: %d pending", s.Pending)
	case s.Retired:
		say("retired: empty, may be deleted")
	case s.Level != "" && (r.known.levels == stated || r.known.levels == differing) && !has(r.known.spec.Ladder, s.Level):
		say("not in the --levels of this command")
	}
	if s.Oldest != nil {
		say("oldest waits for %v", roughly(max(0, now.Sub(*s.Oldest))))
	}
	if s.Held > 0 {
		say("%d held by a transaction that is not ended", s.Held)
	}
	if unheld := s.Unheld(); s.Members > 0 && len(unheld) > 0 {
		say("nobody holds partition %s", printable.Ranges(unheld))
	}
	return strings.Join(notes, "; ")
}

// warnings are the lines that ask for somebody to do something, or to stop wondering.
func warnings(s statusReport) (lines []string) {
	if err := s.nowhere(); err != nil {
		return []string{err.Error() + "; is that the prefix? The first \"delayd serve\", or \"delayd admin provision\", makes them"}
	}
	for _, line := range []string{s.unattended(), s.known.remark(), oldestOverdue(s.Status)} {
		if line != "" {
			lines = append(lines, line)
		}
	}
	if s.unpaused != nil {
		lines = append(lines, fmt.Sprintf("what is paused is not known: %v", s.unpaused))
	}
	lines = append(lines, pausedLines(s.Paused, s.At)...)
	if s.CancelsPending > 0 {
		lines = append(lines, fmt.Sprintf("cancels pending: %d", s.CancelsPending))
	}
	return append(lines, alarmLines(s.Alarms)...)
}

// alarmLines are a line for each topic that is not as it should be, and one for all that
// are missing.
func alarmLines(alarms admin.Results) (lines []string) {
	const missing = "it does not exist; create it with delayd admin provision"
	var names []string
	for _, r := range alarms {
		line := strings.TrimPrefix(detail(r), "topic "+r.Topic+": ") // an error has it already
		if line == missing {
			names = append(names, r.Topic)
			continue
		}
		lines = append(lines, "topic "+r.Topic+": "+line)
	}
	switch {
	case len(names) == 1:
		lines = append(lines, "topic "+names[0]+": "+missing)
	case len(names) > 1:
		lines = append(lines, "topics "+listed(names)+": they do not exist; create them with delayd admin provision")
	}
	return lines
}

// remarks are the other lines.
func remarks(s statusReport) (lines []string) {
	lines = append(lines, clockLine(s.Clock))
	for _, l := range s.Levels {
		if l.Retired && l.Pending == 0 {
			lines = append(lines, fmt.Sprintf("%s: no level of the service, as it has published, and empty; once no instance has it in its --levels and nobody writes to it any more, delete it with "+
				"kafka-topics.sh --bootstrap-server %s --delete --topic %s", l.Topic, s.brokers, l.Topic))
		}
	}
	return lines
}

// narrow is below how many columns of a terminal the table leaves some of its own out.
const narrow = 110

// screen is the report for a terminal of width columns and height lines; 0 is no limit.
// Warnings come first, levels without records are left out, and what does not fit is cut,
// with a line that says so.
func (s statusReport) screen(wide bool, width, height int) string {
	var text strings.Builder
	printLines(&text, warnings(s))
	quiet := len(s.Levels)
	s.Levels = slices.DeleteFunc(slices.Clone(s.Levels), func(l admin.TopicStatus) bool {
		return l.Pending == 0 && l.Partitions > 0 && s.note(l) == ""
	})
	quiet -= len(s.Levels)
	printTopics(&text, s, wide, width > 0 && width < narrow)
	if quiet > 0 {
		fmt.Fprintf(&text, "%s with nothing pending\n", plural(quiet, "level"))
	}
	printLines(&text, remarks(s))
	if wide {
		printHolders(&text, s.Status)
	}
	return fit(text.String(), width, height)
}

// fit cuts a text to a number of columns and lines, 0 for any.
func fit(text string, width, height int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if more := len(lines) - height; height > 0 && more > 0 {
		lines = append(lines[:max(0, height-1)], fmt.Sprintf("… %s more", plural(more+1, "line")))
	}
	for i, line := range lines {
		if runes := []rune(line); width > 0 && len(runes) > width {
			lines[i] = string(runes[:width-1]) + "…"
		}
	}
	return strings.Join(lines, "\n")
}

// oldestOverdue names the level whose oldest record has been overdue for the longest.
func oldestOverdue(s admin.Status) string {
	var most time.Duration
	line := ""
	for _, l := range s.Levels {
		if by, late := l.Late(s.At); late && (line == "" || by > most) && by >= 0 {
			most, line = by, fmt.Sprintf("oldest overdue: %v, on level %s", roughly(by), l.Level)
		}
	}
	return line
}

// clockLine says how far this machine's clock is from the cluster's.
func clockLine(c *admin.Clock) string {
	side := func(d time.Duration) string {
		if d < 0 {
			return "behind"
		}
		return "ahead of"
	}
	switch {
	case c == nil:
		return "clock: not compared: no record is newer than a minute, and the controller tells its time only to those with DESCRIBE on the cluster"
	case c.Least != nil:
		middle := (*c.Least + c.Most) / 2
		return fmt.Sprintf("clock: this machine is %v %s the cluster's controller, give or take %v",
			roughly(middle.Abs()), side(middle), roughly((c.Most-*c.Least)/2))
	case c.Most < 0:
		return fmt.Sprintf("clock: this machine is at least %v behind the brokers, by their newest record", roughly(-c.Most))
	}
	return fmt.Sprintf("clock: this machine is at most %v ahead of the brokers, by their newest record", roughly(c.Most))
}

// share is the topics of which a process has the same partitions.
type share struct {
	instance, host, partitions string
}

// printHolders prints who holds which partitions, those of several topics in one row
// where they are the same.
func printHolders(w io.Writer, s admin.Status) {
	topics := make(map[share][]string)
	var shares []share
	add := func(of share, name string) {
		if _, ok := topics[of]; !ok {
			shares = append(shares, of)
		}
		topics[of] = append(topics[of], name)
	}
	for _, t := range everyTopic(s) {
		name := strings.TrimPrefix(nameOf(s, t), "level ")
		for _, h := range t.Holders {
			add(share{h.Instance, h.Host, printable.Ranges(h.Partitions)}, name)
		}
		if unheld := t.Unheld(); t.Members >= 0 && len(unheld) > 0 {
			add(share{"(nobody)", "", printable.Ranges(unheld)}, name)
		}
	}
	slices.SortStableFunc(shares, func(a, b share) int { return strings.Compare(a.instance, b.instance) })
	t := newTable(w, table.Row{"Instance", "Host", "Partitions", "Of"})
	for _, of := range shares {
		// Both are what a client says of itself.
		t.AppendRow(table.Row{of.instance, of.host, of.partitions, strings.Join(topics[of], " ")})
	}
	t.Render()
}
