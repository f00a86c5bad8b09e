package record

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// CutMs is added to a due time that counts from an acceptance: Kafka cuts the time of
// acceptance to whole milliseconds, so that without it a record could be up to one early.
const CutMs = 1

// Asked is what a record asks for: the header, one of delay-level, delay-for and
// delay-until, and its value. The zero value is a record that asks for nothing.
type Asked struct {
	Key   string
	Value []byte
}

// ReadAsked is [Headers.Asked] of headers of which nothing else is asked.
func ReadAsked(all []kgo.RecordHeader) (Asked, *levels.Refusal) {
	return Read(all).Asked()
}

// Asked returns what the record asks for. A record that has more than one of the three
// headers is refused.
func (h *Headers) Asked() (Asked, *levels.Refusal) {
	first, last := h.requests()
	if last == 0 {
		return Asked{}, nil
	}
	a, b := h.all[first-1], h.all[last-1]
	if first != last {
		return Asked{}, &levels.Refusal{Code: levels.BadTime, Detail: fmt.Sprintf(
			"the record has %s %s and %s %s; write one of %s, %s and %s",
			a.Key, Quote(a.Value), b.Key, Quote(b.Value), levels.HeaderLevel, levels.HeaderFor, levels.HeaderUntil)}
	}
	return Asked(a), nil
}

// requested returns the value of the request. Where there are several it is that of the last.
func (h *Headers) requested() (value []byte, given bool) {
	_, last := h.requests()
	if last == 0 {
		return nil, false
	}
	return h.all[last-1].Value, true
}

// requests returns one more than the positions of the first and the last request: they are
// the same where there is one, and 0 where there is none.
func (h *Headers) requests() (first, last int32) {
	first, last = h.at[keyLevel], h.at[keyLevel]
	for _, at := range [...]int32{h.at[keyFor], h.at[keyUntil]} {
		if at != 0 && (first == 0 || at < first) {
			first = at
		}
		last = max(last, at)
	}
	return first, last
}

// asksExact reports whether the record has a header that asks for an exact time.
func (h *Headers) asksExact() bool { return h.at[keyFor] != 0 || h.at[keyUntil] != 0 }

// Exact reports whether it asks for an exact time.
func (a Asked) Exact() bool { return a.Key == levels.HeaderFor || a.Key == levels.HeaderUntil }

// Due returns the exact time that is asked for, in Unix milliseconds, of a record that was
// accepted at acceptedMs. most bounds how long after that it may be. A zero delay is due
// when it was accepted.
func (a Asked) Due(acceptedMs int64, most time.Duration) (dueMs int64, r *levels.Refusal) {
	if a.Key == levels.HeaderUntil {
		at, err := levels.ParseUntil(string(a.Value))
		if err != nil {
			return 0, &levels.Refusal{Code: levels.BadTime, Detail: err.Error()}
		}
		dueMs = at.UnixMilli()
		if dueMs-acceptedMs > most.Milliseconds() {
			return 0, &levels.Refusal{Code: levels.OverMax, Detail: fmt.Sprintf(
				"%s %s is more than %s ahead, the most that an exact time may be; ask for an earlier one, or raise --max-delay",
				a.Key, Quote(a.Value), levels.FormatDelay(most))}
		}
		return dueMs, nil
	}
	d, err := levels.ParseFor(string(a.Value))
	if err != nil {
		return 0, &levels.Refusal{Code: levels.BadTime, Detail: err.Error()}
	}
	return a.After(acceptedMs, d, most)
}

// After returns when a record is due that asks for the exact delay d.
func (a Asked) After(acceptedMs int64, d, most time.Duration) (dueMs int64, r *levels.Refusal) {
	switch {
	case d > most:
		return 0, &levels.Refusal{Code: levels.OverMax, Detail: fmt.Sprintf(
			"%s %s is above %s, the longest exact delay; ask for at most that, or raise --max-delay",
			a.Key, Quote(a.Value), levels.FormatDelay(most))}
	case d == 0:
		return acceptedMs, nil
	}
	return acceptedMs + ceilMs(d) + CutMs, nil
}

// ceilMs is a delay in whole milliseconds, rounded up.
func ceilMs(d time.Duration) int64 {
	ms := d.Milliseconds()
	if d%time.Millisecond > 0 {
		ms++
	}
	return ms
}
