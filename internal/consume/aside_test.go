//go:build synctests

package consume

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// asideTopic makes the topic that the world has one that is aside, beside another that
// is not.
func (w *world) asideTopic(aside, other Handler) func(*Config) {
	w.t.Helper()
	if err := w.Cluster.CreateTopic("level", 1, nil); err != nil {
		w.t.Fatal(err)
	}
	return func(cfg *Config) {
		cfg.Budget = 4 * asideBudget
		cfg.Topics = []Topic{{Name: "t", Handler: aside, Aside: true}, {Name: "level", Handler: other}}
	}
}

// asideBudget is what lanes that are aside have in these tests.
const asideBudget = 1 << 20

// slowly ends works a millisecond after they are handed out.
func slowly(h *handed) {
	go func() {
		time.Sleep(time.Millisecond)
		h.end()
	}()
}

// drained waits until a partition's n records were handled, and returns how long that
// took; the limit where it takes longer.
func (h *handler) drained(partition int32, n int, limit time.Duration) time.Duration {
	start := time.Now()
	for time.Since(start) < limit {
		got := 0
		for _, w := range h.now() {
			if w.partition == partition {
				got++
			}
		}
		if got == n {
			return time.Since(start)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return limit
}

// TestAsideDrainsAtOnce: many times the budget of records that are aside passes without
// their partition being stopped and started for each budget.
func TestAsideDrainsAtOnce(t *testing.T) {
	virtual(t, 1, func(w *world) {
		h := &handler{finish: slowly}
		const n = 20_000
		w.fill(0, 0, n, 1000)
		_, stop := w.consume(h, w.asideTopic(h, &handler{}))
		defer stop()
		if d := h.drained(0, n, time.Minute); d > 2*time.Second {
			t.Errorf("%d records of 1 kB took %v with %d bytes for them", n, d, asideBudget)
		}
	})
}

// TestAsideStops: records that are aside and do not move take no more than the budget
// and one fetch, hold up no other partition of theirs, and no other topic.
func TestAsideStops(t *testing.T) {
	virtual(t, 2, func(w *world) {
		aside := &handler{finish: func(h *handed) {
			if h.partition == 1 {
				slowly(h)
			}
		}}
		level := &handler{delay: time.Millisecond}
		const n = 10_000
		w.fill(0, 0, n, 1000)
		c, stop := w.consume(aside, w.asideTopic(aside, level))
		defer stop()
		time.Sleep(10 * time.Second)
		if used := c.aside.bytes.Load(); used < asideBudget/2 || used > asideBudget+2*fetchMaxPartitionBytes {
			t.Errorf("%d bytes of %d are used by a partition that does not move", used, asideBudget)
		}
		w.fill(1, 0, n, 1000)
		if d := aside.drained(1, n, time.Minute); d > 2*time.Second {
			t.Errorf("beside a partition that does not move, %d records of another took %v", n, d)
		}
		for i := range 50 {
			w.fillTopic("level", 0, i, 1, 10)
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if got := len(level.now()); got != 50 {
			t.Errorf("%d of 50 records of another topic were handled", got)
		}
		for _, h := range level.now() {
			if late := h.at.Sub(h.Due); late > roomWait {
				t.Errorf("offset %d of another topic is %v late", h.offset, late)
			}
		}
	})
}

// TestAsideMovesAgain: what has filled the budget and did not move for a while goes on
// soon after it moves again. That also holds soon after a wait in vain.
func TestAsideMovesAgain(t *testing.T) {
	for _, stuckFor := range []time.Duration{2 * asideWait, time.Minute} {
		t.Run(stuckFor.String(), func(t *testing.T) {
			virtual(t, 1, func(w *world) {
				h := &handler{finish: never}
				const n = 20_000
				w.fill(0, 0, n, 1000)
				c, stop := w.consume(h, w.asideTopic(h, &handler{}))
				defer stop()
				for !c.held.Load() {
					time.Sleep(asideWait / 10)
				}
				time.Sleep(stuckFor - asideWait)
				h.mu.Lock()
				stuck := h.all
				h.finish = slowly
				h.mu.Unlock()
				if len(stuck) == n {
					t.Fatal("the budget holds all records")
				}
				doneAll(stuck)
				const within = fetchMaxWait + 2*asideBrief // for the idle fetch that is under way
				if d := h.drained(0, n, time.Minute); d > within {
					t.Errorf("%d records took %v after the first %d had moved", n, d, len(stuck))
				}
			})
		})
	}
}

// TestAsideSlots: a partition whose first record does not end, with so many handled
// behind it as may be uncommitted, leaves some for others.
func TestAsideSlots(t *testing.T) {
	virtual(t, 2, func(w *world) {
		aside := &handler{finish: func(h *handed) {
			if h.partition == 1 || h.offset > 0 {
				h.end()
			}
		}}
		w.fill(0, 0, 3*CommitRecords, 10)
		_, stop := w.consume(aside, w.asideTopic(aside, &handler{}))
		defer stop()
		time.Sleep(10 * time.Second)
		const n = 3 * CommitRecords
		w.fill(1, 0, n, 10)
		if d := aside.drained(1, n, time.Minute); d > 5*time.Second {
			t.Errorf("%d records took %v beside a partition with one that does not end", n, d)
		}
	})
}

// TestAsideInTransactions: memory comes back with a commit only, all at once. A lane that
// waits for one moves, and is not held back.
func TestAsideInTransactions(t *testing.T) {
	virtual(t, 1, func(w *world) {
		const every = 300 * time.Millisecond // a transaction ends
		h := &handler{finish: never}
		const n = 10_000
		w.fill(0, 0, n, 1000)
		c, stop := w.consume(h, w.asideTopic(h, &handler{}))
		defer stop()
		start, ended := time.Now(), 0
		for ended < n && time.Since(start) < time.Minute {
			time.Sleep(every)
			all := h.now()
			doneAll(all[ended:])
			ended = len(all)
			if c.held.Load() {
				t.Fatalf("held back with %d of %d records handled", ended, n)
			}
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%d records took %v", n, d)
		}
	})
}

// TestReadyAside: works that are aside and do not end make nobody unready; that their
// topic cannot be read does.
func TestReadyAside(t *testing.T) {
	virtual(t, 1, func(w *world) {
		h := &handler{finish: func(*handed) {}}
		c, stop := w.consume(h, w.asideTopic(h, &handler{}))
		defer stop()
		w.fill(0, 0, 3, 10)
		time.Sleep(10 * time.Minute)
		if err := c.Ready(); err != nil || len(h.now()) != 3 {
			t.Errorf("%d works are under way, and ready says %v", len(h.now()), err)
		}
		w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "t", Err: kerr.KafkaStorageError, Count: -1})
		time.Sleep(time.Minute)
		unready(t, c, "t/0: stalled at offset 3")
		for _, work := range h.now() {
			work.end()
		}
	})
}
