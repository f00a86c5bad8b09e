package find

import (
	"time"

	"github.com/delayd-io/delayd/levels"
)

// widths are how much earlier and later than expected the search for a copy of a record
// goes, one after the other: what is not there in the last one is found only by reading all
// that waits. Earlier, because the clocks of two brokers differ. The first ones are narrow
// so that little is read of a busy topic.
var widths = [...]struct{ early, late time.Duration }{
	{100 * time.Millisecond, 250 * time.Millisecond},
	{time.Second, 2 * time.Second},
	{early, time.Minute},
}

// early is the most by which the clocks of brokers are taken to differ.
const early = 5 * time.Second

// window is a span of time in which a record got to a topic. Zero times bound nothing.
type window struct{ from, to time.Time }

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
	legs := ladder.Walk(due.Sub(at))
	for i, leg := range legs {
		length := leg.Level.Delay
		done := int(max(0, now.Sub(at)) / length)
		if i == len(legs)-1 {
			done = min(done, leg.Times-1) // on the last level it waits for the rest
		}
		if done < leg.Times {
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

// steps returns which step of its walk a record is on, by when it reached its level and
// when it leaves. It also returns how many steps there are if none is late; 0 and 0 where
// that is not known.
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
