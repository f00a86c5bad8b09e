package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/deliver"
	"github.com/delayd-io/delayd/internal/printable"
	"github.com/delayd-io/delayd/levels"
)

// deadCmd groups the commands for dead letters.
type deadCmd struct {
	List   deadListCmd   `cmd:"" help:"Print the dead letters, and why they died."`
	Resend deadResendCmd `cmd:"" help:"Send dead letters again, none of them twice."`
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
	Since  time.Time  `type:"moment" placeholder:"TIME" help:"Only those that died at that time or later: 2h is two hours ago, or 2026-03-01T12:00:00Z."`
	Until  time.Time  `type:"moment" placeholder:"TIME" help:"Only those that died before that time."`
	Offset offsetList `type:"offsets" placeholder:"N,..." help:"Only those that stand at one of these offsets."`
	Limit  int        `type:"count" short:"n" placeholder:"N" default:"${letters}" help:"No more than N of them, the oldest first; 0 is all (default: ${default})."`
}

func (f *letterFlags) filter() admin.LetterFilter {
	return admin.LetterFilter{Codes: f.Code, Target: f.Target, Since: f.Since, Until: f.Until, Offsets: f.Offset, Limit: f.Limit}
}

type deadListCmd struct {
	letterFlags `set:"letters=100"`
	recordFlags
}

// Run prints the letters that the flags name.
func (c *deadListCmd) Run(ctx context.Context, con *console) error {
	return c.ask(ctx, func(cl *kgo.Client) error {
		list, more, err := admin.Letters(ctx, cl, c.Prefix, c.filter())
		if err != nil {
			return err
		}
		if more {
			con.note("there are more: --limit 0 prints all")
		}
		if c.json() {
			return printJSON(con.out, append([]*admin.Letter{}, list...))
		}
		t := newLetterTable(con.out, "Sent again")
		for _, l := range list {
			t.AppendRow(letterRow(l, sentAgain(l)))
		}
		t.Render()
		return nil
	})
}

// newLetterTable is a table of letters. What became of them is the column before the
// last: the detail is long.
func newLetterTable(w io.Writer, became string) table.Writer {
	return newTable(w, table.Row{"Offset", "Died", "Code", "Deaths", "Target", "Tries", "Read at", "Key", "Value", became, "Detail"}, 1, 4, 6)
}

func letterRow(l *admin.Letter, became string) table.Row {
	at, target, tries := strconv.FormatInt(l.Offset, 10), "(default)", "-"
	if l.Partition != 0 { // somebody has made more than one
		at = fmt.Sprintf("%d/%d", l.Partition, l.Offset)
	}
	if l.Target != nil {
		target = short(*l.Target)
	}
	if l.Attempts != nil {
		tries = strconv.Itoa(*l.Attempts)
	}
	return table.Row{at, l.Died.Format(time.RFC3339), cmp.Or(string(l.Code), "-"), l.Deaths, target, tries,
		cmp.Or(l.Origin, "-"), glance(l.Key), glance(l.Value), became, l.Detail}
}

// sentAgain says what a letter has behind it.
func sentAgain(l *admin.Letter) string {
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
	letterFlags `set:"letters=0"`
	To          string `type:"topic" placeholder:"TOPIC" help:"Deliver them to this topic instead of their own target."`
	Level       string `type:"request" placeholder:"D" help:"Let them wait this long instead of what they ask for, as in \"delayd send --delay\"; 0 is not at all."`
	Again       bool   `env:"-" help:"Also those that were sent before, and those that have died again after that."`
	DryRun      bool   `help:"Print what would be sent, and send nothing."`
	recordFlags
}

// Help is shown by kong below the flags.
func (deadResendCmd) Help() string {
	return "They go by the way that they came: to the inbox, or to the level that they were on, and wait there again. " +
		"What was sent is remembered on a topic of its own, in the same transaction, so that no letter is sent twice, " +
		"also where this command is killed or two people run it. Where one cannot be sent, neither are those of its " +
		"transaction, and the error names it."
}

// Run sends them, and prints what became of each.
func (c *deadResendCmd) Run(ctx context.Context, con *console) error {
	if c.To != "" {
		targets := deliver.Targets{Names: c.Prefix}
		if refusal := targets.Check(c.To); refusal != nil {
			return usagef("--to: %s", refusal.Detail)
		}
	}
	r := admin.Resend{Filter: c.filter(), Target: c.To, Level: c.Level, Again: c.Again, DryRun: c.DryRun}
	return c.ask(ctx, func(cl *kgo.Client) error {
		became := make(map[admin.ResendOutcome]int)
		t := newLetterTable(con.out, "Became")
		err := admin.ResendLetters(ctx, cl, c.Prefix, r, func(r admin.Resent) error {
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
		c.sum(con, became)
		return err
	})
}

// became is what became of a letter.
func (c *deadResendCmd) became(r admin.Resent) string {
	switch {
	case r.Outcome != admin.Sent:
		return "left: " + r.Why
	case c.DryRun:
		return "would go to " + r.Way
	}
	return "sent to " + r.Way
}

// sum says how many were sent, and what to do about those that were not.
func (c *deadResendCmd) sum(con *console, became map[admin.ResendOutcome]int) {
	sent := "sent"
	if c.DryRun {
		sent = "would be sent"
	}
	con.note("%s: %s", sent, plural(became[admin.Sent], "letter"))
	for _, left := range []struct {
		outcome admin.ResendOutcome
		say     string
	}{
		{admin.SentBefore, "left alone, as they were sent before: %s; --again sends them once more"},
		{admin.DiedAgain, "left alone, as they have died again after they were sent: %s; see to the reason, then --again"},
		{admin.Replaced, "left alone, as a later letter is of the same message: %s"},
		{admin.NoWay, "left alone, as the level that they were on is gone: %s; --level sends them through the inbox"},
		{admin.Incomplete, "left alone, as they leave out a part of their record: %s; produce those records again"},
		{admin.NoRecord, "left alone, as they hold a batch that cannot be decoded: %s; send its records again from their source"},
		{admin.NoLetter, "left alone, as the service has not written them: %s"},
	} {
		if n := became[left.outcome]; n > 0 {
			con.note(left.say, plural(n, "letter"))
		}
	}
}

// codeList is codes of dead letters with commas in between.
type codeList []levels.Code

// offsetList is offsets with commas in between.
type offsetList []int64
