package levels

import "time"

// Level is one delay of a [Ladder]. The zero value stands for no wait at all.
type Level struct {
	// Number is the place in the ladder, counted from 1 as RocketMQ does. It
	// changes with the ladder: what is kept or sent carries the delay instead.
	Number int
	// Delay is how long a record waits on this level, in whole seconds.
	Delay time.Duration
}

// String is the canonical name, in the largest whole unit: "1m" and never
// "60s", but "90m"; "0s" for no wait.
func (l Level) String() string { return FormatDelay(l.Delay) }
