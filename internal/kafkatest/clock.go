//go:build unix

package kafkatest

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// fakeTime is where Debian puts the library that answers for the system's clock.
const fakeTime = "/usr/lib/*/faketime/libfaketimeMT.so.1"

// clockEvery is how soon a node notices that its clock was set, in seconds.
const clockEvery = "1"

// Clock is a wall clock for nodes that can be set while they run. What they measure
// spans with goes on as it is, as when somebody sets a machine's clock.
type Clock struct{ library, file string }

// NewClock returns a clock that is right, which keeps a file in dir.
func NewClock(dir string) (*Clock, error) {
	found, err := filepath.Glob(fakeTime)
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("set kafka's clock: there is no %s: install libfaketime (Debian package libfaketime)", fakeTime)
	}
	c := &Clock{library: found[0], file: filepath.Join(dir, "clock")}
	return c, c.Set(0)
}

// Env is what a node needs in [Config.Env] to go by the clock.
func (c *Clock) Env() []string {
	return []string{
		"LD_PRELOAD=" + c.library,
		"FAKETIME_TIMESTAMP_FILE=" + c.file,
		"FAKETIME_CACHE_DURATION=" + clockEvery,
		// Spans are left alone, also those that threads wait: else Java hangs.
		"FAKETIME_DONT_FAKE_MONOTONIC=1",
		"FAKETIME_FORCE_MONOTONIC_FIX=0",
	}
}

// Set makes the clock differ from the machine's, by whole seconds. Nodes that run
// go by it a moment later.
func (c *Clock) Set(ahead time.Duration) error {
	next := c.file + ".next" // never half of it is read
	err := os.WriteFile(next, fmt.Appendf(nil, "%+d\n", int64(ahead.Seconds())), 0o644)
	if err == nil {
		err = os.Rename(next, c.file)
	}
	if err != nil {
		return fmt.Errorf("set kafka's clock: %w", err)
	}
	return nil
}
