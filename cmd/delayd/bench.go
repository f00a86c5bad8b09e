package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/delayd-io/delayd/cmd/delayd/internal/bench"
	"github.com/delayd-io/delayd/cmd/delayd/internal/embedded"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/security"
	"github.com/delayd-io/delayd/levels"
)

// benchCmd groups the scenarios.
type benchCmd struct {
	Steady  steadyCmd  `cmd:"" help:"Send records at a steady rate, and measure how late they arrive."`
	Backlog backlogCmd `cmd:"" help:"Start the service on records that are all overdue, and see how fast it releases them."`
	Pending pendingCmd `cmd:"" help:"Let records wait, and see what memory and processor time that takes."`
}

// Help is shown by kong below the commands.
func (benchCmd) Help() string {
	return "The service is started as a process of its own, on topics that are made for the run and deleted after it; " +
		"nothing else on the cluster is touched but its time. The exit code is 1 when the service lost a record, " +
		"delivered one early, out of order, in spite of a cancel, or twice although it was not killed or has promised not to. It does not depend on how fast anything was."
}

const (
	// maxRecords bounds a load. A bit is kept for each record, and a thousand
	// million of those are 125 MB.
	maxRecords = 1_000_000_000
	// maxDuration bounds a steady load: a day.
	maxDuration = 24 * time.Hour
	// comparedRounds is how often each contender runs by default where ratios
	// are wanted: fewer pairs say more of the machine than of the contenders.
	comparedRounds = 5
)

// benchFlags are those of all scenarios.
type benchFlags struct {
	Brokers brokerList `placeholder:"HOST:PORT,..." help:"Kafka brokers to start from."`
	securityFlags
	Embedded   bool               `help:"Measure on an embedded broker that is started for it. What comes out says little of Apache Kafka."`
	Through    string             `type:"choice" enum:"level,inbox" default:"level" help:"Where records are sent: straight to their level, or to the inbox, which is one hop more (default: ${default})."`
	Size       int                `type:"number" min:"8" max:"1000000" placeholder:"BYTES" default:"200" help:"How long a value is (default: ${default})."`
	Keys       int                `type:"number" min:"1" max:"1000000" placeholder:"N" default:"500" help:"How many different keys there are (default: ${default})."`
	Partitions int                `type:"number" min:"1" max:"1000" placeholder:"N" default:"${partitions}" help:"Partitions of each topic of the run (default: ${default})."`
	Delivery   forwarder.Delivery `placeholder:"WHAT" default:"at-least-once" help:"What the service is to promise: at-least-once, or exactly-once, which is read committed (default: ${default})."`
	outputFlags
	logFlags `set:"log_level=warn"`
}

// comparisonFlags are those of the scenarios in which there are others to
// compare with, and something to draw.
type comparisonFlags struct {
	Yardstick bool   `help:"Run the bare ${yardstick} in turns with the service, so that every figure is a ratio too."`
	Naive     bool   `help:"Run the service that people write first too: it sleeps a second when nothing is due, and writes one record at a time."`
	Rounds    int    `type:"number" min:"1" max:"100" placeholder:"N" help:"How often each of them runs (default: 1, or 5 with --yardstick)."`
	Plot      string `type:"plot" placeholder:"FILE" help:"Draw what was measured into FILE, which ends in .svg or .png: lateness by percentile, or a bar for each rate."`
}

func (f comparisonFlags) rounds() int {
	switch {
	case f.Rounds > 0:
		return f.Rounds
	case f.Yardstick:
		return comparedRounds
	}
	return 1
}

func (f comparisonFlags) contenders(yardstick bench.Kind) []bench.Kind {
	all := []bench.Kind{bench.Delayd}
	if f.Yardstick {
		all = append(all, yardstick)
	}
	if f.Naive {
		all = append(all, bench.Naive)
	}
	return all
}

type steadyCmd struct {
	Rate            int            `type:"number" min:"1" max:"1000000" placeholder:"N" default:"2000" help:"Records a second (default: ${default})."`
	Duration        time.Duration  `type:"above-zero" placeholder:"D" default:"20s" help:"How long they are sent; another second before that is not counted (default: ${default})."`
	Level           []levels.Level `type:"spread" placeholder:"LEVELS" default:"5s" help:"The level that they wait on, or several, in turns, as in \"1s 5s 1m\" (default: ${default})."`
	Exact           bool           `help:"Ask for an exact delay with each record, at random from 1s to the longest of --level. It is measured alone: no --yardstick, --naive, --flood or --unavailable."`
	Flood           int            `type:"number" min:"0" max:"1000000000" placeholder:"N" help:"Measure it alone, and then while N overdue records are released from another level."`
	FloodLevel      []levels.Level `type:"spread" placeholder:"LEVEL" help:"That other level (default: the shortest that --level does not name)."`
	Sick            bool           `name:"unavailable" help:"Spread it over four targets, and measure it while all are well, and then while one cannot be written."`
	Cancel          float64        `type:"share" placeholder:"SHARE" help:"Measure it alone, and then while this share is cancelled, as in 20% or 0.2, of the records that wait 3s or longer: each a second after it was sent. Not with --yardstick, --naive, --flood or --unavailable."`
	comparisonFlags `set:"yardstick=loop, which only waits and writes,"`
	benchFlags
}

// Run measures lateness.
func (c *steadyCmd) Run(ctx context.Context, con *console) error {
	if err := c.check(); err != nil {
		return err
	}
	cfg := bench.Config{
		Rounds: c.rounds(), Contenders: c.contenders(bench.Loop), Flood: c.Flood, Sick: c.Sick, Cancel: c.Cancel,
		Load: bench.Load{Scenario: bench.Steady, Levels: c.Level, Exact: c.Exact, Rate: c.Rate, Duration: c.Duration},
	}
	if c.Flood > 0 {
		cfg.FloodLevel = c.FloodLevel[0]
	}
	return c.measure(ctx, con, cfg, c.Plot)
}

// check reports the first flags that do not go together, and chooses the level of
// the flood.
func (c *steadyCmd) check() error {
	if c.Duration < time.Second || c.Duration > maxDuration {
		return usagef("--duration %s: write a duration from 1s to %s", levels.FormatDelay(c.Duration), levels.FormatDelay(maxDuration))
	}
	if n := float64(c.Rate) * c.Duration.Seconds(); n > maxRecords {
		return usagef("--rate %d and --duration %s make %.0f records; %d are the most that can be counted",
			c.Rate, levels.FormatDelay(c.Duration), n, maxRecords)
	}
	if c.Exact && (c.Flood > 0 || c.Sick || c.Yardstick || c.Naive) {
		return usagef("--exact is measured alone; leave --yardstick, --naive, --flood and --unavailable out")
	}
	if c.Cancel > 0 && (c.Flood > 0 || c.Sick || c.Yardstick || c.Naive) {
		return usagef("--cancel is measured beside the same without cancels; leave --yardstick, --naive, --flood and --unavailable out")
	}
	longest := slices.MaxFunc(c.Level, func(a, b levels.Level) int { return cmp.Compare(a.Delay, b.Delay) }).Delay
	if c.Exact && longest <= time.Second {
		return usagef("--exact: name a --level above 1s, the longest delay that is asked for")
	}
	if c.Cancel > 0 && longest < bench.CancelLeast {
		return usagef("--cancel: name a --level of %s or longer; a record that waits less comes due before its cancel is sure to hold", levels.FormatDelay(bench.CancelLeast))
	}
	if c.Flood > 0 && c.Sick {
		return usagef("--flood and --unavailable are two measurements; leave one out")
	}
	if c.Sick && c.Embedded {
		return usagef("--unavailable needs a broker that can refuse what is written, which the embedded one cannot; name a cluster with --brokers")
	}
	return c.chooseFloodLevel()
}

func (c *steadyCmd) chooseFloodLevel() error {
	if c.Flood == 0 {
		if c.FloodLevel != nil {
			return usagef("--flood-level is for --flood; set both or none")
		}
		return nil
	}
	used := func(l levels.Level) bool {
		return slices.ContainsFunc(c.Level, func(of levels.Level) bool { return of.Delay == l.Delay })
	}
	if len(c.FloodLevel) > 1 {
		return usagef("--flood-level: one level is flooded; write one")
	}
	if c.FloodLevel != nil {
		if l := c.FloodLevel[0]; used(l) {
			return usagef("--flood-level %v: --level names it too, and what waits behind the flood is late by it; choose another", l)
		}
		return nil
	}
	for l := range levels.Default().All() {
		if !used(l) {
			c.FloodLevel = []levels.Level{l}
			return nil
		}
	}
	return usagef("--level names all levels; choose another for the flood with --flood-level")
}

type backlogCmd struct {
	Records         int            `type:"number" min:"1" max:"1000000000" placeholder:"N" default:"1000000" help:"How many records are overdue (default: ${default})."`
	Level           []levels.Level `type:"spread" placeholder:"LEVELS" default:"1s" help:"The level that they wait on, or several, in turns, as in \"1s 5s\" (default: ${default})."`
	Kills           int            `type:"number" min:"0" max:"100" placeholder:"N" help:"End the service by kill -9 this often on the way, and start it again at once. Then there may be duplicates."`
	comparisonFlags `set:"yardstick=copy loop, which reads one topic and writes another,"`
	benchFlags
}

// Run measures throughput.
func (c *backlogCmd) Run(ctx context.Context, con *console) error {
	return c.measure(ctx, con, bench.Config{
		Rounds: c.rounds(), Contenders: c.contenders(bench.Copy), Kills: c.Kills,
		Load: bench.Load{Scenario: bench.Backlog, Levels: c.Level, Records: c.Records},
	}, c.Plot)
}

type pendingCmd struct {
	Records int            `type:"number" min:"1" max:"1000000000" placeholder:"N" default:"1000000" help:"How many records wait (default: ${default})."`
	Level   []levels.Level `type:"spread" placeholder:"LEVELS" help:"The levels that they wait on, in turns, as in \"1h 2h\" (default: all from 5m on)."`
	Exact   bool           `help:"Ask for an exact delay with each record, at random from the shortest to the longest of --level."`
	Cancels int            `type:"number" min:"0" max:"100000000" placeholder:"N" help:"Then write N cancels too, of no record that waits, and see what it takes to keep them."`
	Rounds  int            `type:"number" min:"1" max:"100" placeholder:"N" default:"1" help:"How often it runs (default: ${default})."`
	benchFlags
}

// Run measures cost.
func (c *pendingCmd) Run(ctx context.Context, con *console) error {
	return c.measure(ctx, con, bench.Config{
		Rounds: c.Rounds, Contenders: []bench.Kind{bench.Delayd}, Cancels: c.Cancels,
		Load: bench.Load{Scenario: bench.Pending, Levels: c.Level, Exact: c.Exact, Records: c.Records},
	}, "")
}

// measure runs a scenario and shows what it found, also where it fails on the way.
func (f *benchFlags) measure(ctx context.Context, con *console, cfg bench.Config, plot string) error {
	log := f.logger(con.err)
	stop, err := f.reach(ctx, log)
	if err != nil {
		return err
	}
	defer stop()
	if cfg.Program, err = os.Executable(); err != nil {
		return fmt.Errorf("look up this program, which the service is a process of: %w", err)
	}
	secure, err := f.secure(log, security.DialTimeout)
	if err != nil {
		return err
	}
	cfg.Opts, cfg.Brokers, cfg.Log = append(connect.Options(f.Brokers, "delayd-bench", log), secure...), f.Brokers, log
	cfg.Environ = f.environ()
	cfg.Delivery = f.Delivery
	cfg.Load.Through, cfg.Load.Size, cfg.Load.Keys, cfg.Load.Partitions = f.Through, f.Size, f.Keys, int32(f.Partitions)
	if isTerminal(con.err) {
		cfg.Progress = &progress{out: con.err}
	}
	report, err := bench.Run(ctx, cfg)
	if report == nil || len(report.Runs) == 0 {
		return err
	}
	return errors.Join(err, f.show(con, report, plot))
}

// show prints and draws a report, and fails where the service did what it must
// not.
func (f *benchFlags) show(con *console, report *bench.Report, plot string) error {
	var errs []error
	if f.json() {
		errs = append(errs, printJSON(con.out, report))
	} else {
		errs = append(errs, report.WriteText(con.out))
	}
	if plot != "" {
		errs = append(errs, report.Plot(plot))
	}
	return errors.Join(append(errs, report.Check())...)
}

// reach makes sure that there is a broker that answers. stop ends it where it is
// ours.
func (f *benchFlags) reach(ctx context.Context, log zerolog.Logger) (stop func(), err error) {
	switch {
	case f.Embedded && len(f.Brokers) > 0:
		return nil, usagef("--embedded starts a broker, and --brokers or DELAYD_BROKERS names one that is there; leave one out")
	case f.Embedded && f.set() != "":
		return nil, usagef(embeddedSecurity, f.set())
	case f.Embedded:
		broker, err := embedded.Start(embedded.Config{Addr: "127.0.0.1:0", Log: log})
		if err != nil {
			return nil, err
		}
		f.Brokers = []string{broker.Addr()}
		return func() { broker.Close() }, nil // it keeps nothing
	case len(f.Brokers) == 0:
		return nil, usagef("no brokers; set --brokers HOST:PORT or DELAYD_BROKERS, or --embedded for a broker in this process, which says little of Apache Kafka")
	}
	brokers := clientFlags{Brokers: f.Brokers, securityFlags: f.securityFlags}
	cl, err := brokers.connectTo(zerolog.Nop())
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	return func() {}, brokers.ping(ctx, cl)
}
