package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/delayd-io/delayd/internal/process"
)

// randomCmd runs one row whose faults are drawn.
type randomCmd struct {
	For time.Duration `name:"for" default:"2m" help:"How long records are sent and things break (default: ${default})."`
	commonFlags
}

// Run prints the seed first: it replays the schedules.
func (c *randomCmd) Run(ctx context.Context, con *console) error {
	return c.torture(ctx, con, c.For, []row{randomRow})
}

// accident is a fault that composes with those of other families: it happens, lasts
// for a while that is drawn, and is fixed by the end of do.
type accident struct {
	name string
	do   func(ctx context.Context, w *world, draw *rand.Rand) error
}

// families are what random schedules are drawn from. Accidents of one family happen
// one after another: two would undo each other, or leave no majority of the brokers.
// Those of different families happen at the same time.
var families = [][]accident{processAccidents, brokerAccidents, networkAccidents}

var processAccidents = []accident{
	{"kill", func(ctx context.Context, w *world, draw *rand.Rand) error {
		return w.killAndRestart(ctx, w.anyone(draw), between(draw, 0, 2*time.Second))
	}},
	{"stop", func(ctx context.Context, w *world, draw *rand.Rand) error {
		name := w.anyone(draw)
		end, err := w.stop(name)
		if err != nil {
			return err
		}
		defer end()
		if err := sleep(ctx, between(draw, 0, 2*time.Second)); err != nil {
			return err
		}
		return w.start(name)
	}},
	{"freeze", func(ctx context.Context, w *world, draw *rand.Rand) error {
		return w.freeze(ctx, w.anyone(draw), between(draw, time.Second, 12*time.Second))
	}},
}

var brokerAccidents = []accident{
	{"kill broker", func(ctx context.Context, w *world, draw *rand.Rand) error {
		return w.killBroker(ctx, draw.IntN(randomNodes), between(draw, 0, 5*time.Second))
	}},
	{"freeze broker", func(ctx context.Context, w *world, draw *rand.Rand) error {
		return w.freezeBroker(ctx, draw.IntN(randomNodes), between(draw, time.Second, 8*time.Second))
	}},
	{"move leaders", func(ctx context.Context, w *world, _ *rand.Rand) error {
		_, err := w.moveLeaders(ctx)
		return err
	}},
}

var networkAccidents = []accident{
	{"cut", func(ctx context.Context, w *world, draw *rand.Rand) error {
		return w.cut(ctx, draw.IntN(randomNodes), between(draw, time.Second, 10*time.Second))
	}},
	{"refuse", func(ctx context.Context, w *world, draw *rand.Rand) error {
		return w.refuse(ctx, draw.IntN(randomNodes), between(draw, time.Second, 10*time.Second))
	}},
	{"lose answers", func(ctx context.Context, w *world, draw *rand.Rand) error {
		return w.loseAnswers(ctx, draw.IntN(randomNodes), between(draw, 10*time.Millisecond, 3*time.Second))
	}},
	{"reset", func(ctx context.Context, w *world, draw *rand.Rand) error {
		return w.reset(ctx, draw.IntN(randomNodes))
	}},
}

const (
	randomName  = "random"
	randomNodes = 3
	// pauseMost is the longest time between two faults of a family.
	pauseMost = 10 * time.Second
)

// randomRow lets accidents happen as the run's seed says.
var randomRow = row{
	name: randomName, about: "delayd, brokers and the network break at the same time, drawn at random",
	nodes: randomNodes, proxied: true, deliveries: bothDeliveries,
	instances: []string{"one", "two"}, restarts: true,
	load: func(m *mix) { m.alter = exactly },
	// How late records are depends on what is drawn: that all come is what counts, and
	// that they are on time again soon after the last fault.
	limits: limits{twice: randomTwice, last: time.Minute},
	run: func(ctx context.Context, w *world) error {
		g, ctx := errgroup.WithContext(ctx)
		for _, accidents := range families {
			draw := rand.New(rand.NewPCG(w.rand.Uint64(), 0)) // so that no family's times change another's
			g.Go(func() error { return w.suffer(ctx, accidents, draw) })
		}
		return g.Wait()
	},
}

// randomTwice is how many duplicates faults may bring that are no crash of delayd:
// a lost lease and an answer that a broker could not send are each worth one.
const randomTwice = twicePerCrash

// suffer lets accidents happen one after another, until nothing more is sent.
func (w *world) suffer(ctx context.Context, accidents []accident, draw *rand.Rand) error {
	for w.whileLoad(ctx, between(draw, 0, pauseMost)) {
		a := accidents[draw.IntN(len(accidents))]
		w.log.Warn().Str("accident", a.name).Msg("breaks")
		// A delayd that has ended by itself is just being started again.
		if err := a.do(ctx, w, draw); err != nil && !errors.Is(err, process.ErrNotRunning) {
			return fmt.Errorf("%s: %w", a.name, err)
		}
	}
	return nil
}

// anyone draws one of the row's instances.
func (w *world) anyone(draw *rand.Rand) string {
	return w.row.instances[draw.IntN(len(w.row.instances))]
}
