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
)

// printStatus prints a report for people: a row for each topic, in the wide form who
// holds which partitions, and what there is to say in sentences.
func printStatus(w io.Writer, s statusReport, wide bool) {
	heading, numbers := table.Row{"Level"}, []int{2, 3, 4, 5, 6, 7, 8, 9}
	if wide {
		heading, numbers = table.Row{"Level", "Topic"}, []int{3, 4, 5, 6, 7, 8, 9, 10}
	}
	t := newTable(w, append(heading, "Partitions", "Pending", "Overdue", "Next due", "In 1m", "In 10m", "In 1h", "Members", "Note"), numbers...)
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
			cells = append(cells, members(topic), note(topic, s.At))
		}
		t.AppendRow(cells)
	}
	row("inbox", s.Inbox)
	for _, l := range s.Levels {
		row(l.Level, l)
	}
	row("parked", s.Parked)
	row("dead", s.Dead)
	t.Render()
	if wide {
		fmt.Fprintln(w)
		printHolders(w, s.Status)
	}
	if s.unpaused != nil {
		printLine(w, "what is paused is not known: %v", s.unpaused)
	}
	printPaused(w, s.Paused, s.At)
	for _, line := range remarks(s) {
		printLine(w, "%s", line)
	}
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
func note(s admin.TopicStatus, now time.Time) string {
	var notes []string
	say := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	switch {
	case s.Retired && s.Pending > 0:
		say("retired: %d pending", s.Pending)
	case s.Retired:
		say("retired: empty, may be deleted")
	}
	if s.Oldest != nil {
		say("oldest waits for %v", roughly(max(0, now.Sub(*s.Oldest))))
	}
	if s.Held > 0 {
		say("%d held by a transaction that is not ended", s.Held)
	}
	if unheld := s.Unheld(); s.Members > 0 && len(unheld) > 0 {
		say("nobody holds partition %s", ranges(unheld))
	}
	return strings.Join(notes, "; ")
}

// remarks are the lines below the tables.
func remarks(s statusReport) (lines []string) {
	if line := oldestOverdue(s.Status); line != "" {
		lines = append(lines, line)
	}
	lines = append(lines, clockLine(s.Clock))
	for _, l := range s.Levels {
		if l.Retired && l.Pending == 0 {
			lines = append(lines, fmt.Sprintf("%s: no level of --levels, and empty; once no instance has it in its --levels and nobody writes to it any more, delete it with "+
				"kafka-topics.sh --bootstrap-server %s --delete --topic %s", l.Topic, s.brokers, l.Topic))
		}
	}
	for _, r := range s.Alarms {
		line := detail(r)
		if name := "topic " + r.Topic + ": "; !strings.HasPrefix(line, name) { // an error has it already
			line = name + line
		}
		lines = append(lines, line)
	}
	return lines
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
			add(share{h.Instance, h.Host, ranges(h.Partitions)}, name)
		}
		if unheld := t.Unheld(); t.Members >= 0 && len(unheld) > 0 {
			add(share{"(nobody)", "", ranges(unheld)}, name)
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

// ranges are rising numbers in a short form: 0-2,5.
func ranges(numbers []int32) string {
	var parts []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		part := strconv.Itoa(int(numbers[i]))
		if j > i {
			part += "-" + strconv.Itoa(int(numbers[j]))
		}
		parts, i = append(parts, part), j+1
	}
	return strings.Join(parts, ",")
}
