package levels

import "time"

// A record that asks for an exact time walks down the ladder: it waits on the longest
// level that fits, then on the longest that fits what remains, and so on. 45m is 30m, 10m
// and 5m. What remains is computed from the due time at every step, so lateness does not
// add up.

// Step returns the level that a record waits on next which is due after rest: the longest
// that is at most the first level longer than rest. So a 30m request that the router reads
// 5 ms late is still one step on 30m. A rest below zero gets the first level, where the
// record is due at once; a ladder without levels returns the zero Level.
func (l Ladder) Step(rest time.Duration) Level {
	if rest >= l.Last().Delay || l.Len() == 0 {
		return l.Last()
	}
	i := l.search(rest + l.First().Delay + 1)
	return l.levels[max(i-1, 0)]
}

// LastStep reports whether a record is delivered from the level it waits on, where rest is
// how much later than the end of that level it is due (below zero: earlier). It is the
// last step when less than the first level would remain: the record waits for the rest
// where it is. Otherwise it takes another [Ladder.Step] at the end of the level.
func (l Ladder) LastStep(rest time.Duration) bool { return rest < l.First().Delay }

// Leg is a level that a walk uses, and how many times in a row.
type Leg struct {
	Level Level
	Times int
}

// Walk returns the legs of a record that is due after d, when no step is late. It returns
// nil for a d of zero or less and for a ladder without levels.
func (l Ladder) Walk(d time.Duration) (legs []Leg) {
	if d <= 0 || l.Len() == 0 {
		return nil
	}
	last := l.Last()
	if n := int(d/last.Delay) - 1; n > 0 { // more than one level remains after them
		legs = append(legs, Leg{last, n})
		d -= time.Duration(n) * last.Delay
	}
	for {
		step := l.Step(d)
		if n := len(legs); n > 0 && legs[n-1].Level == step {
			legs[n-1].Times++
		} else {
			legs = append(legs, Leg{step, 1})
		}
		if d -= step.Delay; l.LastStep(d) {
			return legs
		}
	}
}

// Steps returns the number of steps of [Ladder.Walk].
func (l Ladder) Steps(d time.Duration) (n int) {
	for _, leg := range l.Walk(d) {
		n += leg.Times
	}
	return n
}
