package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/levels"
)

type peekCmd struct {
	Level time.Duration `required:"" type:"level" placeholder:"LEVEL" help:"The level, by its name, as in 5m. It need not be in the ladder any more."`
	Count int           `type:"peek" short:"n" placeholder:"N" default:"10" help:"How many records (default: ${default})."`
	recordFlags
}

// Run prints the records that are due next.
func (c *peekCmd) Run(ctx context.Context, con *console) error {
	return c.ask(ctx, func(cl *kgo.Client) error {
		list, err := admin.Peek(ctx, cl, c.Prefix, c.Level, c.Count)
		if err != nil {
			return err
		}
		if c.json() {
			return printJSON(con.out, append([]*admin.Pending{}, list...))
		}
		head := table.Row{"Due", "", "Target", "Partition", "Offset", "Id", "Key", "Value"}
		retried := slices.ContainsFunc(list, func(p *admin.Pending) bool { return p.Retried != nil })
		if retried {
			head = append(head, "Retry")
		}
		t := newTable(con.out, head, 4, 5)
		now := time.Now()
		for _, p := range list {
			target := "(default)"
			if p.Target != nil {
				target = short(*p.Target)
			}
			row := table.Row{p.Due.Format("2006-01-02T15:04:05.000Z"), nextDue(&p.Due, now), target, p.Partition, p.Offset,
				short(p.ID), glance(p.Key), glance(p.Value)}
			if retried {
				row = append(row, cmp.Or(p.Retried.String(), "-"))
			}
			t.AppendRow(row)
		}
		t.Render()
		return nil
	})
}

// parkedCmd groups the commands for parked records.
type parkedCmd struct {
	List parkedListCmd `cmd:"" help:"Print for which targets records are parked, and since when."`
}

type parkedListCmd struct{ recordFlags }

// Help is shown by kong below the flags.
func (parkedListCmd) Help() string {
	return "It reads all that is parked. What was delivered counts as parked until all that stands before it on its " +
		"partition has been delivered, which other targets share: a target can show more than there is, never less. " +
		"When a target is tried next only the service knows: at most a few seconds pass."
}

// Run prints what is parked, by target.
func (c *parkedListCmd) Run(ctx context.Context, con *console) error {
	return c.ask(ctx, func(cl *kgo.Client) error {
		list, err := admin.Parked(ctx, cl, c.Prefix)
		if err != nil {
			return err
		}
		if c.json() {
			return printJSON(con.out, list)
		}
		t := newTable(con.out, table.Row{"Target", "Parked", "Bytes", "Since", "Oldest due"}, 2, 3)
		for _, w := range list {
			t.AppendRow(table.Row{w.Target, w.Records, w.Bytes, w.Since.Format(time.RFC3339), w.OldestDue.Format(time.RFC3339)})
		}
		t.Render()
		return nil
	})
}

// parseLevel reads the name of a level, in any spelling of its delay.
func parseLevel(s string) (time.Duration, error) {
	d, err := levels.ParseDelay(s)
	names := levels.Names{Prefix: levels.DefaultPrefix}
	if _, ok := names.LevelDelay(names.Level(levels.Level{Delay: d})); err != nil || !ok {
		return 0, fmt.Errorf("%q: write the name of a level, as in 30s, 5m or 2h", s)
	}
	return d, nil
}

// maxPeek bounds how many records are shown: all of them are in memory.
const maxPeek = 10_000

// parsePeek reads how many records are shown.
func parsePeek(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxPeek {
		return 0, fmt.Errorf("%q: write a number from 1 to %d", s, maxPeek)
	}
	return n, nil
}
