package find

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/delayd-io/delayd/levels"
)

// TestRanges compares ranges with a set of offsets.
func TestRanges(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		var r ranges
		var have [40]bool
		for range rng.IntN(8) {
			from := rng.Int64N(40)
			i := interval{from, from + rng.Int64N(40-from+1) - 1}
			r = r.with(i)
			for o := i.from; o < i.to; o++ {
				have[o] = true
			}
		}
		for k := 1; k < len(r); k++ {
			if r[k].from <= r[k-1].to {
				t.Fatalf("%v touch", r)
			}
		}
		from := rng.Int64N(40)
		asked := interval{from, from + rng.Int64N(40-from+1)}
		var missing [40]bool
		for _, gap := range r.missing(asked) {
			for o := gap.from; o < gap.to; o++ {
				missing[o] = true
			}
		}
		for o := range int64(40) {
			if want := !have[o] && o >= asked.from && o < asked.to; missing[o] != want {
				t.Fatalf("%v of %v: offset %d missing %v, want %v", asked, r, o, missing[o], want)
			}
		}
	}
}

func TestAllot(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		wishes []int64
		budget int64
		want   []int64
	}{
		{nil, 10, []int64{}},
		{[]int64{3, 4}, 10, []int64{3, 4}},
		{[]int64{100, 2, 100}, 12, []int64{5, 2, 5}},
		{[]int64{100, 100}, 0, []int64{0, 0}},
		{[]int64{9, 1, 0}, 1 << 62, []int64{9, 1, 0}},
	} {
		if diff := cmp.Diff(tc.want, allot(tc.wishes, tc.budget)); diff != "" {
			t.Errorf("%v of %d (-want +got):\n%s", tc.wishes, tc.budget, diff)
		}
	}
}

// TestWalked compares where a record should be with one that takes each step in turn.
func TestWalked(t *testing.T) {
	t.Parallel()
	ladder, err := levels.Parse("1s 10s 1m 10m")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(1_700_000_000, 0)
	rng := rand.New(rand.NewPCG(2, 2))
	for range 2000 {
		due := start.Add(time.Duration(rng.Int64N(int64(2 * time.Hour))))
		now := start.Add(time.Duration(rng.Int64N(int64(due.Sub(start)) + 1)))
		at, step := start, 1
		for {
			l := ladder.Step(due.Sub(at))
			end := at.Add(l.Delay)
			if ladder.LastStep(due.Sub(end)) || end.After(now) {
				break
			}
			at, step = end, step+1
		}
		if got := walked(ladder, start, due, now, 0); !got.Equal(at) {
			t.Fatalf("due after %v, after %v: %v, want %v", due.Sub(start), now.Sub(start), got.Sub(start), at.Sub(start))
		}
		end := at.Add(ladder.Step(due.Sub(at)).Delay)
		if ladder.LastStep(due.Sub(end)) {
			end = due
		}
		if got, all := steps(ladder, start, due, at, end); due.After(start) && (got != step || all != ladder.Steps(due.Sub(start))) {
			t.Fatalf("due after %v, at %v: step %d of %d, want %d of %d", due.Sub(start), at.Sub(start), got, all, step, ladder.Steps(due.Sub(start)))
		}
	}
	if got := walked(ladder, start, start.Add(time.Hour), start.Add(30*time.Second), time.Minute); !got.Equal(start) {
		t.Errorf("straight to 1m: %v", got.Sub(start))
	}
	if got := walked(ladder, start, start.Add(time.Hour), start.Add(2*time.Minute), time.Minute); got.Sub(start) != time.Minute {
		t.Errorf("after its first level: %v", got.Sub(start))
	}
}

func TestLaps(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	for after, want := range map[time.Duration]string{
		time.Minute: "false 0s", 2 * time.Hour: "true 2h0m0s", 73 * time.Hour: "true 72h0m0s",
	} {
		at, ok := laps(2*time.Hour, start, start.Add(after))
		if got := fmt.Sprint(ok, " ", at.Sub(start).Round(time.Hour)); ok && got != want || !ok && want[:5] != "false" {
			t.Errorf("after %v: %s, want %s", after, got, want)
		}
	}
}

// TestSettle: a place that a record has left is none, also before that is committed.
func TestSettle(t *testing.T) {
	t.Parallel()
	at := func(s int) *time.Time { t := time.Unix(1_700_000_000+int64(s), 0).UTC(); return &t }
	inbox := func() *Sighting {
		return &Sighting{State: Waiting, Topic: "delay.inbox", Since: *at(0), Accepted: at(0), origin: "o"}
	}
	level := func(since int) *Sighting {
		return &Sighting{State: Waiting, Topic: "delay.level.1m", Level: "1m", Offset: int64(since), Since: *at(since), Accepted: at(0), Due: at(60), origin: "o"}
	}
	parked := &Sighting{State: Parked, Topic: "delay.parked", Since: *at(60), Accepted: at(0), Due: at(60), Origin: "delay.level.1m/0/1", origin: "o"}
	delivered := &Sighting{State: Delivered, Topic: "orders", Since: *at(61), Accepted: at(0), Due: at(60)}
	handled := func(s *Sighting) *Sighting { s.handled = true; return s }
	for name, tc := range map[string]struct {
		seen []*Sighting
		want string
		left string
	}{
		"nothing":                  {nil, "", ""},
		"on the inbox":             {[]*Sighting{inbox()}, "delay.inbox 0 ", ""},
		"routed, not committed":    {[]*Sighting{inbox(), level(1)}, "delay.level.1m 1 ", ""},
		"the next step":            {[]*Sighting{level(1), level(30)}, "delay.level.1m 30 ", ""},
		"parked, not committed":    {[]*Sighting{level(1), parked}, "delay.parked 0 ", ""},
		"delivered, not committed": {[]*Sighting{inbox(), level(1), parked, delivered}, "orders 0 ", ""},
		"a dead letter of it": {[]*Sighting{level(1), {State: Dead, Topic: "delay.dead", Since: *at(61), Origin: "delay.level.1m/0/1"}},
			"delay.dead 0 ", ""},
		"a dead letter of another": {[]*Sighting{level(1), {State: Dead, Topic: "delay.dead", Since: *at(61), Origin: "delay.level.1m/0/7"}},
			"delay.dead 0 delay.level.1m 1 ", ""},
		"delivered, of another": {[]*Sighting{level(1), {State: Delivered, Topic: "orders", Since: *at(9), Accepted: at(3), Due: at(8)}},
			"orders 0 delay.level.1m 1 ", ""},
		"left the level":          {[]*Sighting{handled(inbox()), handled(level(1))}, "", "delay.level.1m"},
		"the later step has left": {[]*Sighting{level(1), handled(level(30))}, "", "delay.level.1m"},
	} {
		kept, left := settle(tc.seen)
		got, gone := "", ""
		for _, s := range kept {
			got += fmt.Sprintf("%s %d ", s.Topic, s.Offset)
		}
		if left != nil {
			gone = left.Topic
		}
		if got != tc.want || gone != tc.left {
			t.Errorf("%s: %q, left %q; want %q, left %q", name, got, gone, tc.want, tc.left)
		}
	}
}
