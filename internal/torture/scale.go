package main

import (
	"context"
	"fmt"
	"time"
)

// scaleRows change how many delayd there are.
var scaleRows = []row{{
	name: "scale", matrix: 7,
	about:      "from one instance to three and back by SIGTERM, which leaves partitions to the others after a session",
	deliveries: bothDeliveries,
	least:      40 * time.Second,
	limits:     limits{worst: takeover, recover: 3*time.Second + echo},
	run: func(ctx context.Context, w *world) error {
		for w.whileLoad(ctx, 3*time.Second) {
			for _, name := range []string{"two", "three"} {
				if err := w.grow(ctx, name); err != nil {
					return err
				}
			}
			if err := w.owned(ctx, "one", "two", "three"); err != nil || !w.whileLoad(ctx, 5*time.Second) {
				return err
			}
			if err := w.shrink(ctx, "one", "two", "three"); err != nil {
				return err
			}
		}
		return nil
	},
}, {
	name:       "come-and-go",
	about:      "every few seconds an instance is added, stopped or killed, whichever is drawn",
	deliveries: bothDeliveries,
	least:      time.Minute,
	limits:     limits{worst: 2 * takeover, recover: takeover + echo},
	run: func(ctx context.Context, w *world) error {
		changes := 0
		for ; w.whileLoad(ctx, w.between(time.Second, 4*time.Second)); changes++ {
			if err := w.comeOrGo([]string{"two", "three", "four", "five"}[w.rand.IntN(4)]); err != nil {
				return err
			}
		}
		if least := 10; changes < least {
			return fmt.Errorf("%d instances came or went, want %d", changes, least)
		}
		return nil
	},
}, {
	name:       "all-at-once",
	about:      "all instances are killed, and start again at once when 100,000 records are overdue",
	deliveries: bothDeliveries, instances: []string{"one", "two", "three"},
	rate: 10_000, least: 20 * time.Second,
	limits: limits{worst: 2 * time.Minute},
	run: func(ctx context.Context, w *world) error {
		for _, name := range w.row.instances {
			end, err := w.kill(name)
			if err != nil {
				return err
			}
			defer end()
		}
		if err := w.overdue(ctx); err != nil {
			return err
		}
		const least = 100_000
		if missing, _ := w.history.waitingFor(); missing < least {
			return fmt.Errorf("%d records are overdue, want %d: give it a longer --duration", missing, least)
		}
		for _, name := range w.row.instances {
			if err := w.start(name); err != nil {
				return err
			}
		}
		return nil
	},
}}

// grow adds a delayd, and returns when it is ready.
func (w *world) grow(ctx context.Context, name string) error {
	defer w.faults.begin("add " + name)()
	return w.startReady(ctx, name)
}

// shrink stops delayd, and returns when all partitions are those of the one that
// stays.
func (w *world) shrink(ctx context.Context, stays string, gone ...string) error {
	for _, name := range gone {
		end, err := w.stop(name)
		if err != nil {
			return err
		}
		defer end()
	}
	return w.owned(ctx, stays)
}

// comeOrGo starts a delayd, or ends it in one of two ways where it runs.
func (w *world) comeOrGo(name string) error {
	i, err := w.instance(name)
	if err != nil {
		return err
	}
	if running, _ := i.running(); !running {
		w.faults.begin("add " + name)()
		return i.start()
	}
	var end func()
	if w.rand.IntN(2) == 0 {
		end, err = w.kill(name)
	} else {
		end, err = w.stop(name)
	}
	if err == nil {
		end()
	}
	return err
}

// overdue waits until all records have been sent, and are due.
func (w *world) overdue(ctx context.Context) error {
	_ = untilLoadIsOver(ctx, w)
	return sleep(ctx, w.longest())
}

// longest is how long records wait at most.
func (w *world) longest() time.Duration {
	all := w.history.mix.levels
	return all[len(all)-1].Delay
}
