package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"time"
)

const (
	// backlogRate is how many records a second make a backlog.
	backlogRate = 15_000
	// hugePadding is the length of the longest values, of one record in hugeValues:
	// near what a broker takes unless it is told otherwise.
	hugePadding = 900_000
	hugeValues  = 8_000
	// drainWait is how long a backlog may take to be delivered.
	drainWait = 10 * time.Minute

	// softMemory is what Go is told to stay within. The kernel gives the process no
	// more than hardMemory for its data (of which Go takes 64 MiB at a time), and it
	// must never have more than mostMemory of a machine's.
	softMemory = "GOMEMLIMIT=64MiB"
	hardMemory = 256 << 20
	mostMemory = 160 << 20
)

// memoryRows are short of memory.
var memoryRows = []row{{
	name:       "memory",
	about:      fmt.Sprintf("--backlog records of up to %d bytes are overdue, and delayd may have little memory", hugePadding),
	deliveries: bothDeliveries,
	instances:  []string{}, backlog: true, rate: backlogRate,
	env:   []string{softMemory},
	under: []string{"sh", "-c", fmt.Sprintf(`ulimit -d %d && exec "$0" "$@"`, hardMemory>>10)},
	load: func(m *mix) {
		m.alter = func(c *recipe, r *rand.Rand) {
			if r.IntN(hugeValues) == 0 {
				c.padding = hugePadding
			}
		}
	},
	run: func(ctx context.Context, w *world) error {
		select {
		case <-w.loadOver:
		case <-ctx.Done():
		}
		if err := sleep(ctx, w.longest()); err != nil {
			return err
		}
		if missing, _ := w.history.waitingFor(); missing < w.backlog/2 { // the rest is aborted
			return fmt.Errorf("%d records are overdue, want more than half of %d", missing, w.backlog)
		}
		defer w.faults.begin("drain")()
		if err := w.start("one"); err != nil {
			return err
		}
		if err := w.drained(ctx); err != nil {
			return err
		}
		return w.peaked("one")
	},
}}

// drained waits until all that was acknowledged has arrived.
func (w *world) drained(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainWait)
	defer cancel()
	for {
		missing, _ := w.history.waitingFor()
		if missing == 0 {
			return nil
		}
		if sleep(ctx, groupEvery) != nil {
			return fmt.Errorf("%d records have not arrived: %w", missing, context.Cause(ctx))
		}
	}
}

// peak is what the kernel says of the most memory that a process has had.
var peak = regexp.MustCompile(`(?m)^VmHWM:\s*(\d+) kB$`)

// peaked notes how much memory a delayd has had at most.
func (w *world) peaked(name string) error {
	i, err := w.instance(name)
	if err != nil {
		return err
	}
	file := fmt.Sprintf("/proc/%d/status", i.pid())
	status, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("look up the memory of delayd %s: %w", name, err)
	}
	found := peak.FindSubmatch(status)
	if found == nil {
		return fmt.Errorf("look up the memory of delayd %s: %s does not tell", name, file)
	}
	kb, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		return fmt.Errorf("look up the memory of delayd %s: %w", name, err)
	}
	w.mu.Lock()
	w.memory = kb << 10
	w.mu.Unlock()
	if kb<<10 > mostMemory {
		w.violated("delayd %s had %d MiB of memory, at most %d allowed", name, kb>>10, mostMemory>>20)
	}
	return nil
}
