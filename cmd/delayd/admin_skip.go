package main

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
)

type skipCmd struct {
	At     admin.Place `arg:"" name:"topic/partition/offset" type:"place" help:"Where the batch is, as the log of the service names it: delay.inbox/0/42."`
	Yes    bool        `env:"-" help:"Skip without asking. Without it, somebody at a terminal has to type the place."`
	Force  bool        `env:"-" help:"Skip a batch that can be decoded too: each of its records becomes a dead letter, also where it was delivered before."`
	DryRun bool        `help:"Print what would be skipped, and skip nothing."`
	recordFlags
}

// Help is shown by kong below the flags.
func (skipCmd) Help() string {
	return "The service stops a partition at a batch of records that it cannot decode, and keeps handling all others. " +
		"This command writes a dead letter with the reason, the place and the batch as it is, and tells the service to go on after the batch. " +
		"No record of the batch is delivered. A running service goes on within a minute; a later one starts after the batch."
}

// skipReport is what was found, and whether it is skipped.
type skipReport struct {
	*admin.Skip
	Skipped bool `json:"skipped"`
}

// Run says what is in the way, asks, and skips it.
func (c *skipCmd) Run(ctx context.Context, con *console) error {
	return c.ask(ctx, func(cl *kgo.Client) error {
		skip, err := admin.NewSkip(ctx, cl, c.Prefix, c.At)
		if err != nil {
			return err
		}
		if !c.json() {
			printSkip(con.out, skip)
		}
		if skip.Fault == "" && !c.Force {
			return fmt.Errorf("%v: the batch can be decoded, so the service can read it; "+
				"--force makes a dead letter of each of its records that is at this offset or after it, and goes on after them", skip.At)
		}
		if !c.DryRun {
			if err := c.confirm(ctx, con, skip); err != nil {
				return err
			}
			if err := skip.Do(ctx, cl); err != nil {
				return err
			}
		}
		if c.json() {
			return printJSON(con.out, skipReport{skip, !c.DryRun})
		}
		c.sum(con, skip)
		return nil
	})
}

func printSkip(w io.Writer, s *admin.Skip) {
	t := newTable(w, table.Row{"From", "To", "Records", "Bytes", "Codec", "Cannot be decoded"}, 1, 2, 3, 4)
	t.AppendRow(table.Row{s.First, s.Last, s.Records, s.Bytes, s.Codec, cmp.Or(s.Fault, "-")})
	t.Render()
}

// confirm asks whether the batch may be skipped.
func (c *skipCmd) confirm(ctx context.Context, con *console, s *admin.Skip) error {
	if c.Yes {
		return nil
	}
	if !isTerminal(con.in) {
		return usagef("%s at %v would be skipped and not delivered, and nobody is at a terminal to say so; write --yes, or --dry-run",
			pluralRecords(int64(s.Records)), s.At)
	}
	return awaitSkip(ctx, con, s)
}

// awaitSkip waits until somebody types the place.
func awaitSkip(ctx context.Context, con *console, s *admin.Skip) error {
	con.note("%s will be dead letters and not delivered. Type %v to go on:", pluralRecords(int64(s.Records)), s.At)
	return awaitWord(ctx, con, s.At.String(), "nothing was skipped")
}

// sum says what became of the batch.
func (c *skipCmd) sum(con *console, s *admin.Skip) {
	from := s.At.Offset
	if s.Fault != "" {
		from = min(from, s.First) // the batch is skipped as a whole
	}
	if c.DryRun {
		con.note("would be skipped: the offsets %d to %d of %s/%d", from, s.Last, s.At.Topic, s.At.Partition)
		return
	}
	con.note("skipped: the offsets %d to %d of %s/%d; the service goes on at %d", from, s.Last, s.At.Topic, s.At.Partition, s.Last+1)
	if n := len(s.Letters); n > 0 {
		con.note("written: %s, from %v on", plural(n, "dead letter"), s.Letters[0])
	}
	if s.Bare > 0 {
		con.note("without what is skipped, which %s does not take: %s; sha256 of the batch: %s", c.Prefix.Dead(), plural(s.Bare, "dead letter"), s.SHA256)
	}
}
