package bench

import (
	"encoding/binary"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/harness"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// tally counts the arrivals of one load. It belongs to one goroutine, but for
// what says otherwise.
type tally struct {
	deck
	expected  int64            // records that are sent
	kept      int64            // those of them that are not cancelled
	seen      []uint64         // a bit for each record
	last      []int64          // of each lane: the latest record, counted from 1
	late      harness.Lateness // in microseconds: this machine's clock tells them
	delivered atomic.Int64     // different records; read by anyone
	perTarget []int64          // different records of each target

	duplicated, early, disordered int64
	// cancelled are records that were to be cancelled, and arrived.
	cancelled []int64
	// strange are records that were never sent.
	strange           int64
	firstAt, latestAt time.Time // arrivals of different records
	first             int64     // how many arrived at firstAt

	// measured says whether the lateness of a record counts. Set before the
	// first arrival, or from the goroutine of the tally.
	measured func(id int64, due time.Time) bool
}

func newTally(d deck, expected int64) *tally {
	return &tally{
		deck: d, expected: expected, kept: d.kept(expected),
		seen: make([]uint64, (expected+63)/64), last: make([]int64, d.lanes()),
		late: harness.NewLateness(time.Microsecond), perTarget: make([]int64, d.targets),
		measured: func(int64, time.Time) bool { return true },
	}
}

// complete reports whether every record has arrived that is not cancelled.
func (t *tally) complete() bool { return t.delivered.Load() == t.kept }

// observe counts an arrival.
func (t *tally) observe(rec *kgo.Record, now time.Time) {
	if len(rec.Value) < idSize {
		t.strange++
		return
	}
	id := int64(binary.BigEndian.Uint64(rec.Value))
	if id < 0 || id >= t.expected {
		t.strange++
		return
	}
	word, bit := id/64, uint64(1)<<(id%64)
	if t.seen[word]&bit != 0 {
		t.duplicated++
		return
	}
	t.seen[word] |= bit
	if t.cancels(id) {
		t.cancelled = append(t.cancelled, id)
		return
	}
	if t.firstAt.IsZero() {
		t.firstAt = now
	}
	if t.latestAt = now; now.Equal(t.firstAt) {
		t.first++
	}
	t.perTarget[t.target(id)]++
	if lane := t.lane(id); id+1 < t.last[lane] && t.exact == 0 { // exact ones come by their due times
		t.disordered++
	} else {
		t.last[lane] = id + 1
	}
	t.measure(id, rec, now)
	t.delivered.Add(1)
}

// measure notes how late a record is. The copy's has no delay and no such header.
func (t *tally) measure(id int64, rec *kgo.Record, now time.Time) {
	text, ok := record.Last(rec.Headers, levels.HeaderAccepted)
	if !ok {
		return
	}
	accepted, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		t.strange++
		return
	}
	due := time.UnixMilli(accepted).Add(t.delay(id))
	late := now.Sub(due)
	if late < 0 {
		t.early++
	}
	if t.measured(id, due) {
		t.late.Add(late)
	}
}

// result is what the tally says of a run.
func (t *tally) result(sent int64) Result {
	delivered := t.delivered.Load()
	r := Result{
		Sent: sent, Delivered: delivered, Lost: sent - (t.expected - t.kept) - delivered,
		Duplicated: t.duplicated, Early: t.early, Disordered: t.disordered,
	}
	// What came with the first delivery was written before the time began.
	if r.Seconds = t.latestAt.Sub(t.firstAt).Seconds(); r.Seconds > 0 {
		r.Rate = float64(delivered-t.first) / r.Seconds
	}
	return r
}

// healthy reports whether every record has arrived but for those of the first
// target.
func (t *tally) healthy() bool {
	missing := t.expected - t.delivered.Load()
	return missing <= t.share(0)-t.perTarget[0]
}

// share is how many records are for a target.
func (t *tally) share(target int) int64 {
	n := int64(0)
	for id := range t.expected {
		if t.target(id) == target {
			n++
		}
	}
	return n
}
