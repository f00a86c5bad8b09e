//go:build synctests

package consume

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/metrics"
)

// purging is a world in which an operator deletes what is pending.
type purging struct {
	*world
	metrics *metrics.Metrics // of the process
}

// told says up to where an operator has deleted, as delayd admin purge does.
func (w *purging) told(offset int64) {
	w.t.Helper()
	var upTo kadm.Offsets
	upTo.AddOffset("t", 0, offset, -1)
	if err := w.Admin.CommitAllOffsets(context.Background(), "purged", upTo); err != nil {
		w.t.Fatal(err)
	}
}

func (w *purging) deleted(offset int64) {
	w.t.Helper()
	var upTo kadm.Offsets
	upTo.AddOffset("t", 0, offset, -1)
	if _, err := w.Admin.DeleteRecords(context.Background(), upTo); err != nil {
		w.t.Fatal(err)
	}
}

func (w *purging) lost() float64 { return w.metrics.DataLoss.Value() }

func (w *purging) consume(h Handler, change ...func(*Config)) (stop func()) {
	_, stop = w.world.consume(h, append(change, func(cfg *Config) {
		cfg.PurgedGroup, cfg.Metrics = "purged", w.metrics
	})...)
	return stop
}

// offsetsOf are the offsets of what was handed, in their order.
func offsetsOf(works []*handed) []int64 {
	var list []int64
	for _, w := range works {
		list = append(list, w.offset)
	}
	slices.Sort(list)
	return list
}

// span is the offsets from one up to before another.
func span(from, to int64) (list []int64) {
	for o := from; o < to; o++ {
		list = append(list, o)
	}
	return list
}

func purge(t *testing.T, test func(w *purging)) {
	t.Helper()
	virtual(t, 1, func(w *world) { test(&purging{w, metrics.New(nil)}) })
}

// TestPurgedIsForgotten: what an operator has deleted while it waited here is not
// delivered, is committed, holds nothing, and is no loss.
func TestPurgedIsForgotten(t *testing.T) {
	for _, transactional := range []bool{false, true} {
		purge(t, func(w *purging) {
			w.fill(0, 0, 100, 1000)
			h := &handler{delay: 2 * time.Minute}
			var c *Consumer
			c, stop := w.world.consume(h, func(cfg *Config) {
				cfg.PurgedGroup, cfg.Metrics, cfg.Transactional = "purged", w.metrics, transactional
			})
			defer stop()
			time.Sleep(time.Second)
			held := c.main.bytes.Load()
			w.told(60)
			w.deleted(60)
			time.Sleep(lossEvery + time.Second)
			if got := w.committed(); got != 60 {
				t.Errorf("transactional %t: %d is committed, want 60", transactional, got)
			}
			if now := c.main.bytes.Load(); now >= held/2 {
				t.Errorf("transactional %t: %d bytes are held of %d, and 40 of 100 records are left", transactional, now, held)
			}
			time.Sleep(2 * time.Minute)
			if got := offsetsOf(h.now()); !slices.Equal(got, span(60, 100)) {
				t.Errorf("transactional %t: handled %d, want 60 to 99", transactional, got)
			}
			if n := w.lost(); n != 0 {
				t.Errorf("transactional %t: %v count as lost", transactional, n)
			}
			if transactional {
				return // nobody commits here what is handled
			}
			time.Sleep(time.Second)
			if got := w.committed(); got != 100 {
				t.Errorf("%d is committed in the end, want 100", got)
			}
		})
	}
}

// TestPurgedIsNoLoss: neither where nobody was there, nor where somebody was behind.
// What is gone beyond it is one.
func TestPurgedIsNoLoss(t *testing.T) {
	purge(t, func(w *purging) {
		w.fill(0, 0, 100, 10)
		w.told(60)
		w.deleted(60)
		h := new(handler)
		stop := w.consume(h)
		time.Sleep(time.Second)
		if n := w.lost(); n != 0 {
			t.Errorf("%v count as lost after a start, want none", n)
		}

		behind := w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.LeaderNotAvailable, Count: -1})
		time.Sleep(time.Second) // until the fetch under way has ended
		w.fill(0, 100, 100, 10)
		w.told(150)
		w.deleted(150)
		w.fill(0, 200, 1, 10)
		behind.Remove()
		time.Sleep(3 * lossEvery)
		stop()
		if n := w.lost(); n != 0 {
			t.Errorf("%v count as lost when it was behind, want none", n)
		}
		if got, want := offsetsOf(h.now()), append(span(60, 100), span(150, 201)...); !slices.Equal(got, want) {
			t.Errorf("handled %d, want %d", got, want)
		}

		w.fill(0, 201, 99, 10)
		w.told(250)
		w.deleted(280)
		w.metrics = metrics.New(nil) // of the next process
		defer w.consume(h)()
		time.Sleep(time.Second)
		if n := w.lost(); n != 30 {
			t.Errorf("%v count as lost of what was deleted beyond it, want 30", n)
		}
	})
}

// TestWhatNobodyPurgedIsDelivered: where records are gone for another reason, those
// that were read are the last copy; and what was only announced is still there.
func TestWhatNobodyPurgedIsDelivered(t *testing.T) {
	for name, change := range map[string]func(w *purging){
		"gone and not told": func(w *purging) { w.deleted(60) },
		"told and not gone": func(w *purging) { w.told(60) },
		"told of less":      func(w *purging) { w.told(0); w.deleted(60) },
	} {
		purge(t, func(w *purging) {
			w.fill(0, 0, 100, 10)
			h := &handler{delay: 2 * time.Minute}
			defer w.consume(h)()
			time.Sleep(time.Second)
			change(w)
			time.Sleep(3 * time.Minute)
			if got := offsetsOf(h.now()); !slices.Equal(got, span(0, 100)) {
				t.Errorf("%s: handled %d, want 0 to 99", name, got)
			}
		})
	}
}
