package main

import (
	"cmp"
	"fmt"
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

// confine is a command that gives what follows no more than so many bytes for its
// data, of which the stacks of its threads take threadStack each.
func confine(hard int64) []string {
	return []string{"sh", "-c", fmt.Sprintf(`ulimit -s %d && ulimit -d %d && exec "$0" "$@"`, threadStack>>10, hard>>10)}
}

// weigh notes the memory that each delayd of a confined row has had.
func (w *world) weigh() error {
	if !w.row.confined {
		return nil
	}
	for _, i := range w.all() {
		if running, _ := i.running(); !running {
			continue
		}
		if err := w.peaked(i, w.hard()); err != nil {
			return err
		}
	}
	return nil
}
