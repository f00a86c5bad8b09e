package consume

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

func (d dueIn) Due(rec *kgo.Record, seen time.Time) (at time.Time, free bool) {
	if rec.Attrs.TimestampType() == logAppendTime {
		seen = rec.Timestamp
	}
	return seen.Add(time.Duration(d)), false
}
func (dueIn) Handle([]*Work) {}

func newTestLane() *lane {
	c := &Consumer{asked: context.Background(), some: make(chan struct{}, 1), full: make(chan struct{}, 1), prober: prober{soon: make(chan struct{}, 1)}}
	return &lane{
		c: c, topic: &Topic{Name: "t", Handler: dueIn(time.Hour), Wait: time.Hour},
		usage: usage{pool: newPool(DefaultBudget, false)}, wake: make(chan struct{}, 1), halt: context.Background(),
		resign: func(error) {},
	}
}

// logAppendTime is the timestamp type of records that the broker stamped.
const logAppendTime = 1

func newRecord(offset int64, at time.Time, attrs kgo.RecordAttrsOpts) *kgo.Record {
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
		recs = append(recs, newRecord(i, epoch, created))
	}
	recs = append(recs, newRecord(20, epoch, marker))
	l.push(fetched(recs...), epoch)
	meta := l.prefix().meta

	next := newTestLane() // after a restart
	next.marks = parseMarks(meta)
	next.push(fetched(recs...), seconds(60))
	for _, w := range next.queue.works {
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

// The keys that an early record has the queue look at are forgotten again: on a busy
// lane something always waits.
func TestDueQueueForgetsKeys(t *testing.T) {
	var q dueQueue
	push := func(i int, due time.Time) {
		q.push(&Work{Record: &kgo.Record{Key: fmt.Append(nil, i)}, Due: due, offset: int64(i)})
	}
	push(0, seconds(0))
	push(1, seconds(-1)) // routed late
	for i := 2; i < 100_000; i++ {
		push(i, seconds(i))
		w := q.peek(true)
		q.take(w)
		w.state, w.Record = done, nil
		q.drop(q.handled())
	}
	if waits := len(q.works); len(q.latest) > 100*waits {
		t.Errorf("%d keys are remembered while %d works wait", len(q.latest), waits)
	}
}

// What is fetched while a commit is under way is news for the next one.
func TestMarksOfAFetchDuringACommit(t *testing.T) {
	l := newTestLane()
	l.push(fetched(newRecord(0, epoch, created)), epoch)
	p := l.prefix()
	l.push(fetched(newRecord(1, epoch, created)), seconds(1)) // the commit is under way
	l.commit(p)
	if !l.news() {
		t.Errorf("committed %q, and there is no news although offset 1 was first seen since", p.meta)
	}
}

// A transaction's records become readable when it ends: how long it was open says
// nothing of the clock.
func TestClockTransactions(t *testing.T) {
	l := newTestLane()
	l.led(new(clock), 0)
	now := epoch
	for i := int64(0); i < 40; i += 2 {
		now = now.Add(10 * time.Second)
		open := now.Add(-3 * time.Second)
		l.push(fetched(newRecord(i, open, appended), newRecord(i+1, now, kgo.RecordAttrsOpts{TimestampType: logAppendTime, Control: true})), now)
	}
	if got := l.now(now); !got.Equal(now) {
		t.Errorf("the broker's clock is taken to be %v off, and the clocks agree", got.Sub(now))
	}
}

// A former leader's stamps say nothing of the clock of the present one. They count
// while nothing else is known.
func TestClockOfAFormerLeader(t *testing.T) {
	l := newTestLane()
	l.led(new(clock), 2)
	old := newRecord(0, seconds(-60), appended)
	old.LeaderEpoch = 1
	l.push(fetched(old), epoch)
	if r := l.clock.Load().known.Load(); r != nil {
		t.Errorf("the clock is taken to show %v", r.stamp)
	}
	if got := l.now(epoch); !got.Equal(seconds(-60)) {
		t.Errorf("now is %v, want no more than the record proves", got)
	}
	l.clock.Load().probed(seconds(-90), epoch, epoch)
	if got := l.now(epoch); !got.Equal(seconds(-90)) {
		t.Errorf("now is %v, and the leader's clock shows %v", got, seconds(-90))
	}
}

// A broker whose clock cannot be asked for counts as being as far behind as any other.
func TestClockOfTheLeastBroker(t *testing.T) {
	l := newTestLane()
	l.led(l.c.clocks.broker(1), 0)
	l.push(fetched(newRecord(0, seconds(-3600), appended)), epoch)
	if got := l.now(epoch); !got.Equal(seconds(-3600)) {
		t.Errorf("now is %v, want no more than the record proves", got)
	}
	l.c.clocks.broker(2).probed(seconds(-1), epoch, epoch)
	l.c.clocks.broker(3).probed(seconds(-2), epoch, epoch)
	if got := l.now(epoch); !got.Equal(seconds(-2)) {
		t.Errorf("now is %v, want that of the broker furthest behind", got)
	}
	l.clock.Load().probed(seconds(-5), epoch, epoch)
	if got := l.now(epoch); !got.Equal(seconds(-5)) {
		t.Errorf("now is %v, and the leader says %v", got, seconds(-5))
	}
}

// Without a broker's stamps and time, this host's clock counts.
func TestClockOfProducers(t *testing.T) {
	l := newTestLane()
	l.led(new(clock), 0)
	l.push(fetched(newRecord(0, seconds(-3600), created)), epoch)
	if got := l.now(epoch); !got.Equal(epoch) {
		t.Errorf("now is %v", got)
	}
	l.clock.Load().probed(seconds(30), epoch, epoch)
	l.push(fetched(newRecord(1, seconds(-3600), created)), epoch)
	if got, want := l.queue.works[1].seen, seconds(30); !got.Equal(want) {
		t.Errorf("first seen at %v, want %v: marks go by the broker's clock", got, want)
	}
}

// The budget is shared by when records are due here, however far the clocks are apart.
func TestReachGoesByThisHost(t *testing.T) {
	l := newTestLane()
	l.led(new(clock), 0)
	now := time.Now() // nothing here goes by the real time
	shows := time.UnixMilli(now.Add(-2 * time.Hour).UnixMilli())
	l.push(fetched(newRecord(0, shows, appended)), now)
	r := l.reach()
	for _, at := range []time.Time{r.next, r.last} {
		if off := at.Sub(now.Add(time.Hour)); off.Abs() > time.Minute {
			t.Errorf("due at %v, want an hour from now, %v", at, now)
		}
	}
}

// What a probe leaves on its topic is passed over, and committed.
func TestProbesMarkIsPassedOver(t *testing.T) {
	l := newTestLane()
	l.topic.Aside = true
	mark := newRecord(0, epoch, appended)
	mark.Headers = []kgo.RecordHeader{{Key: "delay-hop-clock"}}
	forged := newRecord(1, epoch, appended)
	forged.Headers, forged.Value = mark.Headers, []byte("x")
	l.push(fetched(mark, forged), epoch)
	if w := l.queue.works; w[0].state != done || w[1].state != waiting {
		t.Errorf("the mark is done: %t, a record with a value is not: %t", w[0].state == done, w[1].state == waiting)
	}
	if !l.news() {
		t.Error("there is nothing to commit")
	}
}

// TestDropGivesBackWhatIsHeldBack: what a lane that is held back drops no longer counts as
// held back in its pool.
func TestDropGivesBackWhatIsHeldBack(t *testing.T) {
	l := newTestLane()
	l.push(fetched(newRecord(0, epoch, created), newRecord(1, epoch, created)), epoch)
	l.hold(true, 0, make(map[string][]int32))
	if held := l.usage.pool.held.Load(); held == 0 || held != l.usage.bytes {
		t.Fatalf("%d bytes are held back, want the lane's %d", held, l.usage.bytes)
	}
	l.drop(2)
	if held := l.usage.pool.held.Load(); held != 0 || l.usage.bytes != 0 {
		t.Errorf("%d bytes are held back and %d taken after all was dropped", held, l.usage.bytes)
	}
}
