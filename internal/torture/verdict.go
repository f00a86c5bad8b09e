package main

import (
	"fmt"

	"github.com/delayd-io/delayd/levels"
)

// verdict counts what became of the records of a run.
type verdict struct {
	Sent    int64 `json:"sent"`    // acknowledged, and not aborted
	Maybe   int64 `json:"maybe"`   // of which producers do not know
	Aborted int64 `json:"aborted"` // in aborted transactions
	Arrived int64 `json:"arrived"` // different ones
	Letters int64 `json:"letters"` // dead letters that were to be expected
	Resent  int64 `json:"resent"`  // that producers have written more than once
	// Forgiven came early by less than a clock had just been set.
	Forgiven int64 `json:"forgiven"`

	Lost        int64 `json:"lost"`
	Parked      int64 `json:"parked"`  // not arrived: they stand on the parked topic
	Pending     int64 `json:"pending"` // not arrived: they stand on the inbox or a level
	Twice       int64 `json:"twice"`   // arrivals beyond the first
	Early       int64 `json:"early"`
	Reordered   int64 `json:"reordered"`
	Altered     int64 `json:"altered"`
	Misplaced   int64 `json:"misplaced"`   // on the wrong topic or partition
	Mislabelled int64 `json:"mislabelled"` // their delay headers are not true
	Renamed     int64 `json:"renamed"`     // duplicates with another delay-id
	Unaborted   int64 `json:"unaborted"`   // delivered though aborted
	Dead        int64 `json:"dead"`        // dead letters that nobody expected
	Strange     int64 `json:"strange"`     // records that nobody has sent

	// Examples are some of what is wrong, in words.
	Examples []string `json:"examples,omitempty"`
}

// mostExamples is how many examples of each kind are kept.
const mostExamples = 5

// note counts something and keeps the first of its kind as examples.
func (v *verdict) note(count *int64, format string, args ...any) {
	*count++
	if *count <= mostExamples {
		v.Examples = append(v.Examples, fmt.Sprintf(format, args...))
	}
}

// verdict goes through all records, and says what became of them. It is for the
// end of a run, when nothing is expected to arrive any more.
func (h *history) verdict() verdict {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.counts
	v.Examples = append([]string(nil), v.Examples...)
	for id := range h.entries {
		h.judge(&v, int64(id), &h.entries[id])
	}
	for id, l := range h.died {
		h.judgeLetter(&v, id, l)
	}
	return v
}

// judge says what can only be known at the end.
func (h *history) judge(v *verdict, id int64, e *entry) {
	switch {
	case e.outcome == acked && e.arrivals == 0 && !e.lost && h.standing[id] != "":
		count := &v.Pending
		if h.standing[id] == h.mix.names.Parked() {
			count = &v.Parked
		}
		v.note(count, "%d still stands on %s", id, h.standing[id])
	case e.outcome == acked && e.arrivals == 0 && !e.lost:
		c := h.mix.recipe(id)
		v.note(&v.Lost, "%d is lost: accepted after %d ms, key %d of producer %d, %s, %s, to %s",
			id, e.accepted, c.key, c.producer, c.way, c.waits(), h.mix.target(&c))
	case e.outcome == aborted && e.arrivals > 0:
		v.note(&v.Unaborted, "%d arrived, and its transaction was aborted", id)
	case e.outcome == unsent && e.arrivals > 0:
		v.note(&v.Strange, "%d arrived, and nobody has sent it", id)
	}
	if e.accepted == 0 || e.said == 0 || e.resent {
		return
	}
	c := h.mix.recipe(id)
	if e.said != e.accepted {
		v.note(&v.Mislabelled, "%d says that it was accepted after %d ms, and was after %d ms", id, e.said, e.accepted)
	}
	if c.ask == delayUntil && e.saidUntil != 0 && e.saidUntil != e.until {
		v.note(&v.Mislabelled, "%d says that it was to be delivered after %d ms, and was sent for %d ms", id, e.saidUntil, e.until)
	}
	if e.appended < h.promised(&c, e) && e.said != e.accepted {
		v.note(&v.Early, "%d was accepted after %d ms and came after %d ms, sooner than %s", id, e.accepted, e.appended, c.waits())
	}
	want, what := e.origin, "where it was accepted"
	if c.ownID {
		want, what = hash(h.mix.ownID(&c)), "what its producer set"
	}
	if e.id != want {
		v.note(&v.Renamed, "the %s of %d is not %s", levels.HeaderID, id, what)
	}
}

// promised is before when a record may not arrive, as entries keep it.
func (h *history) promised(c *recipe, e *entry) int32 {
	if c.ask != byLevel {
		return h.ms(c.exactDue(h.unixMilli(e.accepted), h.unixMilli(e.until)))
	}
	return e.accepted + int32(c.level.Delay.Milliseconds())
}
