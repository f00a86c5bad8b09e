package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
)

type purgeCmd struct {
	Level  time.Duration `required:"" type:"level" placeholder:"LEVEL" help:"The level, by its name, as in 5m. It need not be in the ladder any more."`
	Yes    bool          `env:"-" help:"Delete without asking. Without it, somebody at a terminal has to type the level's name."`
	DryRun bool          `help:"Print what would be deleted, and delete nothing."`
	recordFlags
}

// Help is shown by kong below the flags.
func (purgeCmd) Help() string {
	return "What is deleted is never delivered, and cannot be had back. It is what was pending when it was counted: " +
		"what comes later stays. A service that is running forgets what it has read ahead within ten seconds; " +
		"what is due until then it still delivers."
}

// purgeReport is what was found, and whether it is gone.
type purgeReport struct {
	*admin.Purge
	Deleted bool `json:"deleted"`
}

// Run says what is pending, asks, and deletes it.
func (c *purgeCmd) Run(ctx context.Context, con *console) error {
	return c.ask(ctx, func(cl *kgo.Client) error {
		purge, err := admin.NewPurge(ctx, cl, c.Prefix, c.Level)
		if err != nil {
			return err
		}
		if !c.json() {
			printPurge(con.out, purge)
		}
		del := !c.DryRun && purge.Records > 0
		if del {
			if err := c.confirm(ctx, con, purge); err != nil {
				return err
			}
			if err := purge.Do(ctx, cl); err != nil {
				return fmt.Errorf("purge level %s: %w", purge.Level, err)
			}
		}
		if c.json() {
			return printJSON(con.out, purgeReport{purge, del})
		}
		switch {
		case del:
			con.note("deleted: %s of level %s", pluralRecords(purge.Records), purge.Level)
		case purge.Records == 0:
			con.note("nothing is pending on level %s", purge.Level)
		default:
			con.note("would be deleted, for good: %s of level %s", pluralRecords(purge.Records), purge.Level)
		}
		return nil
	})
}

func printPurge(w io.Writer, p *admin.Purge) {
	t := newTable(w, table.Row{"Topic", "Partition", "From", "To", "Records"}, 2, 3, 4, 5)
	for _, part := range p.Partitions {
		t.AppendRow(table.Row{p.Topic, part.Partition, part.From, part.To, part.Records()})
	}
	t.Render()
}

// confirm asks whether the records may be deleted.
func (c *purgeCmd) confirm(ctx context.Context, con *console, p *admin.Purge) error {
	if c.Yes {
		return nil
	}
	if !isTerminal(con.in) {
		return usagef("%s of level %s would be deleted, for good, and nobody is at a terminal to say so; write --yes, or --dry-run",
			pluralRecords(p.Records), p.Level)
	}
	return await(ctx, con, p)
}

// await waits until somebody types the name of the level.
func await(ctx context.Context, con *console, p *admin.Purge) error {
	con.note("%s will be deleted and never delivered. This cannot be undone. Type %s to go on:", pluralRecords(p.Records), p.Level)
	return awaitWord(ctx, con, p.Level, "nothing was deleted")
}

// awaitWord waits until somebody types a word. Any other answer is an error, which says
// what has not happened.
func awaitWord(ctx context.Context, con *console, word, not string) error {
	answer := make(chan string, 1)
	go func() { // ends with the line, or with the process: a terminal cannot be read with a context
		line, _ := bufio.NewReader(con.in).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", not, context.Cause(ctx))
	case line := <-answer:
		if line != word {
			return fmt.Errorf("%s: %q is not %s", not, line, word)
		}
		return nil
	}
}

func pluralRecords(n int64) string {
	if n == 1 {
		return "1 record"
	}
	return strconv.FormatInt(n, 10) + " records"
}
