//go:build !linux || synctests

package consume

import "time"

// sleeper sleeps as exactly as Go's timers do: where there is no better one, and in
// virtual time.
type sleeper struct{}

func (*sleeper) sleep(d time.Duration) { time.Sleep(d) }

func (*sleeper) close() {}
