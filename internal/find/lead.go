package find

import (
	"time"

	"github.com/delayd-io/delayd/levels"
)

const (
	// early is how much earlier than the acceptance a broker may stamp the next copy of a
	// record: the clocks of two brokers differ.
	early = 5 * time.Second
	// soon is how much later than expected a copy is looked for first, and late how much
	// later then. What is later is found only by reading all that waits.
	soon, late = 2 * time.Second, time.Minute
)

// window is a span of time in which a record got to a topic. Zero times bound nothing.
type window struct{ from, to time.Time }

// around is the window in which what is expected between two times is looked for.
func around(from, to time.Time, later time.Duration) window {
	return window{from.Add(-early), to.Add(later)}
}

// lead is what is known of a record, or guessed. Zero values are not known.
type lead struct {
	// from and to bound when it was accepted, or last moved on.
	from, to time.Time
	due      time.Time
	exact    bool
	target   string
	// partition is the one of the target that it asks for.
	partition int32
	// key is known where keyed is; nil is a null key.
	key   []byte
	keyed bool
	// first is the level that the record was written to straight, 0 where the router chose.
	first time.Duration
}

// level is a level topic's length.
type level struct {
	topic string
	delay time.Duration
}

// walked returns when a record that walks to its due time got to the step that it is on
// now, if no step is late. first is the level that it was written to straight, 0 where the
// router chose it.
func walked(ladder levels.Ladder, accepted, due, now time.Time, first time.Duration) time.Time {
	at := accepted
	if end := at.Add(first); first > 0 {
		if end.After(now) {
			return at
		}
		at = end
	}
	for _, leg := range ladder.Walk(due.Sub(at)) {
		length := leg.Level.Delay
		if done := int(max(0, now.Sub(at)) / length); done < leg.Times {
			return at.Add(time.Duration(done) * length)
		}
		at = at.Add(time.Duration(leg.Times) * length)
	}
	return at
}

// laps returns when a record whose due time is not known got to the longest level last,
// if it has walked there since it was accepted. ok is false where it has not been there
// for its whole length.
func laps(longest time.Duration, accepted, now time.Time) (at time.Time, ok bool) {
	if longest <= 0 || now.Sub(accepted) < longest {
		return at, false
	}
	return accepted.Add(now.Sub(accepted) / longest * longest), true
}

// steps returns which step of its walk a record is on that got to its level at one time
// and leaves it at another, and how many there are if none is late; 0 and 0 where that is
// not known.
func steps(ladder levels.Ladder, accepted, due, appended, end time.Time) (step, all int) {
	if ladder.Len() == 0 || !due.After(accepted) {
		return 0, 0
	}
	at := accepted
	for _, leg := range ladder.Walk(due.Sub(accepted)) {
		// A step begins a little later than the one before ends: half a level is far from both.
		done := min(leg.Times, int((appended.Sub(at)+ladder.First().Delay/2)/leg.Level.Delay))
		if step += done; done < leg.Times {
			break
		}
		at = at.Add(time.Duration(leg.Times) * leg.Level.Delay)
	}
	step++
	all = step
	if end.Before(due) {
		all += ladder.Steps(due.Sub(end))
	}
	return step, all
}
