package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
)

// topicFlags are the flags of the commands that look after the topics.
type topicFlags struct {
	clientFlags
	nameFlags
	ladderFlags
	outputFlags
}

// ask calls do with a client of a cluster that has just answered.
func (f clientFlags) ask(ctx context.Context, do func(*kgo.Client) error) error {
	cl, err := f.connectTo(zerolog.Nop())
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := f.ping(ctx, cl); err != nil {
		return err
	}
	return do(cl)
}

type provisionCmd struct {
	topicFlags
	shapeFlags  `set:"replicas=-1"`
	ApplyConfig bool `help:"Set what differs on topics that exist, where that is safe: nothing is deleted, no limit made smaller, no partition added."`
}

// Run creates what is missing and prints what became of each topic. It fails
// where a topic is still missing, or would lose records.
func (c *provisionCmd) Run(ctx context.Context, con *console) error {
	spec, bring := c.spec(c.Levels, c.Prefix), admin.Ensure
	if c.ApplyConfig {
		bring = admin.Apply
	}
	if err := checkSpec(spec); err != nil {
		return err
	}
	return c.ask(ctx, func(cl *kgo.Client) error {
		results, err := bring(ctx, cl, spec)
		if len(results) == 0 { // the cluster did not answer: nothing became of anything
			return err
		}
		return errors.Join(c.print(con.out, results), err)
	})
}

func (c *provisionCmd) print(w io.Writer, results admin.Results) error {
	if c.json() {
		return printJSON(w, results)
	}
	t := newTable(w, table.Row{"Topic", "Outcome", "Detail"})
	for _, r := range results {
		t.AppendRow(table.Row{r.Topic, r.Outcome, detail(r)})
	}
	t.Render()
	return nil
}

// detail is all there is to say of a topic, the reason of a failure first.
func detail(r admin.Result) string {
	switch {
	case r.Err == nil:
		return r.Detail
	case r.Detail == "":
		return r.Err.Error()
	}
	return r.Err.Error() + "; " + r.Detail
}

type statusCmd struct{ topicFlags }

// Run prints what is pending. The counts come from offsets alone, so that it
// costs the same whatever waits.
func (c *statusCmd) Run(ctx context.Context, con *console) error {
	return c.ask(ctx, func(cl *kgo.Client) error {
		status, err := admin.Inspect(ctx, cl, admin.Spec{Ladder: c.Levels, Names: c.Prefix}, time.Now())
		if err != nil {
			return err
		}
		paused, err := admin.Pauses(ctx, cl, c.Prefix)
		if err != nil {
			fmt.Fprintf(con.err, "what is paused is not known: %v\n", err)
		}
		// However many partitions there are, that is no news here.
		results, _ := admin.Verify(ctx, cl, admin.Spec{Ladder: c.Levels, Names: c.Prefix, Partitions: int32(status.Inbox.Partitions)})
		alarms := alarming(results)
		if c.json() {
			return printJSON(con.out, statusReport{status, paused, alarms})
		}
		printStatus(con.out, status)
		printRetired(con.out, status)
		printPaused(con.out, paused, status.At)
		for _, r := range alarms {
			fmt.Fprintf(con.out, "%s: %s\n", r.Topic, detail(r))
		}
		return nil
	})
}

// statusReport is what is on the topics, and which of them are not as they should be.
type statusReport struct {
	admin.Status
	Paused []admin.Paused `json:"paused,omitempty"`
	Alarms admin.Results  `json:"alarms,omitempty"`
}

// alarming are the topics that are missing, or differ from what is wanted.
func alarming(results admin.Results) (alarms admin.Results) {
	for _, r := range results {
		if r.Outcome == admin.Drifted || r.Outcome == admin.Failed {
			alarms = append(alarms, r)
		}
	}
	return alarms
}

func printStatus(w io.Writer, s admin.Status) {
	t := newTable(w, table.Row{"Level", "Topic", "Partitions", "Pending", "Overdue", "Next due", "Members"}, 3, 4, 5, 7)
	row := func(name string, s admin.TopicStatus) table.Row {
		return table.Row{name, s.Topic, s.Partitions, s.Pending, "", "", members(s)}
	}
	t.AppendRow(row("inbox", s.Inbox))
	for _, l := range s.Levels {
		r := row(l.Level, l)
		r[4], r[5] = l.Overdue, nextDue(l.NextDue, s.At)
		if l.Retired {
			r[0] = l.Level + " (retired)"
		}
		t.AppendRow(r)
	}
	t.AppendRow(row("parked", s.Parked))
	dead := row("dead", s.Dead)
	dead[6] = "" // nobody reads them
	t.AppendRow(dead)
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
