//go:build !linux || synctests

package consume

import "time"

// nap sleeps as exactly as Go's timers do: where there is no better one, and in
// virtual time.
type nap struct{}

func (*nap) sleep(d time.Duration) { time.Sleep(d) }

func (*nap) close() {}
