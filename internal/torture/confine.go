package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"
)

// What delayd is promised to get along with, in bytes: at least once, and in
// transactions, in which twice as much is held.
const (
	hardMemory     = 256 << 20
	hardMemoryOnce = 320 << 20
)

// hard is how much memory a delayd of a confined row may have.
func (w *world) hard() int64 {
	if cmp.Or(w.delivery, atLeastOnce) == exactlyOnce {
		return hardMemoryOnce
	}
	return hardMemory
}

// confine is a command that limits the data of the command that follows, in
// bytes, of which the stacks of its threads take threadStack each.
func confine(hard int64) []string {
	return []string{"sh", "-c", fmt.Sprintf(`ulimit -s %d && ulimit -d %d && exec "$0" "$@"`, threadStack>>10, hard>>10)}
}

// weighEvery is how often the memory of a confined delayd is sampled: one that has
// ended cannot be asked.
const weighEvery = 100 * time.Millisecond

// taken is what the kernel says of the most memory that a process has had, and of what
// a limit of its data counts.
var taken = regexp.MustCompile(`(?m)^Vm(HWM|Data):\s*(\d+) kB$`)

// memory is those of the process, in bytes.
func (i *instance) memory() (had, data int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", i.pid()))
	if err != nil {
		return 0, 0, fmt.Errorf("look up the memory of delayd %s: %w", i.name, err)
	}
	for _, found := range taken.FindAllSubmatch(status, -1) {
		kb, _ := strconv.ParseInt(string(found[2]), 10, 64)
		if string(found[1]) == "HWM" {
			had = kb << 10
		} else {
			data = kb << 10
		}
	}
	if had == 0 {
		return 0, 0, fmt.Errorf("look up the memory of delayd %s: it has ended", i.name)
	}
	return had, data, nil
}

// weigh looks up the memory that the delayd of a confined row have, until ctx ends, and
// notes the most.
func (w *world) weigh(ctx context.Context) error {
	if !w.row.confined {
		return nil
	}
	var had, data int64
	for sleep(ctx, weighEvery) == nil {
		for _, i := range w.all() {
			if running, _ := i.running(); !running {
				continue
			}
			h, d, err := i.memory()
			if err != nil {
				continue // it has ended
			}
			had, data = max(had, h), max(data, d)
		}
	}
	w.mu.Lock()
	w.memory = max(w.memory, had)
	w.mu.Unlock()
	w.measured("a delayd had %d MiB of memory at most, and %d MiB of data, of which the limit is %d", had>>20, data>>20, w.hard()>>20)
	if had > w.hard() {
		w.violated("a delayd had %d MiB of memory, at most %d allowed", had>>20, w.hard()>>20)
	}
	return nil
}
