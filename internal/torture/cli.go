package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/rs/zerolog"
)

// cli is every command and flag.
type cli struct {
	Run    runCmd    `cmd:"" default:"withargs" help:"Run rows, each a kind of fault."`
	Random randomCmd `cmd:"" help:"Let faults happen at random, as a seed says."`
}

// console is where a command writes.
type console struct{ out, err io.Writer }

// commonFlags are those of every run.
type commonFlags struct {
	Delivery string `enum:"at-least-once,exactly-once," default:"" help:"Start delayd with this --delivery: at-least-once or exactly-once (default: delayd's own)."`
	Seed     uint64 `help:"Decides what is sent and what a row draws; 0 takes a new one (default: 0)."`
	Rate     int    `default:"2000" help:"Records a second (default: ${default})."`
	Records  int64  `help:"The most records to send; 0 is no bound (default: 0)."`
	Output   string `short:"o" enum:"text,json" default:"text" help:"text or json."`
	Timeline string `placeholder:"FILE.svg" help:"Draw how late records were over time, with the faults; with several runs each row's name is put into the file's."`
	Program  string `placeholder:"FILE" help:"The delayd to torture (default: built from ./cmd/delayd)."`
	Old      string `placeholder:"FILE" help:"An older delayd, for the row that upgrades it."`
	Backlog  int64  `default:"200000" help:"How many records wait in the rows that are about those (default: ${default})."`
	Dir      string `placeholder:"DIR" help:"Where clusters and logs lie (default: a temporary directory)."`
	Verbose  bool   `short:"v" help:"Show what producers and readers meet with."`
}

type runCmd struct {
	Row      []string      `placeholder:"NAME" help:"Run the rows of that name, in which * is any text; repeatable (default: all that need not be asked for)."`
	List     bool          `help:"List the rows, and run none."`
	Duration time.Duration `default:"20s" help:"How long records are sent, and longer where a row needs it (default: ${default})."`
	commonFlags
}

// Validate reports the first flag that is wrong. kong calls it.
func (f *commonFlags) Validate() error {
	const mostRate = 100_000
	switch {
	case f.Rate < 1 || f.Rate > mostRate:
		return fmt.Errorf("--rate %d: write a number from 1 to %d", f.Rate, mostRate)
	case f.Records < 0:
		return fmt.Errorf("--records %d: write a number from 1, or 0 for no bound", f.Records)
	case f.Backlog < 1:
		return fmt.Errorf("--backlog %d: write a number from 1", f.Backlog)
	case f.Timeline != "":
		if err := checkTimeline(f.Timeline); err != nil {
			return fmt.Errorf("--timeline %w", err)
		}
	}
	return nil
}

// Validate reports the first flag that is wrong. kong calls it.
func (c *runCmd) Validate() error {
	if _, err := findRows(c.Row); err != nil {
		return err
	}
	return c.commonFlags.Validate()
}

// Run runs the rows that were asked for, one after another.
func (c *runCmd) Run(ctx context.Context, con *console) error {
	found, err := findRows(c.Row)
	if err != nil {
		return err
	}
	if c.List {
		list(con.out, found)
		return nil
	}
	return c.torture(ctx, con, c.Duration, found)
}

// list prints rows and what they are about.
func list(w io.Writer, rs []row) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"row", "#", "brokers", "what goes wrong"})
	for _, r := range rs {
		t.AppendRow(table.Row{r.name, r.matrix, max(r.nodes, 1), r.about})
	}
	t.Render()
}

// torture runs rows and writes what came of them.
func (f *commonFlags) torture(ctx context.Context, con *console, duration time.Duration, rs []row) error {
	r, done, err := f.runner(ctx, con, duration)
	if err != nil {
		return err
	}
	defer done()
	var results []*result
	violated := false
	for i := range rs {
		if !rs[i].runs(r.delivery) {
			fmt.Fprintf(con.err, "%s: left out: it is for --delivery %s\n", rs[i].name, rs[i].deliveries)
			continue
		}
		fmt.Fprintf(con.err, "%s: %s (seed %d)\n", rs[i].name, rs[i].about, r.seed)
		res, err := r.run(ctx, &rs[i])
		if err != nil {
			return fmt.Errorf("%s: %w", rs[i].name, err)
		}
		violated = violated || len(res.Violations) > 0
		results = append(results, res)
		if f.Timeline != "" {
			if err := drawTimeline(timelineFile(f.Timeline, res, len(rs) > 1), res); err != nil {
				return err
			}
		}
	}
	if f.Output == "json" {
		err = writeJSON(con.out, results)
	} else {
		writeTable(con.out, results)
	}
	if err == nil && violated {
		err = errViolated
	}
	return err
}

// runner makes the runner, and a function that removes what it leaves behind.
func (f *commonFlags) runner(ctx context.Context, con *console, duration time.Duration) (*runner, func(), error) {
	level := zerolog.Disabled
	if f.Verbose {
		level = zerolog.WarnLevel
	}
	seed := f.Seed
	if seed == 0 {
		seed = 1 + rand.Uint64N(math.MaxUint32) // short enough to be typed
	}
	dir, done := f.Dir, func() {}
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "delayd-torture-"); err != nil {
			return nil, nil, err
		}
		// Not what is in it: the logs of a violation stay.
		done = func() { _ = os.Remove(dir) }
	}
	program := f.Program
	if program == "" {
		var err error
		if program, err = buildDelayd(ctx, dir); err != nil {
			return nil, nil, err
		}
		remove := done
		done = func() { _ = os.Remove(program); remove() }
	}
	return &runner{
		program: program, serve: []string{program, "serve"}, dir: dir, seed: seed, rate: f.Rate, records: f.Records, duration: duration,
		delivery: delivery(f.Delivery), old: f.Old, backlog: f.Backlog, patience: patience, log: zerolog.New(con.err).Level(level).With().Timestamp().Logger(),
	}, done, nil
}

// timelineFile is the file of a run's timeline, with the row's name where there
// are several.
func timelineFile(file string, res *result, several bool) string {
	if !several {
		return file
	}
	ext := filepath.Ext(file)
	return strings.TrimSuffix(file, ext) + "-" + res.Row + ext
}
