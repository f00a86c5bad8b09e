package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

type levelsCmd struct {
	Delays []string `arg:"" optional:"" name:"duration" help:"What a producer would ask for: 45m, 1.5s, 1d, or a level number."`
	grantFlags
	nameFlags
	outputFlags
}

// levelRow is a level of the ladder.
type levelRow struct {
	Number  int     `json:"number"`
	Level   string  `json:"level"`
	Seconds float64 `json:"seconds"`
	Topic   string  `json:"topic"`
}

// grantRow is what one request gets.
type grantRow struct {
	Requested string `json:"requested"`
	Level     string `json:"level,omitempty"` // "0s": delivered at once; empty: refused
	Topic     string `json:"topic,omitempty"`
	// MovedSeconds is the level minus what was asked for. A level number asks
	// for a level and is never moved.
	MovedSeconds float64     `json:"moved_seconds"`
	Clamped      bool        `json:"clamped"`
	Error        levels.Code `json:"error,omitempty"`
	// Walk is what a record waits on that asks for the same delay exactly, in Steps
	// steps. A level number cannot be asked for exactly.
	Walk  []legRow `json:"walk,omitempty"`
	Steps int      `json:"steps,omitempty"`

	moved string        // the same as MovedSeconds for people
	exact time.Duration // what Walk is for
}

// legRow is a level of a walk, and how many times in a row.
type legRow struct {
	Level string `json:"level"`
	Times int    `json:"times"`
}

// Run prints the ladder, or what each of the delays gets.
func (c *levelsCmd) Run(con *console) error {
	if len(c.Delays) == 0 {
		return c.printLadder(con.out)
	}
	rows := make([]grantRow, len(c.Delays))
	for i, asked := range c.Delays {
		request, err := levels.ParseRequest(asked)
		if err != nil {
			return usageError{err}
		}
		rows[i] = c.grant(asked)
		c.walk(&rows[i], request.Delay)
	}
	return c.printGrants(con.out, rows)
}

// decide asks the router's own policy for a delay, as if a record had arrived.
func (f *grantFlags) decide(names levels.Names, asked string) router.Decision {
	policy := router.Policy{Ladder: f.Levels, Names: names, Rounding: f.Rounding, OverMax: f.OverMax, DefaultTarget: "any"}
	return policy.Decide(&kgo.Record{Headers: []kgo.RecordHeader{{Key: levels.HeaderLevel, Value: []byte(asked)}}}, time.UnixMilli(0))
}

// grant is what a delay gets.
func (c *levelsCmd) grant(asked string) grantRow {
	d := c.decide(c.Prefix, asked)
	switch d.Kind {
	case router.Dead:
		return grantRow{Requested: asked, Error: d.Refusal.Code}
	case router.AtOnce:
		return grantRow{Requested: asked, Level: d.Facts.Granted, moved: signed(-d.Asked)}
	}
	moved := d.Level.Delay - d.Asked
	if d.Facts.Granted == levels.GrantedExact {
		return grantRow{Requested: asked, Level: d.Facts.Granted, Topic: c.Prefix.Level(d.Level), moved: signed(0)}
	}
	return grantRow{
		Requested:    asked,
		Level:        d.Level.String(),
		Topic:        c.Prefix.Level(d.Level),
		MovedSeconds: moved.Seconds(),
		Clamped:      d.Clamped,
		moved:        signed(moved),
	}
}

// walk adds how a delay is waited for exactly.
func (c *levelsCmd) walk(row *grantRow, d time.Duration) {
	row.exact, row.Steps = d, c.Levels.Steps(d)
	for _, leg := range c.Levels.Walk(d) {
		row.Walk = append(row.Walk, legRow{leg.Level.String(), leg.Times})
	}
}

func (c *levelsCmd) printLadder(w io.Writer) error {
	rows := make([]levelRow, 0, c.Levels.Len())
	for l := range c.Levels.All() {
		rows = append(rows, levelRow{l.Number, l.String(), l.Delay.Seconds(), c.Prefix.Level(l)})
	}
	if c.json() {
		return printJSON(w, rows)
	}
	t := newTable(w, table.Row{"Number", "Level", "Topic"}, 1, 2)
	for _, r := range rows {
		t.AppendRow(table.Row{r.Number, r.Level, r.Topic})
	}
	t.Render()
	return nil
}

func (c *levelsCmd) printGrants(w io.Writer, rows []grantRow) error {
	if c.json() {
		return printJSON(w, rows)
	}
	t := newTable(w, table.Row{"Requested", "Level", "Moved", "Topic", "Steps", "Exactly"}, 1, 2, 3, 5)
	for _, r := range rows {
		topic := r.Topic
		switch {
		case r.Error != "":
			topic = "none: above the last level, a dead letter (" + string(r.Error) + ")"
		case topic == "":
			topic = "none: delivered at once"
		case r.Clamped:
			topic += " (above the last level, clamped)"
		}
		steps := ""
		if r.Steps > 0 {
			steps = strconv.Itoa(r.Steps)
		}
		t.AppendRow(table.Row{r.Requested, r.Level, r.moved, topic, steps, r.walked()})
	}
	t.Render()
	for _, r := range rows {
		if better, steps := shorter(c.Levels, r.exact); steps > 0 {
			fmt.Fprintf(w, "%s exactly takes %d steps; with a level of %s in the ladder it would take %d\n", r.Requested, r.Steps, better, steps)
		}
	}
	return nil
}

// walked is the walk for people.
func (r *grantRow) walked() string {
	legs := make([]string, len(r.Walk))
	for i, leg := range r.Walk {
		legs[i] = leg.Level
		if leg.Times > 1 {
			legs[i] = fmt.Sprintf("%d × %s", leg.Times, leg.Level)
		}
	}
	return strings.Join(legs, " + ")
}

// manySteps is from how many steps on a walk is worth a longer level.
const manySteps = 10

// longLevels are the levels that are proposed for a ladder whose last one is too short.
var longLevels = []time.Duration{
	time.Minute, 10 * time.Minute, time.Hour, 8 * time.Hour, 24 * time.Hour, 4 * 24 * time.Hour, 16 * 24 * time.Hour, 64 * 24 * time.Hour,
}

// shorter returns the level above the last one that shortens the walk of d most, and its
// steps then; 0 where the walk is short or no level shortens it by half.
func shorter(ladder levels.Ladder, d time.Duration) (better levels.Level, steps int) {
	now := ladder.Steps(d)
	if now < manySteps || ladder.Len() == levels.MaxLevels {
		return levels.Level{}, 0
	}
	least := now/2 + 1
	for _, long := range longLevels {
		if long <= ladder.Last().Delay {
			continue
		}
		l := levels.Level{Delay: long}
		longer, err := levels.Parse(ladder.String() + " " + l.String())
		if err != nil {
			continue
		}
		if n := longer.Steps(d); n < least {
			better, steps, least = l, n, n
		}
	}
	return better, steps
}

// signed is a delay with its sign, and 0s for none.
func signed(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + levels.FormatDelay(-d)
	case d > 0:
		return "+" + levels.FormatDelay(d)
	}
	return levels.FormatDelay(0)
}
