//go:build synctests

package consume

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/metrics"
)

// rejoin makes the coordinator remove c's member, which hears of it only when a rebalance
// makes it join again. meanwhile runs while the group is without it, and joined while the
// new member waits for its assignment.
func (w *world) rejoin(c *Consumer, meanwhile, joined func()) {
	w.t.Helper()
	former := c.member()
	w.Cluster.ControlKey(int16(kmsg.Heartbeat), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.Cluster.KeepControl()
		if req.(*kmsg.HeartbeatRequest).MemberID != former {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
		resp.ErrorCode = kerr.RebalanceInProgress.Code
		return resp, nil, true
	})
	unassigned := w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.SyncGroup}, TopLevel: true, Err: kerr.CoordinatorLoadInProgress, Count: -1})
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = group
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID = former
	req.Members = append(req.Members, m)
	if resp, err := req.RequestWith(context.Background(), w.Client); err != nil || resp.Members[0].ErrorCode != 0 {
		w.t.Fatal(err, resp)
	}
	meanwhile()
	for c.member() == former || c.member() == "" || unassigned.Hits() == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	joined()
	unassigned.Remove()
}

// TestRejoin: what a member was given is not the next one's, although franz-go says
// nothing of the change: it commits nothing of it, neither by itself nor in a
// transaction, and starts again where the group is by then.
func TestRejoin(t *testing.T) {
	for name, transactional := range map[string]bool{"at-least-once": false, "exactly-once": true} {
		t.Run(name, func(t *testing.T) {
			virtual(t, 1, func(w *world) {
				w.fill(0, 0, 10, 10)
				h := &handler{finish: never}
				c, stop := w.consume(h, func(cfg *Config) { cfg.Transactional = transactional })
				defer stop()
				for len(h.now()) < 10 {
					time.Sleep(10 * time.Millisecond)
				}
				former := h.now()
				w.rejoin(c, func() {
					commits := make(kadm.Offsets)
					commits.AddOffset("t", 0, 5, -1) // the former member's successor
					if err := w.Admin.CommitAllOffsets(context.Background(), group, commits); err != nil {
						t.Fatal(err)
					}
				}, func() {
					doneAll(former[:2])
					if req, _, n := c.TxnCommitter(false).handled(); transactional && req != nil {
						t.Errorf("a transaction would commit %d records of the former member", n)
					}
					time.Sleep(5 * CommitInterval)
					if got := w.committed(); got != 5 {
						t.Errorf("%d are committed, want the successor's 5", got)
					}
				})
				time.Sleep(time.Second)
				again := h.now()[10:]
				if len(again) != 5 || again[0].offset != 5 {
					t.Fatalf("%d records were handled again, want 5 from offset 5 on", len(again))
				}
				if former[2].Live() || !again[0].Live() {
					t.Error("the former member's records are still ours, or the new one's are not")
				}
				if transactional {
					return
				}
				doneAll(again)
				time.Sleep(2 * CommitInterval)
				if got := w.committed(); got != 10 {
					t.Errorf("%d are committed, want 10", got)
				}
			})
		})
	}
}

// TestRejoinOvertaken: the next membership does not handle again what a commit of the
// former one lists as handled ahead of a record that waits, and lists it in turn. What was
// handled and not committed is handled again.
func TestRejoinOvertaken(t *testing.T) {
	for name, transactional := range map[string]bool{"at-least-once": false, "exactly-once": true} {
		t.Run(name, func(t *testing.T) {
			virtual(t, 1, func(w *world) {
				w.at(time.Now(), time.Hour, 0, 2*time.Hour, 0, 0)
				h := &freely{handler{finish: never}}
				c, stop := w.consume(h, func(cfg *Config) { cfg.Transactional = transactional })
				defer stop()
				time.Sleep(5 * time.Second)
				former := h.now()
				if len(former) != 3 {
					t.Fatalf("%d records were handled, want 3", len(former))
				}
				end := func(works ...*handed) {
					t.Helper()
					if !transactional {
						doneAll(works)
						time.Sleep(2 * CommitInterval)
						return
					}
					all := make([]*Work, len(works))
					for i, got := range works {
						all[i] = got.Work
					}
					x := txn{w: w, c: c, outcome: Committed, applied: true}
					if got, err := c.TxnCommitter(false).CommitTxn(context.Background(), slices.Values(all), &x); got != Committed {
						t.Errorf("the transaction: %v (%v)", got, err)
					}
				}
				end(former[0])
				w.rejoin(c, func() {}, func() {
					doneAll(former[1:2])
					if req, _, n := c.TxnCommitter(false).handled(); transactional && req != nil {
						t.Errorf("a transaction would commit %d records of the former member", n)
					}
					time.Sleep(5 * CommitInterval)
					if at, ahead := w.listed(); at != 0 || !slices.Equal(ahead, []int64{1}) {
						t.Errorf("%v are listed behind %d, want 1 behind 0", ahead, at)
					}
				})
				time.Sleep(time.Second)
				again := h.now()[3:]
				if len(again) != 2 || again[0].offset != 3 || again[1].offset != 4 {
					t.Fatalf("%d records were handled again, want offsets 3 and 4", len(again))
				}
				end(again...)
				if at, ahead := w.listed(); at != 0 || !slices.Equal(ahead, []int64{1, 3, 4}) {
					t.Errorf("%v are listed behind %d, want 1, 3 and 4 behind 0", ahead, at)
				}
			})
		})
	}
}

// TestFenced: only a member whose id another one has taken over ends for good. One that was
// fenced while it joined may have been so by a request of its own.
func TestFenced(t *testing.T) {
	for key, want := range map[kmsg.Key]error{kmsg.SyncGroup: errFencedJoining, kmsg.Heartbeat: ErrFenced} {
		t.Run(key.Name(), func(t *testing.T) {
			virtual(t, 1, func(w *world) {
				w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, TopLevel: true, Err: kerr.FencedInstanceID, Count: -1})
				c, err := New(Config{
					Group: group, Instance: "one", Topics: []Topic{{Name: "t", Handler: &handler{}}}, Budget: DefaultBudget, PurgeAfter: PurgeOff,
					Log: zerolog.Nop(), Metrics: metrics.New(nil),
				}, w.Opts()...)
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Run(context.Background()); !errors.Is(err, want) {
					t.Errorf("Run: %v, want %v", err, want)
				}
			})
		})
	}
}
