package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/admin/deadletter"
	"github.com/delayd-io/delayd/internal/printable"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// deadCmd groups the commands for dead letters.
type deadCmd struct {
	List   deadListCmd   `cmd:"" help:"Print the dead letters, the newest first, and why they died; with --summary how many of what."`
	Resend deadResendCmd `cmd:"" help:"Send dead letters again, none of them twice."`
	Delete deadDeleteCmd `cmd:"" help:"Delete old dead letters: all up to a time or an offset."`
}

// recordFlags are the flags of the commands that look at records.
type recordFlags struct {
	clientFlags
	nameFlags
	outputFlags
}

// letterFlags say which dead letters are meant.
type letterFlags struct {
	Code   codeList   `type:"codes" placeholder:"CODE,..." help:"Only those that died of one of these: ${codes}."`
	Target string     `type:"topic" placeholder:"TOPIC" help:"Only those that ask for this target."`
	Since  time.Time  `type:"moment" placeholder:"TIME" help:"Only those that died at that time or later: 2h is two hours ago; or a day, 2026-03-01, or \"2026-03-01 12:00\", in UTC."`
	Until  time.Time  `type:"moment" placeholder:"TIME" help:"Only those that died before that time."`
	Offset offsetList `type:"offsets" placeholder:"N,..." help:"Only those that stand at one of these offsets."`
	Limit  int        `type:"count" short:"n" placeholder:"N" default:"${letters}" help:"No more than N of them, the ${order} first; 0 is all (default: ${default})."`
}

// check finds flags that no letter can match.
func (f *letterFlags) check() error {
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return usagef("--since %s is not before --until %s: no letter can have died between them",
			f.Since.UTC().Format(time.RFC3339), f.Until.UTC().Format(time.RFC3339))
	}
	return nil
}

func (f *letterFlags) filter() deadletter.Filter {
	return deadletter.Filter{Codes: f.Code, Target: f.Target, Since: f.Since, Until: f.Until, Offsets: f.Offset, Limit: f.Limit}
}

type deadListCmd struct {
	Summary     bool `help:"Print how many letters there are of each code and target instead, with the oldest and the newest."`
	OldestFirst bool `help:"Print the oldest letters, and those first."`
	letterFlags `kong:"set='letters=100',set='order=newest'"`
	recordFlags
}

// Run prints the letters that the flags name. Where some of them are not there it
// prints the others and fails.
func (c *deadListCmd) Run(ctx context.Context, con *console) error {
	if err := c.check(); err != nil {
		return err
	}
	f := c.filter()
	f.Newest = !c.OldestFirst
	return c.ask(ctx, func(cl *kgo.Client) error {
		missing := new(deadletter.MissingError)
		if c.Summary {
			list, err := deadletter.Summarize(ctx, cl, c.Prefix, f)
			if err != nil && !errors.As(err, &missing) {
				return err
			}
			return errors.Join(c.printSummary(con, list), err)
		}
		list, more, err := deadletter.List(ctx, cl, c.Prefix, f)
		if err != nil && !errors.As(err, &missing) {
			return err
		}
		if more {
			con.note("there are more: --limit 0 prints all, --summary counts them")
		}
		return errors.Join(c.print(con.out, list), err)
	})
}

func (c *deadListCmd) print(w io.Writer, list []*deadletter.Letter) error {
	if c.json() {
		return printJSON(w, append([]*deadletter.Letter{}, list...))
	}
	t := newLetterTable(w, "Sent again")
	for _, l := range list {
		t.AppendRow(letterRow(l, sentAgain(l)))
	}
	t.Render()
	return nil
}

func (c *deadListCmd) printSummary(con *console, list []deadletter.Summary) error {
	if c.json() {
		return printJSON(con.out, list)
	}
	printSummary(con.out, list)
	all := 0
	for _, s := range list {
		all += s.Letters
	}
	con.note("%s", plural(all, "letter"))
	return nil
}

// printSummary prints a row for each code and target.
func printSummary(w io.Writer, list []deadletter.Summary) {
	t := newTable(w, table.Row{"Code", "Target", "Letters", "Sent again", "Oldest", "Newest"}, 3, 4)
	for _, s := range list {
		t.AppendRow(table.Row{cmp.Or(string(s.Code), "-"), targetOf(s.Target), s.Letters, s.SentAgain,
			s.Oldest.Format(time.RFC3339), s.Newest.Format(time.RFC3339)})
	}
	t.Render()
}

// targetOf is what a record asks for, in a table.
func targetOf(target *string) string {
	if target == nil {
		return "(default)"
	}
	return short(*target)
}

// newLetterTable is a table of letters. What became of them is the column before the
// last: the detail is long.
func newLetterTable(w io.Writer, became string) table.Writer {
	return newTable(w, table.Row{"Offset", "Died", "Code", "Deaths", "Target", "Tries", "Read at", "Key", "Value", became, "Detail"}, 1, 4, 6)
}

func letterRow(l *deadletter.Letter, became string) table.Row {
	at, tries := strconv.FormatInt(l.Offset, 10), "-"
	if l.Partition != 0 { // somebody has made more than one
		at = fmt.Sprintf("%d/%d", l.Partition, l.Offset)
	}
	if l.Attempts != nil {
		tries = strconv.Itoa(*l.Attempts)
	}
	return table.Row{at, l.Died.Format(time.RFC3339), cmp.Or(string(l.Code), "-"), l.Deaths, targetOf(l.Target), tries,
		cmp.Or(l.Origin, "-"), glance(l.Key), glance(l.Value), became, whyDied(l)}
}

// whyDied is the reason, with what the record says of its retries unless the reason has it.
func whyDied(l *deadletter.Letter) string {
	if l.Retried == nil || l.Code == levels.RetriesExhausted {
		return l.Detail
	}
	return l.Detail + " (" + l.Retried.String() + ")"
}

// sentAgain says what a letter has behind it.
func sentAgain(l *deadletter.Letter) string {
	var told []string
	if l.DiedBefore != "" {
		told = append(told, "died again: was "+l.DiedBefore)
	}
	if l.SentAgain != nil {
		told = append(told, l.SentAgain.UTC().Format(time.RFC3339))
	}
	return cmp.Or(strings.Join(told, "; "), "-")
}

// glanceRunes is how much of a key or a value a table shows.
const glanceRunes = 32

// glance is a key or a value in a table.
func glance(p *admin.Preview) string {
	switch {
	case p == nil:
		return "(null)"
	case len(p.Data) > 0:
		return short("base64:" + base64.StdEncoding.EncodeToString(p.Data))
	}
	return short(p.Text)
}

// short is the beginning of a text.
func short(s string) string {
	if runes := []rune(s); len(runes) > glanceRunes {
		return printable.Text(string(runes[:glanceRunes])) + "…"
	}
	return printable.Text(s)
}

type deadResendCmd struct {
	letterFlags `kong:"set='letters=0',set='order=oldest'"`
	To          string `type:"topic" placeholder:"TOPIC" help:"Deliver them to this topic instead of their own target."`
	Level       string `type:"request" placeholder:"D" help:"Let them wait this long instead of what they ask for, as in \"delayd send --delay\"; 0 is not at all."`
	Again       bool   `env:"-" help:"Also those that were sent before, and those that have died again after that."`
	Force       bool   `env:"-" help:"Also those that would die again, as far as delayd can know: their delay or target cannot be read, or the target does not take them."`
	DryRun      bool   `help:"Print what would be sent, and send nothing."`
	recordFlags
}

// Help is shown by kong below the flags.
func (deadResendCmd) Help() string {
	return "They go by the way that they came: to the inbox, or to the level that they were on, and wait there again. " +
		"What was sent is remembered on a topic of its own, in the same transaction, so that no letter is sent twice, " +
		"also where this command is killed or two people run it. Where one cannot be sent, neither are those of its " +
		"transaction, and the error names it. The exit code is 0 when each letter that the flags name was sent, now or before."
}

// Run sends them, and prints what became of each.
func (c *deadResendCmd) Run(ctx context.Context, con *console) error {
	if c.To != "" {
		targets := record.Targets{Names: c.Prefix}
		if refusal := targets.Check(c.To); refusal != nil {
			return usagef("--to: %s", refusal.Detail)
		}
	}
	if err := c.check(); err != nil {
		return err
	}
	r := deadletter.ResendOptions{Filter: c.filter(), Target: c.To, Level: c.Level, Again: c.Again, Force: c.Force, DryRun: c.DryRun}
	return c.ask(ctx, func(cl *kgo.Client) error {
		became := make(map[deadletter.Outcome]int)
		t := newLetterTable(con.out, "Became")
		err := deadletter.Resend(ctx, cl, c.Prefix, r, func(r deadletter.Resent) error {
			became[r.Outcome]++
			if c.json() {
				return printJSON(con.out, r)
			}
			t.AppendRow(letterRow(r.Letter, c.became(r)))
			return nil
		})
		if !c.json() {
			t.Render()
		}
		return errors.Join(err, c.sum(con, became))
	})
}

// became is what became of a letter.
func (c *deadResendCmd) became(r deadletter.Resent) string {
	switch {
	case r.Outcome != deadletter.OutcomeSent:
		return "left: " + r.Why
	case c.DryRun:
		return "would go to " + r.Way
	}
	return "sent to " + r.Way
}

// sum says how many were sent, and what to do about those that were not. It is an error
// where somebody has to do something.
func (c *deadResendCmd) sum(con *console, became map[deadletter.Outcome]int) error {
	sent := "sent"
	if c.DryRun {
		sent = "would be sent"
	}
	con.note("%s: %s", sent, plural(became[deadletter.OutcomeSent], "letter"))
	undone := 0
	for _, left := range []struct {
		outcome deadletter.Outcome
		undone  bool
		say     string
	}{
		{deadletter.OutcomeAlreadySent, false, "left alone, as they were sent before: %s; --again sends them once more"},
		{deadletter.OutcomeFailedAgain, true, "left alone, as they have died again after they were sent: %s; see to the reason, then --again"},
		{deadletter.OutcomeReplaced, false, "left alone, as a later letter is of the same message: %s"},
		{deadletter.OutcomeWouldFail, true, "left alone, as they would die again: %s; see to the reason, or change it with --to or --level; --force sends them all the same"},
		{deadletter.OutcomeOriginMissing, true, "left alone, as the level that they were on is gone: %s; --level sends them through the inbox"},
		{deadletter.OutcomeIncomplete, true, "left alone, as they leave out a part of their record: %s; produce those records again"},
		{deadletter.OutcomeNoRecord, true, "left alone, as they hold a batch that cannot be decoded: %s; send its records again from their source"},
		{deadletter.OutcomeNotADeadLetter, true, "left alone, as the service has not written them: %s"},
	} {
		n := became[left.outcome]
		if n > 0 {
			con.note(left.say, plural(n, "letter"))
		}
		if left.undone {
			undone += n
		}
	}
	switch {
	case len(became) == 0:
		con.note("no dead letter is what the flags say")
	case undone > 0:
		return fmt.Errorf("%s left alone: see above", plural(undone, "letter"))
	}
	return nil
}

type deadDeleteCmd struct {
	Until   time.Time `type:"moment" env:"-" xor:"what" required:"" placeholder:"TIME" help:"Delete those before the first one that died at that time or later: 30d is thirty days ago; or a day, 2026-03-01, or \"2026-03-01 12:00\", in UTC."`
	Through *int64    `type:"through" env:"-" xor:"what" required:"" placeholder:"OFFSET" help:"Delete those up to this offset, and the one there."`
	All     bool      `env:"-" xor:"what" required:"" help:"Delete all that are there."`
	Yes     bool      `env:"-" help:"Delete without asking. Without it, somebody at a terminal has to type the topic's name."`
	DryRun  bool      `help:"Print what would be deleted, and delete nothing."`
	recordFlags
}

// Help is shown by kong below the flags.
func (deadDeleteCmd) Help() string {
	return "Kafka deletes records from the beginning of a partition only, so that letters cannot be picked by code or " +
		"target. What is deleted cannot be had back, whether it was sent again or not. What dies after the count stays."
}

// deleteReport is what was found, and whether it is gone.
type deleteReport struct {
	*deadletter.Deletion
	Deleted bool `json:"deleted"`
}

// Run says which letters there are, asks, and deletes them.
func (c *deadDeleteCmd) Run(ctx context.Context, con *console) error {
	return c.ask(ctx, func(cl *kgo.Client) error {
		d, err := deadletter.NewDeletion(ctx, cl, c.Prefix, c.Until, c.Through)
		if err != nil {
			return err
		}
		if !c.json() {
			printSummary(con.out, d.Summary)
		}
		del := !c.DryRun && d.Letters > 0
		if del {
			if err := c.confirm(ctx, con, d); err != nil {
				return err
			}
			if err := d.Do(ctx, cl); err != nil {
				return err
			}
		}
		if c.json() {
			return printJSON(con.out, deleteReport{d, del})
		}
		switch {
		case del:
			con.note("deleted: %s", plural(d.Letters, "letter"))
		case d.Letters == 0:
			con.note("no dead letter is what the flags say")
		default:
			con.note("would be deleted, for good: %s", plural(d.Letters, "letter"))
		}
		return nil
	})
}

// confirm asks whether the letters may be deleted.
func (c *deadDeleteCmd) confirm(ctx context.Context, con *console, d *deadletter.Deletion) error {
	if c.Yes {
		return nil
	}
	unsent := d.Letters
	for _, s := range d.Summary {
		unsent -= s.SentAgain
	}
	what := fmt.Sprintf("%s (%d never sent again)", plural(d.Letters, "letter"), unsent)
	if !isTerminal(con.in) {
		return usagef("%s would be deleted, for good, and nobody is at a terminal to say so; write --yes, or --dry-run", what)
	}
	con.note("%s will be deleted. This cannot be undone. Type %s to go on:", what, d.Topic)
	return awaitWord(ctx, con, d.Topic, "nothing was deleted")
}

// codeList is codes of dead letters with commas in between.
type codeList []levels.Code

// offsetList is offsets with commas in between.
type offsetList []int64
