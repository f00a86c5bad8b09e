//go:build synctests

package consume

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// unready fails the test unless c is unready for a reason that has all of the words.
func unready(t *testing.T, c *Consumer, words ...string) {
	t.Helper()
	err := c.Ready()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("ready says %v, want %q in it", err, word)
		}
	}
}

// TestReadyIsNotTakenBack: what is ready when it starts stays so.
func TestReadyIsNotTakenBack(t *testing.T) {
	virtual(t, 3, func(w *world) {
		w.Cluster.ControlKey(int16(kmsg.OffsetFetch), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.Cluster.KeepControl()
			w.Cluster.SleepControl(func() { time.Sleep(300 * time.Millisecond) })
			return nil, nil, false
		})
		c, stop := w.consume(new(handler))
		defer stop()
		ready := false
		for range 3000 {
			time.Sleep(time.Millisecond)
			switch err := c.Ready(); {
			case err == nil:
				ready = true
			case ready:
				t.Error(err)
				return
			}
		}
		if !ready {
			t.Error(c.Ready())
		}
	})
}

// TestReadySaysWhichLane: also where records are handled at once, as in the inbox.
func TestReadySaysWhichLane(t *testing.T) {
	virtual(t, 3, func(w *world) {
		h := &handler{finish: func(h *handed) {
			if h.partition != 1 {
				h.end()
			}
		}}
		c, stop := w.consume(h)
		defer stop()
		for p := range int32(3) {
			w.fill(p, 0, 10, 10)
		}
		time.Sleep(stuckAfter + 5*time.Second)
		unready(t, c, "t/1: overdue by ", " and not moving")
		for _, h := range h.now() {
			if h.partition == 1 {
				h.end()
			}
		}
		time.Sleep(time.Second)
		if err := c.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// TestReadyWithoutLease: the group's coordinator takes no commit.
func TestReadyWithoutLease(t *testing.T) {
	virtual(t, 1, func(w *world) {
		c, stop := w.consume(new(handler))
		defer stop()
		time.Sleep(time.Minute)
		if err := c.Ready(); err != nil {
			t.Fatal(err)
		}
		fault := w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RequestTimedOut, Count: -1})
		time.Sleep(SessionTimeout + leaseTime)
		unready(t, c, group, "the lease is lost: no commit succeeded for ")
		if age := c.cfg.Metrics.LeaseAge.WithLabelValues(group).Value(); age < leaseTime.Seconds() {
			t.Errorf("the lease is %v seconds old", age)
		}
		fault.Remove()
		time.Sleep(time.Minute)
		if err := c.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// TestSessionTooShort: the brokers ask for longer sessions (group.min.session.timeout.ms).
func TestSessionTooShort(t *testing.T) {
	virtual(t, 1, func(w *world) {
		fault := w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.InvalidSessionTimeout, Count: -1})
		var log bytes.Buffer
		c, stop := w.consume(new(handler), func(cfg *Config) { cfg.Log = cfg.Log.Output(&log).Level(0) })
		defer stop()
		time.Sleep(time.Minute)
		unready(t, c, group, "not joined yet", "group.min.session.timeout.ms to 6000 or less")
		if n := strings.Count(log.String(), "joining the group"); n != 1 {
			t.Errorf("said %d times:\n%s", n, log.String())
		}
		fault.Remove()
		time.Sleep(time.Minute)
		if err := c.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// TestReadyWithoutCluster: every connection ends at once. What was assigned is given
// up after a while, and a member without lanes is no more ready than one with a stuck
// one.
func TestReadyWithoutCluster(t *testing.T) {
	virtual(t, 1, func(w *world) {
		c, stop := w.consume(new(handler))
		defer stop()
		time.Sleep(time.Minute)
		if err := c.Ready(); err != nil {
			t.Fatal(err)
		}
		var back atomic.Bool
		w.Cluster.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
			if back.Load() {
				return nil, nil, false
			}
			w.Cluster.KeepControl()
			return nil, errors.New("the broker is away"), true
		})
		time.Sleep(2 * time.Minute)
		unready(t, c, group, "the membership is lost")
		back.Store(true)
		time.Sleep(time.Minute)
		if err := c.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// TestReadyWhenALeaderIsSilent: what is overdue on a partition that cannot be read is
// not known, so that the partition may not pass for one that is well.
func TestReadyWhenALeaderIsSilent(t *testing.T) {
	virtual(t, 2, func(w *world) {
		c, stop := w.consume(new(handler))
		defer stop()
		time.Sleep(time.Minute) // idle is not silent
		if err := c.Ready(); err != nil {
			t.Fatal(err)
		}
		answer := make(chan struct{})
		w.Cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.Cluster.SleepControl(func() { <-answer })
			return nil, nil, false
		})
		time.Sleep(stuckAfter / 2)
		if err := c.Ready(); err != nil {
			t.Errorf("after %v: %v", stuckAfter/2, err)
		}
		time.Sleep(stuckAfter)
		unready(t, c, "t/", "its leader, broker 0, has answered no fetch for 1")
		close(answer)
		time.Sleep(10 * time.Second)
		if err := c.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// TestReadyNamesAllStalls: an operator can skip all of them without a second look. Of
// many only the first are named.
func TestReadyNamesAllStalls(t *testing.T) {
	for _, tc := range []struct{ bad, named int }{{3, 3}, {maxStallsNamed + 2, maxStallsNamed}} {
		virtual(t, int32(tc.bad+1), func(w *world) {
			for p := range int32(tc.bad) {
				w.writeRaw(p, undecodable["gzip"])
			}
			c, stop := w.consume(new(handler), skipping)
			defer stop()
			time.Sleep(time.Minute)
			lines := strings.Split(fmt.Sprint(c.Ready()), "\n")
			for p := range tc.named {
				want := fmt.Sprintf("t/%d: stalled at offset 0 for ", p)
				if p >= len(lines) || !strings.HasPrefix(lines[p], want) || !strings.HasSuffix(lines[p], fmt.Sprintf("run `delayd admin skip t/%d/0`", p)) {
					t.Errorf("ready says %q, want %q in line %d", lines, want, p)
				}
			}
			rest := lines[min(tc.named, len(lines)):]
			if tc.bad == tc.named && len(rest) > 0 || tc.bad > tc.named && (len(rest) != 1 || rest[0] != "and 2 more stalled") {
				t.Errorf("%d partitions are stalled, and ready ends with %q", tc.bad, rest)
			}
		})
	}
}
