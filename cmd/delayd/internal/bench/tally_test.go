package bench

import (
	"encoding/binary"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// accepted is when a broker took all records of these tests.
var accepted = time.UnixMilli(1_700_000_000_000)

func arrival(id int64) *kgo.Record {
	return &kgo.Record{
		Value:   binary.BigEndian.AppendUint64(nil, uint64(id)),
		Headers: []kgo.RecordHeader{{Key: levels.HeaderAccepted, Value: strconv.AppendInt(nil, accepted.UnixMilli(), 10)}},
	}
}

// With two levels and two keys, every fourth record has the same of both.
func newTestTally(expected int64) *tally {
	return newTally(deck{levels: []levels.Level{level(time.Second), level(2 * time.Second)}, keys: 2, targets: 1}, expected)
}

func TestTallyCounts(t *testing.T) {
	t.Parallel()
	due := accepted.Add(2 * time.Second)
	for name, tc := range map[string]struct {
		arrive []int64
		want   Result
	}{
		"all in order":                       {[]int64{0, 1, 2, 3, 4, 5, 6, 7}, Result{Delivered: 8}},
		"none":                               {nil, Result{Lost: 8}},
		"one lost":                           {[]int64{0, 1, 2, 4, 5, 6, 7}, Result{Delivered: 7, Lost: 1}},
		"one twice":                          {[]int64{0, 1, 2, 3, 0, 4, 5, 6, 7}, Result{Delivered: 8, Duplicated: 1}},
		"all again after a kill":             {[]int64{0, 4, 1, 5, 0, 4, 1, 5, 2, 3, 6, 7}, Result{Delivered: 8, Duplicated: 4}},
		"one behind a later":                 {[]int64{4, 0, 1, 2, 3, 5, 6, 7}, Result{Delivered: 8, Disordered: 1}},
		"behind a later duplicate":           {[]int64{4, 4, 0, 1, 2, 3, 5, 6, 7}, Result{Delivered: 8, Duplicated: 1, Disordered: 1}},
		"keys and levels have an order each": {[]int64{7, 6, 5, 4, 3, 2, 1, 0}, Result{Delivered: 8, Disordered: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tally := newTestTally(8)
			for _, id := range tc.arrive {
				tally.observe(arrival(id), due)
			}
			tc.want.Sent = 8
			if diff := cmp.Diff(tc.want, tally.result(8)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if tally.complete() != (tc.want.Lost == 0) {
				t.Errorf("complete: %v", tally.complete())
			}
		})
	}
}

// Lateness counts from acceptance and the record's own level, and not from what
// the service says was due.
func TestTallyLateness(t *testing.T) {
	t.Parallel()
	tally := newTestTally(100)
	tally.measured = func(id int64, due time.Time) bool {
		if want := accepted.Add(time.Duration(1+id%2) * time.Second); !due.Equal(want) {
			t.Errorf("record %d is due at %v, want %v", id, due, want)
		}
		return id >= 2
	}
	tally.observe(arrival(0), accepted.Add(time.Hour)) // not measured
	tally.observe(arrival(2), accepted.Add(time.Second+3*time.Millisecond))
	tally.observe(arrival(3), accepted.Add(2*time.Second+5*time.Millisecond))
	tally.observe(arrival(5), accepted.Add(2*time.Second-time.Microsecond)) // early
	late := newLate(tally.late.Histogram)
	if late.Histogram.TotalCount() != 3 || late.Max != 5.003 || late.P50 != 3.001 { // three digits are kept
		t.Errorf("%d records, median %v, latest %v", late.Histogram.TotalCount(), late.P50, late.Max)
	}
	if tally.early != 1 {
		t.Errorf("%d early", tally.early)
	}
}

// What came with the first delivery says nothing of how fast the rest did.
func TestTallyRate(t *testing.T) {
	t.Parallel()
	tally := newTestTally(8)
	start := accepted.Add(time.Minute)
	for id := range int64(8) {
		at := start
		if id >= 4 {
			at = start.Add(2 * time.Second)
		}
		tally.observe(arrival(id), at)
	}
	if r := tally.result(8); r.Seconds != 2 || r.Rate != 2 {
		t.Errorf("%v records a second in %v seconds", r.Rate, r.Seconds)
	}
}

func TestTallyOfStrangeRecords(t *testing.T) {
	t.Parallel()
	tally := newTestTally(8)
	for _, rec := range []*kgo.Record{
		{}, {Value: []byte("hello")}, arrival(8), arrival(-1),
		{Value: arrival(0).Value, Headers: []kgo.RecordHeader{{Key: levels.HeaderAccepted, Value: []byte("noon")}}},
	} {
		tally.observe(rec, accepted)
	}
	if tally.strange != 5 {
		t.Errorf("%d of 5", tally.strange)
	}
}

func TestTallyOfTargets(t *testing.T) {
	t.Parallel()
	d := deck{levels: []levels.Level{level(time.Second)}, keys: 8, targets: 4}
	tally := newTally(d, 16)
	for id := range int64(16) {
		if d.target(id) == 0 {
			continue
		}
		if tally.healthy() {
			t.Fatalf("record %d of a healthy target has not arrived", id)
		}
		tally.observe(arrival(id), accepted.Add(time.Hour))
	}
	if !tally.healthy() || tally.complete() {
		t.Errorf("with the first target's records missing: healthy %v, complete %v", tally.healthy(), tally.complete())
	}
}

func TestFloodMeasuresWhatCameDueBesideIt(t *testing.T) {
	t.Parallel()
	f := &flood{tally: newTally(deck{levels: []levels.Level{level(time.Second)}, keys: 1, targets: 1}, 2)}
	at := func(s int) time.Time { return accepted.Add(time.Duration(s) * time.Second) }
	expect := func(from, due time.Time, want bool) {
		t.Helper()
		if got := f.beside(from, due); got != want {
			t.Errorf("from %v, due %v: %v", from, due, got)
		}
	}
	expect(time.Time{}, at(5), false) // the service is not ready
	expect(at(5), at(4), false)
	f.tally.observe(arrival(0), at(6))
	expect(at(5), at(5), true)
	expect(at(5), at(50), true) // the flood goes on
	f.tally.observe(arrival(1), at(9))
	expect(at(5), at(8), true) // whenever it arrives
	expect(at(5), at(10), false)
}
