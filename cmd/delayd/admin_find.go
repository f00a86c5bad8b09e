package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/find"
	"github.com/delayd-io/delayd/internal/printable"
)

type findCmd struct {
	ID      string        `arg:"" name:"id" help:"The delay-id of the record: the one that its producer set, or the one that delayd made, as in delay.inbox-3-4711-1798099200000."`
	Key     *string       `env:"-" placeholder:"K" help:"The record's key. It narrows the search to the partitions that Kafka's default partitioner (murmur2) chooses for it."`
	Around  time.Time     `type:"moment" env:"-" placeholder:"TIME" help:"About when the record was sent: 2h is two hours ago; or a day, 2026-03-01, or \"2026-03-01 12:00\", in UTC. An id that delayd made says it itself."`
	Within  time.Duration `type:"above-zero" placeholder:"D" default:"10m" help:"How far before and after --around to search (default: ${default})."`
	Target  string        `type:"topic" placeholder:"TOPIC" help:"The topic that it was delivered to. Default: as the record says, where that can still be read."`
	MaxRead int           `type:"count" placeholder:"N" default:"1000000" help:"Read no more than N records; 0 is no limit (default: ${default})."`
	knownLadderFlags
	recordFlags
}

// Help is shown by kong below the flags.
func (findCmd) Help() string {
	return "It says where the record is: waiting (on the inbox, or on which level and until when), parked, delivered, dead, or not found. " +
		"An id that delayd made says when and where the record was accepted, so a record that waits is found with a few look-ups. " +
		"For an id of the producer's own, all that waits is read, unless --around or --key narrows it. " +
		"The exit code is 0 when a record was found, 5 when none was, and 1 when the cluster cannot be asked."
}

// notFoundError says that a search found nothing.
type notFoundError struct{ error }

// Run searches, and prints where the record is.
func (c *findCmd) Run(ctx context.Context, con *console, config *cli, parsed *kong.Context) error {
	return c.ask(ctx, func(cl *kgo.Client) error {
		known := findInstalled(ctx, cl, admin.Spec{Ladder: c.Levels, Names: c.Prefix}, config.given(parsed))
		cfg := find.Config{Names: c.Prefix, Ladder: known.spec.Ladder, Limit: int64(c.MaxRead)}
		if c.MaxRead == 0 {
			cfg.Limit = -1
		}
		if isTerminal(con.err) {
			cfg.Progress = &progress{out: con.err}
		}
		q := find.Query{ID: c.ID, Around: c.Around, Within: c.Within, Target: c.Target}
		if c.Key != nil {
			q.Key = []byte(*c.Key)
		}
		r, err := find.Find(ctx, cl, cfg, q)
		if fault := new(find.FaultError); errors.As(err, fault) {
			return usageError{err}
		}
		if err != nil {
			return err
		}
		if c.json() {
			if err := printJSON(con.out, r); err != nil {
				return err
			}
		} else {
			printFound(con, r)
		}
		if r.State == find.NotFound {
			return notFoundError{fmt.Errorf("no record has the id %s at the places that were searched", printable.Text(short(c.ID)))}
		}
		return nil
	})
}

// preciseTime is a time in a table to the millisecond.
const preciseTime = "2006-01-02T15:04:05.000Z"

// printFound prints where a record is, or what was searched for it.
func printFound(con *console, r *find.Result) {
	if len(r.Records) > 0 {
		t := newTable(con.out, table.Row{"State", "Where", "Since", "Due", "Target", "Key", "Value", "Detail"})
		for _, s := range r.Records {
			due, detail := "-", s.Describe()
			if s.Due != nil {
				due = s.Due.Format(preciseTime)
			}
			if s.StepDue != nil && s.StepDue.Before(*s.Due) {
				detail += ", until " + s.StepDue.Format(preciseTime)
			}
			t.AppendRow(table.Row{s.State, admin.Place{Topic: s.Topic, Partition: s.Partition, Offset: s.Offset}, s.Since.Format(preciseTime), due,
				targetOf(s.Target), glance(s.Key), glance(s.Value), detail})
		}
		t.Render()
	} else {
		printSearched(con, r)
	}
	if r.More {
		con.note("more records have this id")
	}
	if s := r.Left; s != nil {
		con.note("it was on %s/%d/%d, accepted there at %s, and has left: it was delivered to %s, or cancelled, or deleted",
			s.Topic, s.Partition, s.Offset, s.Since.Format(preciseTime), targetOf(s.Target))
	}
	for _, note := range r.Notes {
		con.note("%s", note)
	}
	con.note("read: %s of %s", pluralRecords(r.Read), plural(len(r.Searched), "topic"))
}

// printSearched prints the bound of a search.
func printSearched(con *console, r *find.Result) {
	t := newTable(con.out, table.Row{"Searched", "Partitions", "From", "To", "Read", "Not read"}, 5, 6)
	for _, s := range r.Searched {
		from, to := "the beginning", "the end"
		if s.From != nil {
			from = s.From.Format(preciseTime)
		}
		if s.To != nil {
			to = s.To.Format(preciseTime)
		}
		partitions := printable.Ranges(s.Partitions)
		if s.Missing {
			partitions, from, to = "no such topic", "-", "-"
		}
		t.AppendRow(table.Row{s.Topic, strings.TrimSpace(partitions), from, to, s.Records, s.Unread})
	}
	t.Render()
}
