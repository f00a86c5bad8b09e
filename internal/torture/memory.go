package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// backlogRate is how many records a second make a backlog.
	backlogRate = 15_000
	// hugePadding is the length of the longest values, of one record in hugeValues:
	// near what a broker accepts by default.
	hugePadding = 900_000
	hugeValues  = 8_000
	// drainWait is how long a backlog may take to be delivered.
	drainWait = 10 * time.Minute

	// softMemory is what Go is told to stay within, and cannot where more is in use.
	// The kernel gives the process no more than a row says for its data, of which the
	// stacks of its threads take threadStack each.
	softMemory  = "GOMEMLIMIT=64MiB"
	threadStack = 1 << 20
)

// memoryRows are short of memory. In transactions twice as much is held: what one has
// written, and what the next one gets.
var memoryRows = []row{
	memoryRow("memory", atLeastOnce, 256<<20),
	memoryRow("memory-exactly-once", exactlyOnce, 512<<20),
}

// memoryRow limits delayd's data to a number of bytes.
func memoryRow(name string, d delivery, hard int64) row {
	return row{
		name:       name,
		about:      fmt.Sprintf("--backlog records of up to %d bytes are overdue, and delayd may have %d MiB of memory", hugePadding, hard>>20),
		deliveries: []delivery{d},
		instances:  []string{}, backlog: true, rate: backlogRate,
		env:   []string{softMemory},
		under: confine(hard),
		load: func(m *mix) {
			m.alter = func(c *recipe, r *rand.Rand) {
				if r.IntN(hugeValues) == 0 {
					c.padding = hugePadding
				}
			}
		},
		run: func(ctx context.Context, w *world) error { return releaseInLittle(ctx, w, hard) },
	}
}

// releaseInLittle starts a delayd when all are overdue, and looks at the memory that it
// has had when all have arrived.
func releaseInLittle(ctx context.Context, w *world, hard int64) error {
	if err := w.overdue(ctx); err != nil {
		return err
	}
	if missing, _ := w.history.waitingFor(); missing < w.backlog/2 { // the rest is aborted
		return fmt.Errorf("%d records are overdue, want more than half of %d", missing, w.backlog)
	}
	defer w.faults.begin("drain")()
	one, err := w.instance("one")
	if err == nil {
		err = one.start()
	}
	if err == nil {
		err = w.drained(ctx, one)
	}
	if running, _ := one.running(); err != nil || !running {
		return err // that it has ended is a violation
	}
	return w.peaked(one, hard)
}

// drained waits until all that was acknowledged has arrived, while a delayd runs.
func (w *world) drained(ctx context.Context, i *instance) error {
	ctx, cancel := context.WithTimeout(ctx, drainWait)
	defer cancel()
	for {
		missing, _ := w.history.waitingFor()
		if running, _ := i.running(); missing == 0 || !running {
			return nil
		}
		if sleep(ctx, groupEvery) != nil {
			return fmt.Errorf("%d records have not arrived: %w", missing, context.Cause(ctx))
		}
	}
}

// peaked records the most memory that a delayd has had, and the limit in bytes.
func (w *world) peaked(i *instance, hard int64) error {
	had, _, err := i.memory()
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.memory = max(w.memory, had)
	w.mu.Unlock()
	if had > hard {
		w.violated("delayd %s had %d MiB of memory, at most %d allowed", i.name, had>>20, hard>>20)
	}
	return nil
}
