package consume

import (
	"context"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// anyLanes draws lanes for share, and their budget.
func anyLanes() *rapid.Generator[[]reach] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) reach {
		r := reach{
			lane:   new(lane),
			bytes:  rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 4<<20)).Draw(t, "bytes"),
			paused: rapid.Bool().Draw(t, "paused"),
		}
		if r.bytes > 0 {
			due := rapid.IntRange(-5, 10).Draw(t, "next")
			r.next, r.last = seconds(due), seconds(due+rapid.IntRange(0, 5).Draw(t, "to last"))
		}
		return r
	}), 1, 30)
}

// TestShare checks what has to be true of every division of a budget.
func TestShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		budget := rapid.Int64Range(0, 2*DefaultBudget).Draw(t, "budget")
		lanes := anyLanes().Draw(t, "lanes")
		fetch, hold := share(budget, slices.Clone(lanes), epoch, true)

		fetches := make(map[*lane]bool)
		for _, l := range fetch {
			fetches[l] = true
		}
		for _, l := range hold {
			if fetches[l] {
				t.Fatalf("a lane is held back and fetches")
			}
		}
		if len(fetch)+len(hold) != len(lanes) || len(fetches) != len(fetch) {
			t.Fatalf("%d lanes fetch and %d are held back, of %d", len(fetch), len(hold), len(lanes))
		}
		own := budget / 2 / int64(len(lanes))
		soon := int64(len(lanes)) * fetchMaxPartitionBytes // what is held when each lane has fetched once more
		for _, r := range lanes {
			soon += r.bytes
		}
		for _, r := range lanes {
			if r.bytes == 0 && !fetches[r.lane] {
				t.Fatalf("a lane without a record is held back: it does not know what is due")
			}
			var nearer int64 // what it and those hold that are due before it
			for _, o := range lanes {
				if o.next.Before(r.next) || o.lane == r.lane {
					nearer += o.bytes
				}
			}
			near := r.last.Before(epoch.Add(horizon))
			if fetches[r.lane] && r.bytes > own && (nearer >= budget || !near) {
				t.Fatalf("%+v fetches; its own part is %d, and %d of %d are used up to it", r, own, nearer, budget)
			}
			if !fetches[r.lane] && !r.paused && (r.bytes <= own || soon < budget && near) {
				t.Fatalf("%+v is held back; its own part is %d, and %d of %d will be used", r, own, soon, budget)
			}
		}
		checkSettled(t, budget, lanes, fetches)
	})
}

// checkSettled does what share says and asks again: no lane that was let go is held
// back before its bytes change, or lanes would be stopped and started for nothing.
func checkSettled(t *rapid.T, budget int64, lanes []reach, fetches map[*lane]bool) {
	for i := range lanes {
		lanes[i].paused = !fetches[lanes[i].lane]
	}
	_, hold := share(budget, slices.Clone(lanes), epoch, true)
	for _, l := range hold {
		if fetches[l] {
			t.Fatalf("a lane fetches, and is held back when asked again")
		}
	}
}

// TestShareHysteresis: a lane is held back at a part of the budget and fetches
// again at half of that.
func TestShareHysteresis(t *testing.T) {
	const budget, lanes = 1000, 5 // a lane's own part is 100
	for _, c := range []struct {
		bytes  int64
		paused bool
		want   bool
	}{
		{100, false, true},
		{101, false, false},
		{100, true, false},
		{51, true, false},
		{50, true, true},
		{0, true, true},
	} {
		all := make([]reach, lanes) // due later than anybody cares about
		for i := range all {
			all[i] = reach{lane: new(lane), next: seconds(1000), last: seconds(1000), bytes: c.bytes, paused: c.paused}
		}
		if fetch, _ := share(budget, all, epoch, true); len(fetch) != map[bool]int{true: lanes}[c.want] {
			t.Errorf("bytes %d, held back before %t: %d lanes fetch, want all %t", c.bytes, c.paused, len(fetch), c.want)
		}
	}
}

// TestShareHysteresisNear is the same for a lane that is nearly due, which may have
// the whole budget.
func TestShareHysteresisNear(t *testing.T) {
	const budget = 1000
	for _, c := range []struct {
		bytes  int64
		paused bool
		want   bool
	}{
		{999, false, true},
		{1000, false, false},
		{999, true, false},
		{500, true, false},
		{499, true, true},
	} {
		fetch, _ := share(budget, []reach{{lane: new(lane), next: epoch, last: epoch, bytes: c.bytes, paused: c.paused}}, epoch, true)
		if (len(fetch) == 1) != c.want {
			t.Errorf("bytes %d, held back before %t: fetches %t", c.bytes, c.paused, len(fetch) == 1)
		}
	}
}

// TestShareNearestFirst: beyond their own parts, those fetch that are due next.
func TestShareNearestFirst(t *testing.T) {
	const mib = 1 << 20
	const budget = 16 * mib
	name := make(map[*lane]string)
	in := func(s string, due int, bytes int64) reach {
		r := reach{lane: new(lane), next: seconds(due), last: seconds(due), bytes: bytes}
		name[r.lane] = s
		return r
	}
	for _, c := range []struct {
		name  string
		lanes []reach
		want  []string
	}{
		{"room for two fetches", []reach{in("c", 1, 5*mib), in("a", -1, 5*mib), in("b", 0, 5*mib+mib*5/8)}, []string{"a", "b"}},
		{"near, but it has enough until then", []reach{in("a", 0, 5*mib), in("b", 2, 5*mib)}, []string{"a"}},
		{"equally near: the emptier", []reach{in("a", 0, 8*mib), in("b", 0, 8*mib-1)}, []string{"b"}},
		{"empty comes first and uses nothing", []reach{in("a", 0, 15*mib), {lane: new(lane)}}, []string{"", "a"}},
		{"far, and it uses all", []reach{in("a", 0, 8*mib), in("b", 9, 8*mib)}, nil},
	} {
		fetch, _ := share(budget, c.lanes, epoch, true)
		var got []string
		for _, l := range fetch {
			got = append(got, name[l])
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q fetch, want %q", c.name, got, c.want)
		}
	}
	if fetch, hold := share(budget, nil, epoch, true); fetch != nil || hold != nil {
		t.Errorf("of no lanes %d fetch and %d are held back", len(fetch), len(hold))
	}
}

// TestShareAside: lanes stop fetching when the pool has had no room for long: those that
// do not move, or all with more than their own part where each moves. They fetch again
// when they have used up what they hold.
func TestShareAside(t *testing.T) {
	const budget = 800 // with four lanes the own part is 100
	name := make(map[*lane]string)
	in := func(s string, bytes int64, idle time.Duration, paused bool) reach {
		r := reach{lane: new(lane), bytes: bytes, moved: epoch.Add(-idle), paused: paused}
		name[r.lane] = s
		return r
	}
	for _, c := range []struct {
		why         string
		lanes       []reach
		timedOut    bool
		fetch, hold []string
	}{
		{"there is room", []reach{in("a", 500, time.Hour, false), in("b", 100, 0, false), in("c", 51, 0, true), in("d", 50, 0, true)}, false, []string{"d"}, nil},
		{"one does not move", []reach{in("a", 500, asideWait, false), in("b", 300, 0, false), in("c", 100, time.Hour, false), in("d", 0, 0, true)}, true, []string{"d"}, []string{"a"}},
		{"all move, and too slowly", []reach{in("a", 500, asideWait/2, false), in("b", 300, 0, false), in("c", 100, 0, false), in("d", 200, time.Hour, true)}, true, nil, []string{"a", "b"}},
	} {
		fetch, hold := shareAside(budget, c.lanes, epoch, c.timedOut)
		names := func(lanes []*lane) (all []string) {
			for _, l := range lanes {
				all = append(all, name[l])
			}
			return all
		}
		if got := names(fetch); !slices.Equal(got, c.fetch) {
			t.Errorf("%s: %q fetch again, want %q", c.why, got, c.fetch)
		}
		if got := names(hold); !slices.Equal(got, c.hold) {
			t.Errorf("%s: %q are held back, want %q", c.why, got, c.hold)
		}
	}
}

// TestPoolRoom: who waits for memory hears of it once when a quarter of the pool is
// free again.
func TestPoolRoom(t *testing.T) {
	p := newPool(100, false)
	told := func() bool {
		select {
		case <-p.room:
			return true
		default:
			return false
		}
	}
	p.bytes.Add(90)
	for _, c := range []struct {
		give          int64
		told, pressed bool
	}{
		{10, false, true},
		{5, false, true}, // 75: as much as three quarters
		{1, true, true},
		{24, false, true}, // 50, and known already
		{1, false, false},
		{0, false, false},
		{49, false, false},
	} {
		p.give(c.give)
		if got := told(); got != c.told || p.pressed() != c.pressed {
			t.Errorf("%d bytes are left: told %t, pressed %t; want %t, %t", p.bytes.Load(), got, p.pressed(), c.told, c.pressed)
		}
	}
	// Nobody has to listen.
	for range 3 {
		p.bytes.Add(80)
		p.give(80)
	}
	if !told() || told() {
		t.Error("there is not one note of it")
	}
}

// TestReach: a pool knows when a lane's first and last record are due, not which
// of them may overtake.
func TestReach(t *testing.T) {
	var l lane
	if r := l.reach(); !r.next.IsZero() || r.lane != &l {
		t.Errorf("an empty lane: %+v", r)
	}
	var fetched twin
	fetched.push(seconds(5), nil, 0)
	fetched.push(seconds(9), nil, 0)
	fetched.push(seconds(1), nil, 0)
	l.queue, l.usage.bytes, l.usage.paused = fetched.queue, 17, true
	want := reach{lane: &l, next: seconds(5), last: seconds(9), bytes: 17, paused: true}
	if r := l.reach(); r != want {
		t.Errorf("reach %+v, want %+v", r, want)
	}
	if w := l.queue.peek(true); !w.Due.Equal(seconds(1)) {
		t.Errorf("the next is due at %v: what a pool asked has changed the queue", w.Due.Sub(epoch).Round(time.Second))
	}
}

// TestPoolBehind: works that are long overdue leave slots for those on time, until
// they are committed or their lane is over.
func TestPoolBehind(t *testing.T) {
	now := seconds(100)
	soon, over := context.WithCancel(t.Context())
	over() // there is no time to wait
	l := newTestLane()
	l.stop = over
	l.live.Store(true)
	l.topic.Handler = dueIn(0)
	l.push(fetched(newRecord(0, now.Add(-time.Minute), appended), newRecord(1, now, appended)), now)
	batch, _ := l.due(make([]*Work, 0, sendBatch), now)
	if len(batch) != 2 || !batch[0].overdue || batch[1].overdue {
		t.Fatalf("%d works are due, and not just the first of two is overdue", len(batch))
	}
	const slots = 2 * CommitRecords
	most := int(maxOverdue(slots))
	if !l.usage.pool.acquire(t.Context(), most, most) {
		t.Fatal("there were no slots in a new pool")
	}
	if l.usage.pool.acquire(soon, 1, 1) {
		t.Error("one more that is overdue got a slot")
	}
	if !l.usage.pool.acquire(t.Context(), slots-most, 0) {
		t.Error("those overdue left none for those on time")
	}
	if l.usage.pool.acquire(soon, 1, 0) {
		t.Error("there are more slots than twice what is committed at once")
	}
	l.usage.slots, l.usage.overdue = slots, most
	l.end()
	if !l.usage.pool.acquire(t.Context(), slots, most) {
		t.Error("a lane that was over kept slots")
	}
}
