package bench

import (
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// A share of the records that wait long enough is cancelled, on each level and key alike.
func TestDeckCancelsAShare(t *testing.T) {
	t.Parallel()
	const n = 100_000
	plain := deck{levels: []levels.Level{level(time.Second), level(5 * time.Second)}, keys: 10, targets: 1, cancel: 0.2}
	exact := deck{levels: []levels.Level{level(10 * time.Second)}, keys: 10, targets: 1, exact: 10 * time.Second, cancel: 0.2}
	for name, d := range map[string]deck{"levels": plain, "exact": exact} {
		cancelled, could, lanes := 0, 0, make(map[int]int)
		for id := range int64(n) {
			if d.delay(id) >= CancelLeast {
				could++
			}
			if !d.cancels(id) {
				continue
			}
			if d.delay(id) < CancelLeast {
				t.Fatalf("%s: record %d waits %v and is cancelled", name, id, d.delay(id))
			}
			cancelled++
			lanes[d.lane(id)]++
		}
		if share := float64(cancelled) / float64(could); math.Abs(share-0.2) > 0.01 || len(lanes) != 10 {
			t.Errorf("%s: %.3f are cancelled, of %d lanes; want 0.2 of 10", name, share, len(lanes))
		}
		if got := d.kept(n); got != int64(n-cancelled) {
			t.Errorf("%s: %d are kept, want %d", name, got, n-cancelled)
		}
		d.cancel = 0
		if d.kept(n) != n || d.cancels(1) {
			t.Errorf("%s: something is cancelled where nothing is to be", name)
		}
	}
}

// cancelDeck is one in which half of the records are cancelled.
var cancelDeck = deck{levels: []levels.Level{level(5 * time.Second)}, keys: 4, targets: 1, cancel: 0.5}

// Only the records of those that are cancelled have arrived or are lost, and the others count
// by themselves.
func TestTallyOfCancelled(t *testing.T) {
	t.Parallel()
	const n = 64
	arriving := func(but int64, cancelledToo bool) *tally {
		tally := newTally(cancelDeck, n)
		for id := range int64(n) {
			if id != but && (cancelledToo || !cancelDeck.cancels(id)) {
				tally.observe(arrival(id), accepted.Add(5*time.Second))
			}
		}
		return tally
	}
	kept, first := cancelDeck.kept(n), int64(0)
	for cancelDeck.cancels(first) {
		first++
	}
	if tally := arriving(-1, false); !tally.complete() || tally.cancelled != nil {
		t.Errorf("all that was not cancelled has arrived: complete %v, cancelled %v", tally.complete(), tally.cancelled)
	} else if diff := cmp.Diff(Result{Sent: n, Delivered: kept}, tally.result(n)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if tally := arriving(first, false); tally.complete() {
		t.Error("complete, and one is missing")
	} else if diff := cmp.Diff(Result{Sent: n, Delivered: kept - 1, Lost: 1}, tally.result(n)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if tally := arriving(-1, true); int64(len(tally.cancelled)) != n-kept || tally.late.TotalCount() != kept {
		t.Errorf("%d cancelled records arrived, and %d are measured; want %d and %d", len(tally.cancelled), tally.late.TotalCount(), n-kept, kept)
	}
}

// A cancel goes out a second after its record, once a broker has that, and counts where it was
// acknowledged a second before the record is due.
func TestCanceller(t *testing.T) {
	t.Parallel()
	m := newMaker(cancelDeck, idSize, func(int64) (string, []kgo.RecordHeader) { return "level", nil })
	c, sent := newCanceller(m, "inbox"), accepted
	var brokers []func()
	for id := range int64(32) {
		if accepted := c.sends(id, sent.Add(time.Duration(id)*time.Millisecond)); accepted != nil {
			brokers = append(brokers, accepted)
		}
	}
	if _, ok := c.due(sent.Add(time.Hour)); ok || c.idle() {
		t.Errorf("before a broker has any record: one is cancelled: %v, none is left: %v", ok, c.idle())
	}
	for _, accepted := range brokers {
		accepted()
	}
	if _, ok := c.due(sent.Add(cancelAfter - time.Millisecond)); ok {
		t.Error("a cancel is due too soon")
	}
	var arrived []int64
	for now := sent.Add(time.Minute); ; {
		s, ok := c.due(now)
		if !ok {
			break
		}
		rec, original := c.record(s.id), m.record(s.id)
		if want := original.Headers[len(original.Headers)-1]; rec.Topic != "inbox" || rec.Value != nil || string(rec.Key) != string(original.Key) ||
			want.Key != levels.HeaderID || rec.Headers[0].Key != levels.HeaderCancel || string(rec.Headers[0].Value) != string(want.Value) {
			t.Fatalf("%+v cancels %+v", rec, original)
		}
		ack := s.at.Add(5*time.Second - time.Second)
		if len(arrived) == 0 {
			ack = ack.Add(time.Nanosecond)
		}
		c.acknowledged(s, ack)
		arrived = append(arrived, s.id)
	}
	if !c.idle() || int64(len(arrived)) != 32-cancelDeck.kept(32) {
		t.Errorf("%d were cancelled, idle: %v", len(arrived), c.idle())
	}
	var r Result
	note := c.report(&r, turn{Delayd, LabelCancel, 3}, arrived)
	if want := int64(len(arrived) - 1); r.Cancelled != want || r.CancelledDelivered != want {
		t.Errorf("%d cancelled, %d delivered all the same; want %d of both, as the first cancel was late", r.Cancelled, r.CancelledDelivered, want)
	}
	if !strings.HasPrefix(note, "In round 3 1 cancel acknowledged less than 1s before ") {
		t.Errorf("note %q", note)
	}
}

func TestPendingCancels(t *testing.T) {
	t.Parallel()
	read := func(page string) (int64, error) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, page) }))
		defer server.Close()
		return pendingCancels(t.Context(), strings.TrimPrefix(server.URL, "http://"))
	}
	for _, page := range []string{
		"# HELP delayd_cancels_pending x\n# TYPE delayd_cancels_pending gauge\ndelayd_cancels_pending 1e+06\n",
		"delayd_cancels_pending_other 3\ndelayd_cancels_pending{prefix=\"delay\"} 1000000\n",
	} {
		if n, err := read(page); n != 1e6 || err != nil {
			t.Errorf("%q: %d, %v", page, n, err)
		}
	}
	if _, err := read("delayd_other 1\n"); err == nil {
		t.Error("no error without the gauge")
	}
}
