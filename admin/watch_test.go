package admin

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/delayd-io/delayd/internal/offsets"
)

// logOf is a partition with records whose timestamps are known, rising. Offset and
// index are the same.
type logOf []int64

func (l logOf) at(t int64) offsets.Found {
	i, _ := slices.BinarySearch(l, t)
	if i == len(l) {
		return offsets.Found{Offset: offsets.None, Timestamp: -1}
	}
	return offsets.Found{Offset: int64(i), Timestamp: l[i]}
}

// due counts the records that come due in [from, to), but not before now.
func (l logOf) due(delay time.Duration, from, to, now time.Time) (n int64) {
	for _, t := range l {
		due := time.UnixMilli(t).Add(delay + dueAfter)
		if due.After(now) && !due.Before(from) && due.Before(to) {
			n++
		}
	}
	return n
}

// TestComingIsACount compares the coming hour with a count of every record, at two
// times, of which the second uses what the first has found.
func TestComingIsACount(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		delay := rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 7 * time.Minute, time.Hour, 2 * time.Hour}).Draw(t, "delay")
		now := time.UnixMilli(1_700_000_000_000).Add(time.Duration(rapid.IntRange(0, 59_999).Draw(t, "ms")) * time.Millisecond)
		gap := rapid.SampledFrom([]int64{10, 10_000, 400_000}).Draw(t, "gap")
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		var log logOf
		write := func(since, until time.Time, n int) {
			at := since.UnixMilli()
			for range n {
				if at += random.Int64N(gap + 1); at > until.UnixMilli() {
					return
				}
				log = append(log, at)
			}
		}
		write(now.Add(-3*time.Hour), now, rapid.IntRange(0, 300).Draw(t, "records"))
		known := make(edges)
		for range 2 {
			first := log.at(now.Add(-delay).UnixMilli())
			if first.Offset == offsets.None {
				first.Offset = int64(len(log))
			}
			a := ahead{offsets.Partition{Topic: "l"}, first.Offset, int64(len(log))}
			from := now.Truncate(time.Minute)
			s := known.span(&counting{TopicStatus: TopicStatus{Level: "l"}, delay: delay}, a, from, now)
			for n := 0; ; n++ {
				at, ok := s.next()
				if !ok {
					break
				}
				if n > ComingMinutes {
					t.Fatal("look-ups without end")
				}
				s.learn(at, log.at(at), now)
			}
			got := coming([]*comingSpan{s}, from, now).Total()
			for k := range got {
				m := from.Add(time.Duration(k) * time.Minute)
				if want := log.due(delay, m, m.Add(time.Minute), now); got[k] != want {
					t.Fatalf("minute %d of level %v: %d records, want %d", k, delay, got[k], want)
				}
			}
			before := now
			now = now.Add(time.Duration(rapid.IntRange(1, 200_000).Draw(t, "later")) * time.Millisecond)
			write(before, now, 50)
		}
	})
}

// TestWatch looks at a cluster twice: the second look knows the rates.
func TestWatch(t *testing.T) {
	t.Parallel()
	broker := fake(t)
	cl := writer(t, broker.ListenAddrs())
	spec := small(t)
	spec.Ladder = ladder(t, "5s 1h")
	everything(t, cl, spec)
	now := time.UnixMilli(1_700_000_040_000) // a whole minute
	if now != now.Truncate(time.Minute) {
		now = now.Truncate(time.Minute)
	}
	// Due in 90 s, twice in 10.5 minutes, and at once.
	for i, in := range []time.Duration{-time.Second, 90 * time.Second, 630 * time.Second, 630 * time.Second} {
		appendAt(t, cl, "delay.level.1h", int32(i%2), now.Add(in-time.Hour-time.Millisecond))
	}
	appendAt(t, cl, "delay.level.5s", 0, now.Add(-time.Second))

	w := NewWatch(cl, spec)
	first := lookAt(t, w, now)
	want := []ComingLevel{
		{Level: "5s", Until: now.Add(5 * time.Second), Records: counts(map[int]int64{0: 1})},
		{Level: "1h", Until: now.Add(time.Hour), Records: counts(map[int]int64{1: 1, 10: 2})},
	}
	if diff := cmp.Diff(want, first.Coming.Levels); diff != "" {
		t.Errorf("the coming hour (-want +got):\n%s", diff)
	}
	if got, want := first.Coming.Total()[:2], []int64{1, 1}; !slices.Equal(got, want) || first.Coming.Counted != ComingMinutes || len(first.Rates) != 0 {
		t.Errorf("first look: total %v, counted %d, rates %v; want %v, all and none", got, first.Coming.Counted, first.Rates, want)
	}

	for range 40 {
		appendAt(t, cl, "delay.level.1h", 0, now)
	}
	commit(t, cl, "delay.forwarder", "delay.level.1h", 0, 20)
	now = now.Add(4 * time.Second)
	second := lookAt(t, w, now)
	if got, want := second.Rates["delay.level.1h"], (Rate{In: 10, Out: 5}); got != want {
		t.Errorf("rate %v, want %v", got, want)
	}
	if want := (Peak{5, now}); second.Peak != want {
		t.Errorf("peak %v, want %v", second.Peak, want)
	}
}

func lookAt(t *testing.T, w *Watch, now time.Time) View {
	t.Helper()
	v, err := w.Look(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func counts(of map[int]int64) []int64 {
	list := make([]int64, ComingMinutes)
	for k, n := range of {
		list[k] = n
	}
	return list
}

// A first look at an hour with records in every minute takes more than one look to
// count, the nearest minutes first, and then the hour costs nothing.
func TestComingIsBounded(t *testing.T) {
	t.Parallel()
	broker := fake(t)
	cl := writer(t, broker.ListenAddrs())
	spec := small(t)
	spec.Ladder = ladder(t, "2h")
	everything(t, cl, spec)
	now := time.UnixMilli(1_700_000_000_000)
	var recs []*kgo.Record
	for m := range 70 {
		recs = append(recs, &kgo.Record{Topic: "delay.level.2h", Timestamp: now.Add(time.Duration(m)*time.Minute - 2*time.Hour), Value: fmt.Append(nil, m)})
	}
	for _, rec := range recs { // a batch each
		if err := cl.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	var listed atomic.Int64
	broker.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		listed.Add(1)
		return nil, nil, false
	})
	w := NewWatch(cl, spec)
	var requests []int64
	for _, want := range []int{comingRounds, 2 * comingRounds, ComingMinutes, ComingMinutes} {
		listed.Store(0)
		c := lookAt(t, w, now).Coming
		requests = append(requests, listed.Load())
		if got := c.Total(); c.Counted != want || len(got) != want || got[want-1] != 1 {
			t.Errorf("counted %d minutes, %v; want %d", c.Counted, got, want)
		}
	}
	if spared := requests[0] - requests[3]; spared != comingRounds {
		t.Errorf("requests for offsets by look: %v; want %d fewer for the last than for the first", requests, comingRounds)
	}
}
