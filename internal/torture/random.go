package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// randomCmd runs one row whose faults are drawn.
type randomCmd struct {
	For time.Duration `name:"for" default:"2m" help:"How long records are sent and things break (default: ${default})."`
	commonFlags
}

// Run prints the seed first: it replays the schedule.
func (c *randomCmd) Run(ctx context.Context, con *console) error {
	return c.torture(ctx, con, c.For, []row{randomRow})
}

// accident is a fault that composes with others: it happens, lasts for a while and
// is mended by the end of do.
type accident struct {
	name string
	do   func(ctx context.Context, w *world) error
}

// accidents are what a random schedule is drawn from, one after another.
var accidents = []accident{
	{"kill", func(ctx context.Context, w *world) error {
		return w.killAndRestart(ctx, w.anyone(), w.between(0, 2*time.Second))
	}},
	{"stop", func(ctx context.Context, w *world) error {
		name := w.anyone()
		end, err := w.stop(name)
		if err != nil {
			return err
		}
		defer end()
		if err := sleep(ctx, w.between(0, 2*time.Second)); err != nil {
			return err
		}
		return w.start(name)
	}},
	{"freeze", func(ctx context.Context, w *world) error {
		return w.freeze(ctx, w.anyone(), w.between(time.Second, 12*time.Second))
	}},
	{"kill broker", func(ctx context.Context, w *world) error {
		return w.killBroker(ctx, w.rand.IntN(randomNodes), w.between(0, 5*time.Second))
	}},
	{"freeze broker", func(ctx context.Context, w *world) error {
		return w.freezeBroker(ctx, w.rand.IntN(randomNodes), w.between(time.Second, 8*time.Second))
	}},
	{"cut", func(ctx context.Context, w *world) error {
		return w.cut(ctx, w.rand.IntN(randomNodes), w.between(time.Second, 10*time.Second))
	}},
	{"refuse", func(ctx context.Context, w *world) error {
		return w.refuse(ctx, w.rand.IntN(randomNodes), w.between(time.Second, 10*time.Second))
	}},
	{"move leaders", func(ctx context.Context, w *world) error {
		_, err := w.moveLeaders(ctx)
		return err
	}},
}

const (
	randomName  = "random"
	randomNodes = 3
	// pauseMost is the longest time between two faults.
	pauseMost = 5 * time.Second
)

// randomRow lets accidents happen as the run's seed says.
var randomRow = row{
	name: randomName, about: "one fault after another, drawn at random",
	nodes: randomNodes, proxied: true, deliveries: bothDeliveries,
	instances: []string{"one", "two"}, restarts: true,
	// How late records are depends on what is drawn: that all come is what counts.
	limits: limits{twice: randomTwice},
	run: func(ctx context.Context, w *world) error {
		for w.whileLoad(ctx, w.between(0, pauseMost)) {
			a := accidents[w.rand.IntN(len(accidents))]
			w.log.Warn().Str("accident", a.name).Msg("breaks")
			// A delayd that has ended by itself is just being started again.
			if err := a.do(ctx, w); err != nil && !errors.Is(err, errNotRunning) {
				return fmt.Errorf("%s: %w", a.name, err)
			}
		}
		return nil
	},
}

// randomTwice is how many duplicates faults may bring that are no crash of delayd:
// a lost lease and an answer that a broker could not send are each worth one.
const randomTwice = twicePerCrash

// anyone draws one of the row's instances.
func (w *world) anyone() string { return w.row.instances[w.rand.IntN(len(w.row.instances))] }
