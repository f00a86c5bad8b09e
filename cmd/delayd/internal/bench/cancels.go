package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/cancel"
	"github.com/delayd-io/delayd/internal/harness"
	"github.com/delayd-io/delayd/levels"
)

const (
	// cancelAfter is how long after it was sent a record is cancelled.
	cancelAfter = time.Second
	// CancelLeast is the shortest wait of a record that is cancelled, see Config.Cancel: its cancel is
	// accepted a second before it has to be.
	CancelLeast = cancelAfter + cancel.Notice + time.Second
	// pendingMetric is the gauge by which the service says how many marks it keeps,
	// and pendingEvery how often the bench reads it.
	pendingMetric = "delayd_cancels_pending"
	pendingEvery  = 250 * time.Millisecond
)

// cancels reports whether the record of a number is cancelled, the same in every run.
func (d deck) cancels(id int64) bool {
	return d.cancel > 0 && d.delay(id) >= CancelLeast && chance(id) < d.cancel
}

// chance returns a number from 0 to 1 that looks random, by the finalizer of SplitMix64.
func chance(id int64) float64 {
	z := (uint64(id) + 1) * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

// kept returns how many of n records are not cancelled.
func (d deck) kept(n int64) int64 {
	if d.cancel == 0 {
		return n
	}
	kept := int64(0)
	for id := range n {
		if !d.cancels(id) {
			kept++
		}
	}
	return kept
}

// cancelID returns the delay-id of the record of a number.
func cancelID(id int64) []byte { return strconv.AppendInt([]byte("bench-"), id, 10) }

// newCancel returns a cancel of the records with an id and a key.
func newCancel(inbox string, id, key []byte) *kgo.Record {
	return &kgo.Record{Topic: inbox, Key: key, Headers: []kgo.RecordHeader{{Key: levels.HeaderCancel, Value: id}}}
}

// canceller cancels records of a steady load, each cancelAfter it was sent and not before a broker
// has it: a cancel that is accepted before its record hits nothing. A nil one cancels nothing.
type canceller struct {
	deck
	inbox string
	keys  [][]byte

	inTime atomic.Int64 // cancels that were acknowledged cancel.Notice before their record was due

	mu    sync.Mutex     // guards what follows
	open  int            // records that were sent, and have to be cancelled yet
	queue []sending      // those of them that a broker has, in the order of its answers
	late  map[int64]bool // records whose cancel was acknowledged too late to count
}

// sending is a record, and when it was sent.
type sending struct {
	id int64
	at time.Time
}

func newCanceller(m *maker, inbox string) *canceller {
	return &canceller{deck: m.deck, inbox: inbox, keys: m.keys, late: make(map[int64]bool)}
}

// sends notes that a record is sent, and returns what to call when a broker has it; nil for
// nothing.
func (c *canceller) sends(id int64, now time.Time) (accepted func()) {
	if c == nil || !c.cancels(id) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.queue = append(c.queue, sending{id, now})
	}
}

// idle reports whether no record is left to be cancelled.
func (c *canceller) idle() bool {
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open == 0
}

// due returns the next record whose cancel has its time.
func (c *canceller) due(now time.Time) (s sending, ok bool) {
	if c == nil {
		return s, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 || now.Sub(c.queue[0].at) < cancelAfter {
		return s, false
	}
	s, c.queue = c.queue[0], c.queue[1:]
	c.open--
	return s, true
}

// record makes the cancel of a record.
func (c *canceller) record(id int64) *kgo.Record {
	return newCancel(c.inbox, cancelID(id), c.keys[c.key(id)])
}

// acknowledged notes when a broker had a cancel at the latest. The record was accepted after
// it was sent, so that it is due at s.at and its delay at the earliest.
func (c *canceller) acknowledged(s sending, now time.Time) {
	if now.After(s.at.Add(c.delay(s.id) - cancel.Notice)) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.late[s.id] = true
		return
	}
	c.inTime.Add(1)
}

// delivered returns how many of the records that arrived had been cancelled in time.
func (c *canceller) delivered(arrived []int64) (n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range arrived {
		if !c.late[id] {
			n++
		}
	}
	return n
}

// report adds to r what became of the cancels, and returns what a reader has to know of
// them, if anything.
func (c *canceller) report(r *Result, t turn, arrived []int64) (note string) {
	r.Cancelled, r.CancelledDelivered = c.inTime.Load(), c.delivered(arrived)
	if n := len(c.late); n > 0 {
		return fmt.Sprintf("In round %d %s acknowledged less than %v before the record was due, and are not counted: the brokers could not keep up.",
			t.round, counted(int64(n), "cancel"), cancel.Notice)
	}
	return ""
}

// cancelling fills the cancel topic with cancels that hit nothing, and measures the service
// when it keeps them all.
func (b *bench) cancelling(ctx context.Context, s *stage, c *contender, t turn, r *Result) error {
	n, keys := int64(b.Cancels), newMaker(deck{levels: b.Load.Levels, keys: b.Load.Keys, targets: 1}, idSize, nil).keys
	b.Progress.Start(b.say(t, "cancelling"), n)
	defer b.Progress.Done()
	err := fill(ctx, b.Opts, func(id int64) *kgo.Record {
		return newCancel(s.names.Inbox(), cancelID(id), keys[id%int64(len(keys))])
	}, n, b.Progress)
	if err != nil {
		return err
	}
	if err := c.awaitCancels(ctx, n); err != nil {
		return err
	}
	r.Cancelled = n
	r.CancelsCPUPercent, r.CancelsMiB, err = atRest(ctx, c)
	return err
}

// awaitCancels waits until the service keeps n marks. It gives up when there have been no more
// of them for lostWait.
func (c *contender) awaitCancels(ctx context.Context, n int64) error {
	most, seen := int64(-1), time.Now()
	for {
		pending, err := pendingCancels(ctx, c.http)
		if fault := c.fault(); fault != nil {
			return fault
		}
		if err != nil {
			return fmt.Errorf("read the service's metrics: %w", err)
		}
		if pending >= n {
			return nil
		}
		if pending > most {
			most, seen = pending, time.Now()
		}
		if time.Since(seen) > lostWait {
			return fmt.Errorf("the service keeps %d of %d cancels, and has taken no more for %v; use fewer --cancels", most, n, lostWait)
		}
		if err := pause(ctx, pendingEvery); err != nil {
			return err
		}
	}
}

// pendingCancels reads how many marks the service keeps.
func pendingCancels(ctx context.Context, addr string) (int64, error) {
	n, found, err := harness.Metric(ctx, addr, pendingMetric)
	if err == nil && !found {
		err = fmt.Errorf("there is no %s", pendingMetric)
	}
	return int64(n), err
}
