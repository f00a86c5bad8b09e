package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/delayd-io/delayd/cmd/delayd/internal/bench"
	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/levels"
)

// The scenarios with real processes, at a size that says nothing of speed: that
// every contender gets its load, carries it, and is distinguished from the others.
func TestBenchScenarios(t *testing.T) {
	t.Setenv(asDelayd, "1") // the processes that the bench starts are this test binary
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	second, twoSeconds := levels.Level{Delay: time.Second}, levels.Level{Delay: 2 * time.Second}
	backlog := bench.Load{Scenario: bench.Backlog, Through: bench.ThroughLevel, Levels: []levels.Level{second}, Records: 3000}
	inbox := bench.Load{Scenario: bench.Backlog, Through: bench.ThroughInbox, Levels: []levels.Level{second, twoSeconds}, Records: 2000}
	steady := bench.Load{Scenario: bench.Steady, Through: bench.ThroughInbox, Levels: []levels.Level{twoSeconds}, Rate: 100, Duration: time.Second}
	for name, tc := range map[string]struct {
		cfg  bench.Config
		want []string // who ran, in that order, and how many records each got
	}{
		"backlog": {
			bench.Config{Load: backlog, Contenders: []bench.Kind{bench.Delayd, bench.Copy}, Rounds: 2},
			[]string{"1 delayd: 3000 of 3000", "1 copy: 3000 of 3000", "2 copy: 3000 of 3000", "2 delayd: 3000 of 3000"},
		},
		"inbox": {
			bench.Config{Load: inbox, Contenders: []bench.Kind{bench.Delayd, bench.Naive}},
			[]string{"1 delayd: 2000 of 2000", "1 naive: 1000 of 1000"},
		},
		"kills": {
			bench.Config{Load: backlog, Contenders: []bench.Kind{bench.Delayd}, Kills: 1},
			[]string{"1 delayd killed on the way: 3000 of 3000, 1 kills"},
		},
		"flood": {
			bench.Config{Load: steady, Contenders: []bench.Kind{bench.Delayd}, Flood: 500, FloodLevel: second},
			[]string{"1 delayd alone: 200 of 200", "1 delayd beside a flood: 200 of 200", "1 delayd the flood itself: 500 of 500"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := tc.cfg
			cfg.Brokers, cfg.Program, cfg.Log = []string{startBroker(t)}, program, zerolog.Nop()
			cfg.Opts = connect.Options(cfg.Brokers, "test", zerolog.Nop())
			cfg.Load.Size, cfg.Load.Keys, cfg.Load.Partitions = 50, 20, 2
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			report, err := bench.Run(ctx, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := report.Check(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tc.want, ran(report)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// ran is who ran, and how many records arrived of those that were sent.
func ran(report *bench.Report) []string {
	var all []string
	for _, r := range report.Runs {
		line := fmt.Sprintf("%d %s", r.Round, r.Contender)
		if r.Label != "" {
			line += " " + r.Label
		}
		line += fmt.Sprintf(": %d of %d", r.Delivered, r.Sent)
		if r.Kills > 0 {
			line += fmt.Sprintf(", %d kills", r.Kills)
		}
		all = append(all, line)
	}
	return all
}

// A contender that cannot work takes the bench with it, and says why.
func TestBenchOfAContenderThatDies(t *testing.T) {
	t.Setenv(asDelayd, "1")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	brokers := []string{startBroker(t)}
	_, err = bench.Run(t.Context(), bench.Config{
		Brokers: brokers, Opts: connect.Options(brokers, "test", zerolog.Nop()), Program: program,
		ServeArgs: []string{"--rounding", "sideways"},
		Load: bench.Load{
			Scenario: bench.Steady, Levels: []levels.Level{{Delay: time.Second}}, Rate: 10, Duration: time.Second,
			Size: 50, Keys: 5, Partitions: 1,
		},
	})
	if err == nil || !holdsAll(err.Error(), []string{"round 1 of delayd", "serve ended by itself: exit status 64", "--rounding"}) {
		t.Errorf("error: %v", err)
	}
}

// Nobody but the bench starts a yardstick.
func TestYardsticksAreHidden(t *testing.T) {
	t.Parallel()
	if help := succeed(t, "", "--help"); strings.Contains(help, "bench-contender") {
		t.Errorf("the help shows it:\n%s", help)
	}
}
