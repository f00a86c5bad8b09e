package lane

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// dueIn is a Handler whose records are due a span after they were first seen, or
// appended.
type dueIn time.Duration

func (d dueIn) Due(rec *kgo.Record, seen time.Time) time.Time {
	if rec.Attrs.TimestampType() == logAppendTime {
		seen = rec.Timestamp
	}
	return seen.Add(time.Duration(d))
}
func (dueIn) Handle([]*Work) {}

func newTestLane() *lane {
	c := &Consumer{some: make(chan struct{}, 1), full: make(chan struct{}, 1)}
	return &lane{
		c: c, topic: &Topic{Name: "t", Handler: dueIn(time.Hour), Wait: time.Hour},
		pool: newPool(DefaultBudget, false), wake: make(chan struct{}, 1), halt: context.Background(),
	}
}

func record(offset int64, at time.Time, attrs kgo.RecordAttrsOpts) *kgo.Record {
	return &kgo.Record{Offset: offset, Timestamp: at, Attrs: kgo.NewRecordAttrs(attrs)}
}

var (
	created  = kgo.RecordAttrsOpts{}
	marker   = kgo.RecordAttrsOpts{Control: true}
	appended = kgo.RecordAttrsOpts{TimestampType: logAppendTime}
)

func fetched(recs ...*kgo.Record) kgo.FetchPartition {
	return kgo.FetchPartition{Records: recs, HighWatermark: recs[len(recs)-1].Offset + 1}
}

// A transaction's marker is never seen: as a sample it would be year 1, and after a
// restart the records in front of it would be due at once.
func TestMarksSkipMarkers(t *testing.T) {
	l := newTestLane()
	var recs []*kgo.Record
	for i := range int64(20) {
		recs = append(recs, record(i, epoch, created))
	}
	recs = append(recs, record(20, epoch, marker))
	l.push(fetched(recs...), epoch)
	meta := l.prefix().meta

	next := newTestLane() // after a restart
	next.marks = parseMarks(meta)
	next.push(fetched(recs...), seconds(60))
	for _, w := range next.ring.works {
		if w.state == waiting && w.Due.Before(seconds(3600)) {
			t.Errorf("offset %d is due at %v, want not before %v; marks %q", w.offset, w.Due, seconds(3600), meta)
		}
	}
}

// All lanes together keep to the budget, however many are due.
func TestShareKeepsTheBudget(t *testing.T) {
	for _, c := range []struct {
		lanes int
		apart time.Duration
	}{
		{2, time.Millisecond},
		{4, 0},                 // the inbox, or parked: everything is due at the zero time
		{72, time.Millisecond}, // all levels after an outage
	} {
		t.Run(fmt.Sprintf("%d lanes, %v apart", c.lanes, c.apart), func(t *testing.T) {
			lanes := make([]reach, c.lanes)
			for i := range lanes {
				due := epoch.Add(time.Duration(i) * c.apart)
				lanes[i] = reach{lane: new(lane), next: due, last: due}
			}
			// Beyond the budget there may be what lanes keep of their own, and for
			// each a fetch that was under way.
			bound := int64(DefaultBudget + DefaultBudget/2 + c.lanes*fetchMaxPartitionBytes)
			var total int64
			for {
				fetch, _ := share(DefaultBudget, lanes, epoch, true)
				if len(fetch) == 0 {
					break
				}
				grows := make(map[*lane]bool)
				for _, l := range fetch {
					grows[l] = true
				}
				for i := range lanes {
					lanes[i].paused = !grows[lanes[i].lane]
					if grows[lanes[i].lane] {
						lanes[i].bytes += fetchMaxPartitionBytes
						total += fetchMaxPartitionBytes
					}
				}
			}
			t.Logf("%d MiB are held, the budget is %d MiB", total>>20, DefaultBudget>>20)
			if total > bound {
				t.Errorf("%d MiB are held, want at most %d MiB", total>>20, bound>>20)
			}
		})
	}
}

// The keys that an early record has the ring look at are forgotten again: on a busy
// lane something always waits.
func TestRingForgetsKeys(t *testing.T) {
	var r ring
	push := func(i int, due time.Time) {
		r.push(&Work{Record: &kgo.Record{Key: fmt.Append(nil, i)}, Due: due, offset: int64(i)})
	}
	push(0, seconds(0))
	push(1, seconds(-1)) // routed late
	for i := 2; i < 100_000; i++ {
		push(i, seconds(i))
		w := r.peek(true)
		r.take(w)
		w.state, w.Record = done, nil
		r.drop(r.handled())
	}
	if waits := len(r.works); len(r.latest) > 100*waits {
		t.Errorf("%d keys are remembered while %d works wait", len(r.latest), waits)
	}
}

// What is fetched while a commit is under way is news for the next one.
func TestMarksOfAFetchDuringACommit(t *testing.T) {
	l := newTestLane()
	l.push(fetched(record(0, epoch, created)), epoch)
	p := l.prefix()
	l.push(fetched(record(1, epoch, created)), seconds(1)) // the commit is under way
	l.commit(p)
	if !l.news() {
		t.Errorf("committed %q, and there is no news although offset 1 was first seen since", p.meta)
	}
}

// A transaction's records become readable when it ends: how long it was open is
// no skew.
func TestSkewTransactions(t *testing.T) {
	l := newTestLane()
	now := epoch
	for i := int64(0); i < 4*skewSamples; i += 2 {
		now = now.Add(10 * time.Second)
		open := now.Add(-3 * time.Second)
		l.push(fetched(record(i, open, appended), record(i+1, now, kgo.RecordAttrsOpts{TimestampType: logAppendTime, Control: true})), now)
	}
	if got := l.skew.correction(); got != 0 {
		t.Errorf("corrected by %v, and the clocks agree", got)
	}
}

// What was measured before a long pause is forgotten: the clock may have been set
// right since.
func TestSkewAgesOutOverAPause(t *testing.T) {
	o := observer{now: epoch, ahead: -time.Minute}
	o.fetches(skewSamples, 0)
	o.ahead = 0
	o.now = o.now.Add(time.Hour)
	o.fetches(skewSamples, 0)
	if got := o.skew.correction(); got != 0 {
		t.Errorf("corrected by %v, an hour after the clock was set right", got)
	}
}
