package main

import (
	"io"
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

	moved string // the same for people
}

// Run prints the ladder, or what each of the delays gets.
func (c *levelsCmd) Run(con *console) error {
	if len(c.Delays) == 0 {
		return c.printLadder(con.out)
	}
	rows := make([]grantRow, len(c.Delays))
	for i, asked := range c.Delays {
		if _, err := levels.ParseRequest(asked); err != nil {
			return usageError{err}
		}
		rows[i] = c.grant(asked)
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
	return grantRow{
		Requested:    asked,
		Level:        d.Level.String(),
		Topic:        c.Prefix.Level(d.Level),
		MovedSeconds: moved.Seconds(),
		Clamped:      d.Clamped,
		moved:        signed(moved),
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
	t := newTable(w, table.Row{"Requested", "Level", "Moved", "Topic"}, 1, 2, 3)
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
		t.AppendRow(table.Row{r.Requested, r.Level, r.moved, topic})
	}
	t.Render()
	return nil
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
