package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/delayd-io/delayd/levels"
)

func steadyConfig(change ...func(*Config)) Config {
	cfg := Config{Load: Load{
		Scenario: Steady, Levels: []levels.Level{level(5 * time.Second)}, Rate: 100, Duration: time.Second,
		Size: 200, Keys: 10, Partitions: 4,
	}}
	for _, c := range change {
		c(&cfg)
	}
	return cfg
}

func backlogConfig(change ...func(*Config)) Config {
	return steadyConfig(append([]func(*Config){func(c *Config) { c.Load.Scenario, c.Load.Records = Backlog, 5000 }}, change...)...)
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cfg  Config
		want string // in the error; "" for none
	}{
		"steady":           {steadyConfig(), ""},
		"backlog":          {backlogConfig(), ""},
		"yardsticks":       {steadyConfig(func(c *Config) { c.Contenders = []Kind{Delayd, Loop, Naive} }), ""},
		"no scenario":      {steadyConfig(func(c *Config) { c.Load.Scenario = "" }), "scenario"},
		"way in":           {steadyConfig(func(c *Config) { c.Load.Through = "window" }), "way in"},
		"no level":         {steadyConfig(func(c *Config) { c.Load.Levels = nil }), "no level"},
		"small value":      {steadyConfig(func(c *Config) { c.Load.Size = 7 }), "at least 8"},
		"no keys":          {steadyConfig(func(c *Config) { c.Load.Keys = 0 }), "0 keys"},
		"no rate":          {steadyConfig(func(c *Config) { c.Load.Rate = 0 }), "0 records a second"},
		"no records":       {backlogConfig(func(c *Config) { c.Load.Records = 0 }), "0 records"},
		"kills":            {steadyConfig(func(c *Config) { c.Kills = 1 }), "for the scenario backlog"},
		"sick":             {backlogConfig(func(c *Config) { c.Sick = true }), "for the scenario steady"},
		"two faults":       {steadyConfig(func(c *Config) { c.Sick, c.Flood, c.FloodLevel = true, 1, level(time.Second) }), "one at a time"},
		"flood":            {steadyConfig(func(c *Config) { c.Flood, c.FloodLevel = 1, level(time.Second) }), ""},
		"cancels":          {steadyConfig(func(c *Config) { c.Cancel, c.Load.Exact = 0.2, true }), ""},
		"cancels, loop":    {steadyConfig(func(c *Config) { c.Cancel, c.Contenders = 0.2, []Kind{Delayd, Loop} }), "cancels are for delayd alone"},
		"cancels, backlog": {backlogConfig(func(c *Config) { c.Cancel = 0.2 }), "cancels are for delayd alone"},
		"cancelled share":  {steadyConfig(func(c *Config) { c.Cancel = 1.5 }), "a share of 1.5"},
		"cancelled at once": {steadyConfig(func(c *Config) {
			c.Cancel, c.Load.Levels = 0.2, []levels.Level{level(time.Second)}
		}), "use a level of 3s or more"},
		"outstanding cancels": {steadyConfig(func(c *Config) { c.Cancels = 1 }), "in the scenario pending"},
		"flooded load": {steadyConfig(func(c *Config) {
			c.Flood, c.FloodLevel = 1, levels.Level{Number: 2, Delay: 5 * time.Second}
		}), "a level of its own"},
		"copy":    {steadyConfig(func(c *Config) { c.Contenders = []Kind{Copy} }), `contender "copy"`},
		"loop":    {backlogConfig(func(c *Config) { c.Contenders = []Kind{Loop} }), `contender "loop"`},
		"nobody":  {steadyConfig(func(c *Config) { c.Contenders = []Kind{"etf1"} }), `contender "etf1"`},
		"pending": {steadyConfig(func(c *Config) { c.Load.Scenario, c.Load.Records, c.Contenders = Pending, 1, []Kind{Naive} }), `contender "naive"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := tc.cfg.complete()
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("error: %v, want %q", err, tc.want)
			}
		})
	}
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	cfg, ladder, err := Config{Load: Load{Scenario: Pending, Records: 1, Rate: 5, Size: 200, Keys: 1, Partitions: 1}}.complete()
	if err != nil {
		t.Fatal(err)
	}
	if l := cfg.Load; len(l.Levels) != 10 || l.Levels[0].Delay != pendingLeast || l.Through != ThroughLevel || l.Rate != 0 {
		t.Errorf("load: %+v", l)
	}
	if cfg.Rounds != 1 || !cmp.Equal(cfg.Contenders, []Kind{Delayd}) || cfg.Progress == nil {
		t.Errorf("config: %+v", cfg)
	}
	if ladder.String() != levels.DefaultSpec {
		t.Errorf("ladder: %v", ladder)
	}
}

func TestLadderHasTheLevelsOfTheLoad(t *testing.T) {
	t.Parallel()
	cfg := steadyConfig(func(c *Config) {
		c.Load.Levels = []levels.Level{level(time.Minute), level(3 * time.Second)}
		c.Flood, c.FloodLevel = 1, level(5*time.Second)
	})
	if _, ladder, err := cfg.complete(); err != nil || ladder.String() != "3s 5s 1m" {
		t.Errorf("%v, %v", ladder, err)
	}
}

// The naive service gets what it can carry.
func TestNaiveGetsLess(t *testing.T) {
	t.Parallel()
	cfg := steadyConfig(func(c *Config) { c.Load.Rate = 2000 })
	if cfg.rate(Naive) != naiveRate || cfg.rate(Delayd) != 2000 {
		t.Errorf("rates: %d and %d", cfg.rate(Naive), cfg.rate(Delayd))
	}
	for records, want := range map[int]int64{2_000_000: 20_000, 5000: naiveLeast, 10: 10} {
		cfg := backlogConfig(func(c *Config) { c.Load.Records = records })
		if got := cfg.records(Naive); got != want || cfg.records(Copy) != int64(records) {
			t.Errorf("of %d: %d for the naive service, %d for the copy", records, got, cfg.records(Copy))
		}
	}
}

func TestNotesTellWhatTheFiguresDoNot(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cfg  Config
		want string
	}{
		"naive rate":    {steadyConfig(func(c *Config) { c.Load.Rate, c.Contenders = 2000, []Kind{Delayd, Naive} }), "200 records a second"},
		"naive backlog": {backlogConfig(func(c *Config) { c.Contenders = []Kind{Delayd, Naive} }), "1000 records"},
		"two hops":      {steadyConfig(func(c *Config) { c.Load.Through, c.Contenders = ThroughInbox, []Kind{Delayd, Loop} }), "two hops"},
		"cancels":       {steadyConfig(func(c *Config) { c.Cancel = 0.125 }), "wait for 3s or longer 12.5% were cancelled 1s after"},
		"marks":         {steadyConfig(func(c *Config) { c.Cancels = 7 }), "--max-cancels 14"},
		"flags":         {steadyConfig(func(c *Config) { c.ServeArgs = []string{"--purge-after", "off"} }), "--purge-after off"},
	} {
		notes := tc.cfg.notes()
		if len(notes) != 1 || !strings.Contains(notes[0], tc.want) {
			t.Errorf("%s: %q, want one with %q", name, notes, tc.want)
		}
	}
	if notes := (&Config{Load: Load{Scenario: Steady}}).notes(); len(notes) > 0 {
		t.Errorf("notes where there is nothing to tell: %q", notes)
	}
}
