package bench

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/delayd-io/delayd/levels"
)

const (
	// naiveRate is how many records a second the naive service is given at
	// most: more than that it would fall behind on, and be late by its queue
	// and not by itself.
	naiveRate = 200
	// naiveShare and naiveLeast: of a backlog it is given a hundredth, which
	// takes it as long as the others take for all, but enough to measure.
	naiveShare = 100
	naiveLeast = 1000
	// pendingLeast is the shortest level that records wait on in the pending
	// scenario unless told otherwise: none may come due while it is measured.
	pendingLeast = 5 * time.Minute
	// sickTargets is how many targets there are where one is sick.
	sickTargets = 4
)

// complete checks cfg and fills in what is left out. It returns the service's
// ladder too.
func (cfg Config) complete() (Config, levels.Ladder, error) {
	if cfg.Progress == nil {
		cfg.Progress = quiet{}
	}
	if len(cfg.Contenders) == 0 {
		cfg.Contenders = []Kind{Delayd}
	}
	if cfg.Load.Through == "" {
		cfg.Load.Through = ThroughLevel
	}
	cfg.Rounds = max(cfg.Rounds, 1)
	if cfg.Load.Scenario == Pending && len(cfg.Load.Levels) == 0 {
		for l := range levels.Default().All() {
			if l.Delay >= pendingLeast {
				cfg.Load.Levels = append(cfg.Load.Levels, l)
			}
		}
	}
	if err := cfg.check(); err != nil {
		return cfg, levels.Ladder{}, fmt.Errorf("bench: %w", err)
	}
	if cfg.Load.Scenario == Steady { // what does not count is not in the report
		cfg.Load.Records = 0
	} else {
		cfg.Load.Rate, cfg.Load.Duration = 0, 0
	}
	ladder, err := cfg.ladder()
	return cfg, ladder, err
}

// check reports the first thing that cannot be run.
func (cfg *Config) check() error {
	l := cfg.Load
	switch {
	case !slices.Contains([]string{Steady, Backlog, Pending}, l.Scenario):
		return fmt.Errorf("scenario %q: use %s, %s or %s", l.Scenario, Steady, Backlog, Pending)
	case l.Through != ThroughLevel && l.Through != ThroughInbox:
		return fmt.Errorf("way in %q: use %s or %s", l.Through, ThroughLevel, ThroughInbox)
	case len(l.Levels) == 0:
		return errors.New("no level: name at least one to wait on")
	case l.Size < idSize:
		return fmt.Errorf("values of %d bytes: use at least %d, a record's number has to fit", l.Size, idSize)
	case l.Keys < 1 || l.Partitions < 1:
		return fmt.Errorf("%d keys, %d partitions: use at least 1 of each", l.Keys, l.Partitions)
	case l.Scenario == Steady && (l.Rate < 1 || l.Duration < time.Second):
		return fmt.Errorf("%d records a second for %v: use at least 1, for at least 1s", l.Rate, l.Duration)
	case l.Scenario != Steady && l.Records < 1:
		return fmt.Errorf("%d records: use at least 1", l.Records)
	case l.Scenario != Steady && (cfg.Flood > 0 || cfg.Sick):
		return fmt.Errorf("a flood and a sick target are for the scenario %s", Steady)
	case l.Scenario != Backlog && cfg.Kills > 0:
		return fmt.Errorf("kills are for the scenario %s", Backlog)
	case l.Exact && (l.Scenario == Backlog || cfg.Flood > 0 || cfg.Sick || !slices.Equal(cfg.Contenders, []Kind{Delayd})):
		return fmt.Errorf("exact delays are for %s alone, in the scenarios %s and %s without a flood and a sick target", Delayd, Steady, Pending)
	case cfg.Cancel != 0 && (l.Scenario != Steady || cfg.Flood > 0 || cfg.Sick || !slices.Equal(cfg.Contenders, []Kind{Delayd})):
		return fmt.Errorf("cancels are for %s alone, in the scenario %s without a flood and a sick target", Delayd, Steady)
	case cfg.Cancel < 0 || cfg.Cancel > 1:
		return fmt.Errorf("a share of %v that is cancelled: use more than 0 and at most 1", cfg.Cancel)
	case cfg.Cancel != 0 && longest(l.Levels) < CancelLeast:
		return fmt.Errorf("cancels of records that wait for %v: use a level of %v or more", longest(l.Levels), CancelLeast)
	case cfg.Cancels < 0 || cfg.Cancels > 0 && l.Scenario != Pending:
		return fmt.Errorf("%d outstanding cancels: use 0 or more, in the scenario %s", cfg.Cancels, Pending)
	case l.Exact && longest(l.Levels) <= exactFrom:
		return fmt.Errorf("exact delays of up to %v: use a level above %v", longest(l.Levels), exactFrom)
	case cfg.Flood > 0 && cfg.Sick:
		return errors.New("a flood and a sick target at once: measure one at a time")
	case cfg.Flood > 0 && (cfg.FloodLevel.Delay <= 0 || has(l.Levels, cfg.FloodLevel.Delay)):
		return errors.New("the flood needs a level of its own, which the load does not use")
	}
	return cfg.checkContenders()
}

// checkContenders reports a contender that the scenario is not for.
func (cfg *Config) checkContenders() error {
	for _, kind := range cfg.Contenders {
		ok := kind == Delayd ||
			kind == Naive && cfg.Load.Scenario != Pending ||
			kind == Loop && cfg.Load.Scenario == Steady ||
			kind == Copy && cfg.Load.Scenario == Backlog
		if !ok {
			return fmt.Errorf("contender %q in the scenario %s: %s is always there, %s is for %s, %s for %s, and %s for both",
				kind, cfg.Load.Scenario, Delayd, Loop, Steady, Copy, Backlog, Naive)
		}
	}
	return nil
}

// ladder is what the service is started with: the default one where it has all
// the levels of the load, else those alone.
func (cfg *Config) ladder() (levels.Ladder, error) {
	wanted := slices.Clone(cfg.Load.Levels)
	if cfg.Flood > 0 {
		wanted = append(wanted, cfg.FloodLevel)
	}
	usual := slices.Collect(levels.Default().All())
	if !slices.ContainsFunc(wanted, func(l levels.Level) bool { return !has(usual, l.Delay) }) {
		return levels.Default(), nil
	}
	slices.SortFunc(wanted, func(a, b levels.Level) int { return cmp.Compare(a.Delay, b.Delay) })
	names := make([]string, len(wanted))
	for i, l := range wanted {
		names[i] = l.String()
	}
	return levels.Parse(strings.Join(names, " "))
}

// has reports whether one of the levels has that delay.
func has(all []levels.Level, d time.Duration) bool {
	return slices.ContainsFunc(all, func(l levels.Level) bool { return l.Delay == d })
}

// targets is how many targets the load is spread over.
func (cfg *Config) targets() int {
	if cfg.Sick {
		return sickTargets
	}
	return 1
}

// rate is how many records a second a contender is given.
func (cfg *Config) rate(kind Kind) int {
	if kind == Naive {
		return min(naiveRate, cfg.Load.Rate)
	}
	return cfg.Load.Rate
}

// records is how large a contender's backlog is.
func (cfg *Config) records(kind Kind) int64 {
	n := cfg.Load.Records
	if kind == Naive {
		n = min(n, max(n/naiveShare, naiveLeast))
	}
	return int64(n)
}

// maxCancels is how many outstanding cancels the service is to allow: twice as many as it
// gets, so that it refuses none.
func (cfg *Config) maxCancels() int { return 2 * cfg.Cancels }

// notes are what a reader of the figures has to know of the load.
func (cfg *Config) notes() []string {
	var notes []string
	add := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if slices.Contains(cfg.Contenders, Naive) {
		switch {
		case cfg.Load.Scenario == Steady && cfg.rate(Naive) < cfg.Load.Rate:
			add("The naive service was given %d records a second: with more it would fall behind, and be late by its queue and not by itself.", cfg.rate(Naive))
		case cfg.Load.Scenario == Backlog && cfg.records(Naive) < int64(cfg.Load.Records):
			add("The naive service was given a backlog of %d records.", cfg.records(Naive))
		}
	}
	if slices.Contains(cfg.Contenders, Loop) && cfg.Load.Through == ThroughInbox {
		add("The loop's records were written straight to its topics: its ratios compare two hops with one.")
	}
	if cfg.Load.Scenario == Pending {
		add("Nothing was due while it was measured, so that nothing was delivered.")
	}
	if cfg.Delivery == levels.ExactlyOnce {
		add("The service delivered exactly once, and the consumer read what was committed.")
	}
	if len(cfg.ServeArgs) > 0 {
		add("The service was started with %s too.", strings.Join(cfg.ServeArgs, " "))
	}
	if cfg.Sick {
		add("Lateness with a sick target is that of the other targets, from %v on, when it is parked.", sickWarmUp)
	}
	if cfg.Cancel > 0 {
		add("With cancels each record had a delay-id, and of those that wait for %v or longer %v%% were cancelled %v after they were sent; the others are measured.",
			CancelLeast, math.Round(cfg.Cancel*1000)/10, cancelAfter)
	}
	if cfg.Cancels > 0 {
		add("The cancels named no record that waits. The service was started with --max-cancels %d.", cfg.maxCancels())
	}
	if cfg.Flood > 0 {
		add("Lateness beside a flood is that of records that came due while the flood was released.")
	}
	return notes
}
