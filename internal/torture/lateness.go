package main

import (
	"time"

	"github.com/delayd-io/delayd/internal/harness"
)

// slot is the resolution of what is known of lateness over time.
const slot = 50 * time.Millisecond

// lateness is how long after they were due records arrived, the first time.
type lateness struct {
	all   harness.Lateness // in milliseconds, like the brokers' timestamps
	worst []time.Duration  // by slot of arrival; absent is negative
}

func newLateness() *lateness { return &lateness{all: harness.NewLateness(time.Millisecond)} }

// absent is the lateness of a slot in which nothing arrived.
const absent = time.Duration(-1)

// add counts an arrival at a time since the run began.
func (l *lateness) add(at, late time.Duration) {
	late = max(late, 0)
	l.all.Add(late)
	i := int(at / slot)
	for len(l.worst) <= i {
		l.worst = append(l.worst, absent)
	}
	l.worst[i] = max(l.worst[i], late)
}

func (l *lateness) percentile(p float64) time.Duration {
	return time.Duration(l.all.ValueAtPercentile(p)) * time.Millisecond
}

func (l *lateness) max() time.Duration { return time.Duration(l.all.Max()) * time.Millisecond }

// worstFrom is how late what arrived from a time on was at worst, of the worst by slot.
func worstFrom(worst []time.Duration, from time.Duration) (most time.Duration) {
	for _, late := range worst[min(int(from/slot), len(worst)):] {
		most = max(most, late)
	}
	return most
}

// recovered is how long after the end of a fault records were still more than a
// limit late: 0 where none was. Each fault answers for what arrives until the next
// begins. faults are in their order.
func (l *lateness) recovered(faults []fault, limit time.Duration) time.Duration {
	longest := time.Duration(0)
	for i, f := range faults {
		until := time.Duration(len(l.worst)) * slot
		if i+1 < len(faults) {
			until = min(until, faults[i+1].From)
		}
		for at := until; at > f.To; at -= slot {
			if n := int((at - 1) / slot); n < len(l.worst) && l.worst[n] > limit {
				longest = max(longest, at-f.To)
				break
			}
		}
	}
	return longest
}
