//go:build synctests

package consume

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/internal/offsets"
)

// TestUncommittedIsBounded: a handler that never ends is handed no more than what
// a crash may repeat, by all lanes together, and goes on when it has ended.
func TestUncommittedIsBounded(t *testing.T) {
	virtual(t, 4, func(w *world) {
		const each = CommitRecords
		for p := range int32(4) {
			w.fill(p, 0, each, 10)
		}
		h := &handler{finish: never}
		_, stop := w.consume(h)
		defer stop()
		time.Sleep(time.Minute)
		first := h.now()
		if n := len(first); n > 2*CommitRecords || n < 2*CommitRecords-4*sendBatch {
			t.Fatalf("%d records were handed out, want up to %d", n, 2*CommitRecords)
		}
		if n := w.committed(); n != 0 {
			t.Errorf("%d are committed when none is done", n)
		}
		doneAll(first[1:])
		time.Sleep(time.Second)
		h.mu.Lock()
		h.finish = nil
		h.mu.Unlock()
		if n := len(h.now()); n > 4*CommitRecords {
			t.Errorf("%d were handed out", n)
		}
		doneAll(append(h.now()[len(first):], first[0]))
		time.Sleep(time.Minute)
		if n := w.committed(); n != 4*each {
			t.Errorf("%d are committed, want all %d", n, 4*each)
		}
	})
}

// TestMemoryIsBounded: far more lies on the topic than fits; every lane holds
// something all the same, and all of it is handled when it is due.
func TestMemoryIsBounded(t *testing.T) {
	const lanes, each, batch, size, budget = 16, 500, 10, 10_000, 4 << 20
	virtual(t, lanes, func(w *world) {
		for p := range int32(lanes) {
			for i := 0; i < each; i += batch {
				w.fill(p, i, batch, size)
			}
		}
		h := &handler{delay: time.Hour}
		c, stop := w.consume(h, func(cfg *Config) { cfg.Budget = budget })
		defer stop()
		for range 50 * 60 {
			time.Sleep(time.Second)
			// What is being fetched when lanes are stopped comes on top.
			if n := c.main.bytes.Load(); n > budget+lanes*fetchMaxPartitionBytes {
				t.Fatalf("%d bytes are held, with a budget of %d", n, budget)
			}
		}
		for _, l := range c.each() {
			if l.reach().bytes == 0 {
				t.Errorf("partition %d holds nothing", l.partition)
			}
		}
		time.Sleep(11 * time.Minute)
		all := h.now()
		if len(all) != lanes*each {
			t.Fatalf("%d records were handled, want %d", len(all), lanes*each)
		}
		if n := c.main.bytes.Load(); n != 0 {
			t.Errorf("%d bytes are held when all is handled", n)
		}
		if n := w.committed(); n != lanes*each {
			t.Errorf("%d are committed, want %d", n, lanes*each)
		}
	})
}

// TestUnstableOffsets: as long as the group's offsets are pending nothing starts. The
// owner hears of it from time to time, and can end all the same.
func TestUnstableOffsets(t *testing.T) {
	virtual(t, 1, func(w *world) {
		w.fill(0, 0, 10, 10)
		var told atomic.Int64
		var stable atomic.Bool
		w.Cluster.ControlKey(int16(kmsg.OffsetFetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.Cluster.KeepControl()
			return unstable(req.(*kmsg.OffsetFetchRequest)), nil, !stable.Load()
		})
		tell := func(cfg *Config) { cfg.Unstable = func() { told.Add(1) } }
		h := new(handler)
		_, stop := w.consume(h, tell)
		time.Sleep(offsets.UnstableFor * 9 / 2)
		if n := told.Load(); n != 4 {
			t.Errorf("told %d times in %v, want 4", n, offsets.UnstableFor*9/2)
		}
		asked := time.Now()
		stop()
		if took := time.Since(asked); took > time.Second {
			t.Errorf("it took %v to end", took)
		}
		stable.Store(true)
		_, stop = w.consume(h, tell)
		time.Sleep(10 * time.Second)
		stop()
		if n := len(h.now()); n != 10 {
			t.Errorf("%d records were handled, want 10", n)
		}
	})
}

// unstable is the answer while transactions are pending in all partitions.
func unstable(req *kmsg.OffsetFetchRequest) *kmsg.OffsetFetchResponse {
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	for _, g := range req.Groups {
		group := kmsg.NewOffsetFetchResponseGroup()
		group.Group = g.Group
		for _, t := range g.Topics {
			topic := kmsg.NewOffsetFetchResponseGroupTopic()
			topic.Topic, topic.TopicID = t.Topic, t.TopicID
			for _, n := range t.Partitions {
				part := kmsg.NewOffsetFetchResponseGroupTopicPartition()
				part.Partition, part.ErrorCode = n, kerr.UnstableOffsetCommit.Code
				topic.Partitions = append(topic.Partitions, part)
			}
			group.Topics = append(group.Topics, topic)
		}
		resp.Groups = append(resp.Groups, group)
	}
	return resp
}

// TestHandOver: records in flight when a second member joins end and are
// committed before the partitions go to it. Nothing is handled twice.
func TestHandOver(t *testing.T) {
	for _, c := range []struct {
		name  string
		takes time.Duration // the handling of a record
		twice bool          // whether that is longer than a hand-over waits
	}{
		{"at once", 0, false},
		{"within the hand-over", HandOver - time.Second, false},
		{"longer", HandOver + time.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, 4, func(w *world) {
				slow := func(h *handed) {
					if c.takes == 0 {
						h.end()
						return
					}
					time.AfterFunc(c.takes, h.end)
				}
				one, two := &handler{finish: slow}, &handler{finish: slow}
				consumer, stopOne := w.consume(one)
				n := 0
				fill := func(seconds int) {
					for range seconds * 10 {
						for p := range int32(4) {
							w.fill(p, n, 1, 10)
						}
						n++
						time.Sleep(100 * time.Millisecond)
					}
				}
				fill(5)
				_, stopTwo := w.consume(two)
				fill(20)
				if len(two.now()) == 0 {
					t.Error("the second member was handed nothing")
				}
				stopTwo()
				fill(20)
				time.Sleep(10 * time.Second)
				if n := consumer.main.bytes.Load(); n != 0 {
					t.Errorf("%d bytes are held when all is handled", n)
				}
				stopOne()
				got := make(map[[2]int64]int)
				twice := 0
				for _, h := range append(one.now(), two.now()...) {
					key := [2]int64{int64(h.partition), h.offset}
					if got[key]++; got[key] > 1 {
						twice++
					}
				}
				if len(got) != 4*n || (twice > 0) != c.twice {
					t.Errorf("%d of %d records were handled, and %d again", len(got), 4*n, twice)
				}
				if sum := w.committed(); sum != int64(4*n) {
					t.Errorf("%d are committed, want %d", sum, 4*n)
				}
			})
		})
	}
}

// TestLease: while no commit succeeds nothing is handed out once the lease is
// over, and when one does all goes on, with nothing twice. Where the broker says
// that we are no member, the lease is over at once.
func TestLease(t *testing.T) {
	for _, tc := range []struct {
		err   *kerr.Error
		holds time.Duration
	}{
		{kerr.RequestTimedOut, leaseTime}, // kfake has made the commit all the same
		{kerr.CoordinatorLoadInProgress, leaseTime},
		{kerr.CoordinatorNotAvailable, leaseTime},
		{kerr.NotCoordinator, leaseTime},
		{kerr.UnknownServerError, leaseTime},
		{kerr.RebalanceInProgress, leaseTime},
		{kerr.IllegalGeneration, CommitInterval},
		{kerr.UnknownMemberID, CommitInterval},
	} {
		t.Run(tc.err.Message, func(t *testing.T) {
			virtual(t, 1, func(w *world) {
				h := new(handler)
				c, stop := w.consume(h)
				defer stop()
				n := 0
				fill := func(seconds int) {
					for range seconds * 10 {
						w.fill(0, n, 1, 10)
						n++
						time.Sleep(100 * time.Millisecond)
					}
				}
				fill(5)
				down := time.Now()
				fault := w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: tc.err, Count: -1})
				fill(20)
				if h := h.now(); h[len(h)-1].at.Sub(down) > tc.holds+100*time.Millisecond {
					t.Errorf("handed out %v after the last commit that succeeded, want less than %v", h[len(h)-1].at.Sub(down), tc.holds)
				}
				if c.Ready() == nil {
					t.Error("ready without a lease")
				}
				fault.Remove()
				fill(5)
				time.Sleep(5 * time.Second)
				var offsets, want []int64
				for i, h := range h.now() {
					offsets, want = append(offsets, h.offset), append(want, int64(i))
				}
				if diff := cmp.Diff(want, offsets); diff != "" || len(offsets) != n {
					t.Errorf("%d records, %d handed out; offsets (- want, + got):\n%s", n, len(offsets), diff)
				}
				if sum := w.committed(); sum != int64(n) {
					t.Errorf("%d are committed, want %d", sum, n)
				}
				if err := c.Ready(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestCommitLost: the connection breaks over every second commit, for a minute. All
// is handed out once and on time, and committed in the end. That the broker has made
// the commit it does not answer is in TestLease.
func TestCommitLost(t *testing.T) {
	virtual(t, 1, func(w *world) {
		h := &handler{delay: time.Second}
		_, stop := w.consume(h)
		defer stop()
		time.Sleep(time.Second)
		var commits atomic.Int32
		w.Cluster.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.Cluster.KeepControl()
			if commits.Add(1)%2 == 0 {
				return nil, nil, false
			}
			return nil, errors.New("the connection breaks"), true
		})
		const n = 600
		for i := range n {
			w.fill(0, i, 1, 10)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		if n := commits.Load(); n < 100 {
			t.Fatalf("%d commits in a minute", n)
		}
		all := h.now()
		if len(all) != n {
			t.Fatalf("%d handed out, want %d", len(all), n)
		}
		for i, got := range all {
			if late := got.at.Sub(got.Due); got.offset != int64(i) || late > 100*time.Millisecond {
				t.Fatalf("offset %d is number %d that is handed out, and %v late", got.offset, i, late)
			}
		}
		if sum := w.committed(); sum != n {
			t.Errorf("%d are committed, want %d", sum, n)
		}
	})
}

// TestCoordinatorDown: no heartbeat and no commit is answered for longer than a
// session, as when the coordinator's broker has died and has no successor yet. Nobody
// else can have got the partitions, so they are kept, and nothing is handed out twice.
func TestCoordinatorDown(t *testing.T) {
	virtual(t, 1, func(w *world) {
		// A broker that is down counts no session.
		w.Cluster.ControlKey(int16(kmsg.JoinGroup), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.Cluster.KeepControl()
			req.(*kmsg.JoinGroupRequest).SessionTimeoutMillis = int32(time.Minute / time.Millisecond)
			return nil, nil, false
		})
		h := new(handler)
		_, stop := w.consume(h)
		defer stop()
		time.Sleep(time.Second)
		down := w.Cluster.Fault(
			kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: kerr.CoordinatorNotAvailable, Count: -1},
			// Another error than that: franz-go does not try it again, which would
			// hold a mutex, and so virtual time.
			kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.UnknownServerError, Count: -1},
		)
		const n = 150
		for i := range n {
			w.fill(0, i, 1, 10)
			time.Sleep(100 * time.Millisecond)
		}
		if got := len(h.now()); got == 0 || got == n {
			t.Fatalf("%d of %d handed out while no commit is answered", got, n)
		}
		down.Remove()
		time.Sleep(10 * time.Second)
		all := h.now()
		if len(all) != n {
			t.Errorf("%d handed out, want %d, each once", len(all), n)
		}
		if sum := w.committed(); sum != n {
			t.Errorf("%d are committed, want %d", sum, n)
		}
	})
}

// TestLeaseHoldsWhenIdle: nothing happens for an hour, and then what comes is
// handled at once, because the lease was renewed all the time.
func TestLeaseHoldsWhenIdle(t *testing.T) {
	virtual(t, 1, func(w *world) {
		h := new(handler)
		_, stop := w.consume(h)
		defer stop()
		time.Sleep(time.Hour)
		sent := time.Now()
		w.fill(0, 0, 1, 10)
		time.Sleep(time.Second)
		all := h.now()
		if len(all) != 1 {
			t.Fatalf("%d handed out, want 1", len(all))
		}
		if late := all[0].at.Sub(sent); late > 100*time.Millisecond {
			t.Errorf("handed out %v after it was sent", late)
		}
	})
}

// TestLeaseWithinABatch: a handler that takes its time must not go on with what it
// was given when the lease has ended in between.
func TestLeaseWithinABatch(t *testing.T) {
	virtual(t, 1, func(w *world) {
		w.fill(0, 0, 100, 10)
		h := &handler{finish: func(h *handed) { time.Sleep(100 * time.Millisecond); h.end() }}
		_, stop := w.consume(h, func(cfg *Config) { cfg.Topics[0].OneByOne = true })
		defer stop()
		time.Sleep(2 * time.Second)
		down := time.Now()
		fault := w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RequestTimedOut, Count: -1})
		time.Sleep(20 * time.Second)
		if h := h.now(); h[len(h)-1].at.Sub(down) > leaseTime {
			t.Errorf("handed out %v after the last commit that succeeded, want less than %v", h[len(h)-1].at.Sub(down), leaseTime)
		}
		fault.Remove()
		time.Sleep(20 * time.Second)
		if n := len(h.now()); n != 100 {
			t.Errorf("%d handed out, want 100", n)
		}
	})
}

// TestCommitIsNotPutOff: what is fetched without a break must not keep the commit
// of what is handled from being made. Topics that keep producers' times commit
// when records were first seen, too.
func TestCommitIsNotPutOff(t *testing.T) {
	virtual(t, 1, func(w *world) {
		h := &handler{delay: time.Second}
		_, stop := w.consume(h, func(cfg *Config) { cfg.Topics[0].Wait = time.Second })
		defer stop()
		for i := range 1000 {
			w.fill(0, i, 1, 10)
			time.Sleep(20 * time.Millisecond)
		}
		if n := w.committed(); n < 940 { // 50 wait for a second
			t.Errorf("%d of 1000 are committed", n)
		}
	})
}

// TestPurge: handled records go after a while, but not from under another group.
func TestPurge(t *testing.T) {
	virtual(t, 2, func(w *world) {
		w.fill(0, 0, 100, 10)
		w.fill(1, 0, 100, 10)
		var other kadm.Offsets
		other.AddOffset("t", 1, 30, -1)
		if err := w.Admin.CommitAllOffsets(context.Background(), "other", other); err != nil {
			t.Fatal(err)
		}
		start := func(n int32) int64 {
			starts, err := w.Admin.ListStartOffsets(context.Background(), "t")
			if err != nil {
				t.Fatal(err)
			}
			o, _ := starts.Lookup("t", n)
			return o.Offset
		}
		h := &handler{finish: func(h *handed) {
			if h.offset != 90 { // the last ones are never committed
				h.end()
			}
		}}
		_, stop := w.consume(h, func(cfg *Config) { cfg.PurgeAfter = time.Minute })
		defer stop()
		time.Sleep(50 * time.Second)
		if got := [2]int64{start(0), start(1)}; got != [2]int64{} {
			t.Errorf("the partitions start at %d before anything is old enough", got)
		}
		time.Sleep(time.Minute)
		if got, want := [2]int64{start(0), start(1)}, [2]int64{90, 30}; got != want {
			t.Errorf("the partitions start at %d, want %d", got, want)
		}
	})
}

// TestReadyWhenStuck: a record that is due and does not get done makes the
// process unready; one that waits for its time does not.
func TestReadyWhenStuck(t *testing.T) {
	virtual(t, 1, func(w *world) {
		h := &handler{delay: time.Hour, finish: never}
		c, stop := w.consume(h)
		defer stop()
		w.fill(0, 0, 10, 10)
		time.Sleep(time.Hour + stuckAfter/2)
		if err := c.Ready(); err != nil {
			t.Errorf("before it is stuck: %v", err)
		}
		time.Sleep(stuckAfter)
		if c.Ready() == nil {
			t.Error("ready when stuck")
		}
		doneAll(h.now())
		time.Sleep(time.Second)
		if err := c.Ready(); err != nil {
			t.Errorf("when all is done: %v", err)
		}
	})
}

// TestAside: what is stuck in a topic that stands aside takes nothing from the others.
func TestAside(t *testing.T) {
	virtual(t, 1, func(w *world) {
		if err := w.Cluster.CreateTopic("stuck", 1, nil); err != nil {
			t.Fatal(err)
		}
		recs := make([]*kgo.Record, 3*CommitRecords)
		for i := range recs {
			recs[i] = &kgo.Record{Topic: "stuck"}
		}
		if err := w.Client.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		h := new(handler)
		c, stop := w.consume(h, func(cfg *Config) {
			cfg.Topics = append(cfg.Topics, Topic{Name: "stuck", Handler: &handler{finish: never}, Aside: true})
		})
		defer stop()
		time.Sleep(time.Minute)
		w.fill(0, 0, 100, 10)
		time.Sleep(time.Second)
		if n := len(h.now()); n != 100 {
			t.Errorf("%d of 100 records were handled beside a topic that is stuck", n)
		}
		if n := c.aside.bytes.Load(); n == 0 {
			t.Error("the stuck topic holds nothing")
		}
	})
}

// TestFirstSeenIsCommitted: also of a record that was fetched while a commit was
// under way.
func TestFirstSeenIsCommitted(t *testing.T) {
	virtual(t, 1, func(w *world) {
		_, stop := w.consume(&handler{delay: time.Hour}, func(cfg *Config) { cfg.Topics[0].Wait = time.Hour })
		defer stop()
		time.Sleep(5 * time.Second)
		w.Cluster.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.Cluster.KeepControl()
			w.Cluster.SleepControl(func() { time.Sleep(500 * time.Millisecond) })
			return nil, nil, false
		})
		w.fill(0, 0, 1, 10)
		time.Sleep(CommitInterval + 250*time.Millisecond)
		w.fill(0, 1, 1, 10)
		time.Sleep(10 * time.Second)
		commits, err := w.Admin.FetchOffsetsForTopics(context.Background(), group, "t")
		if err != nil {
			t.Fatal(err)
		}
		o, _ := commits.Lookup("t", 0)
		if marks := parseMarks(o.Metadata); len(marks) != 2 {
			t.Errorf("committed %q, want when both records were first seen", o.Metadata)
		}
	})
}

// TestRestartKeepsCommit: a commit that only proves the membership repeats what
// was committed, also by a process that has handled nothing yet.
func TestRestartKeepsCommit(t *testing.T) {
	virtual(t, 2, func(w *world) {
		for range 3 {
			h := new(handler)
			_, stop := w.consume(h)
			w.fill(0, 0, 10, 10)
			time.Sleep(time.Second)
			stop()
			if n := len(h.now()); n != 10 {
				t.Errorf("%d handed out, want the 10 that are new", n)
			}
			before := w.committed()
			_, stop = w.consume(&handler{delay: time.Hour})
			time.Sleep(10 * time.Second)
			if n := w.committed(); n != before {
				t.Errorf("%d are committed after an idle restart, %d before", n, before)
			}
			stop()
		}
	})
}

// TestHandOverOfHeldLanes: lanes that are held back for memory go to another
// member and come back, and are fetched again.
func TestHandOverOfHeldLanes(t *testing.T) {
	const lanes, each = 8, 300
	virtual(t, lanes, func(w *world) {
		for p := range int32(lanes) {
			for i := 0; i < each; i += 10 {
				w.fill(p, i, 10, 10_000)
			}
		}
		small := func(cfg *Config) { cfg.Budget = 1 << 20 }
		one, two := &handler{delay: 10 * time.Minute}, &handler{delay: 10 * time.Minute}
		_, stopOne := w.consume(one, small)
		defer stopOne()
		time.Sleep(time.Minute)
		_, stopTwo := w.consume(two, small)
		time.Sleep(time.Minute)
		stopTwo()
		time.Sleep(9 * time.Minute)
		if n := len(one.now()); n != lanes*each {
			t.Errorf("%d of %d records were handled", n, lanes*each)
		}
	})
}

// TestLossIsCounted: what a broker deletes before it is delivered is counted to the
// offset, whether nobody was there, or somebody who was behind and records come
// after it or none.
func TestLossIsCounted(t *testing.T) {
	deleteBelow := func(w *world, offset int64) {
		w.t.Helper()
		var upTo kadm.Offsets
		upTo.AddOffset("t", 0, offset, -1)
		if _, err := w.Admin.DeleteRecords(context.Background(), upTo); err != nil {
			w.t.Fatal(err)
		}
	}
	counters := metrics.New(nil)
	lost := func() float64 { return counters.DataLoss.Value() }
	virtual(t, 1, func(w *world) {
		w.fill(0, 0, 100, 10)
		h := &handler{finish: func(h *handed) {
			if h.offset < 10 {
				h.end()
			}
		}}
		_, stop := w.consume(h)
		time.Sleep(time.Second)
		stop()
		deleteBelow(w, 60)

		_, stop = w.consume(new(handler), func(cfg *Config) { cfg.Metrics = counters })
		defer stop()
		time.Sleep(time.Second)
		if n := lost(); n != 50 {
			t.Errorf("%v are lost after a restart, want 50", n)
		}

		want := 50.0
		for _, more := range []int{1, 0} {
			behind := w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.LeaderNotAvailable, Count: -1})
			time.Sleep(time.Second) // until the fetch under way has ended
			ends, err := w.Admin.ListEndOffsets(context.Background(), "t")
			if err != nil {
				t.Fatal(err)
			}
			end, _ := ends.Lookup("t", 0)
			w.fill(0, int(end.Offset), 100, 10)
			want += 100
			deleteBelow(w, end.Offset+100)
			w.fill(0, int(end.Offset)+100, more, 10)
			behind.Remove()
			time.Sleep(3 * lossEvery)
			if n := lost(); n != want {
				t.Errorf("%v are lost when %d came after them, want %v", n, more, want)
			}
		}
	})
}

// TestOvertakenIsHandedOver: what has overtaken a record that still waits is not
// handled again by the next owner of its partition, nor by the one after that.
func TestOvertakenIsHandedOver(t *testing.T) {
	virtual(t, 1, func(w *world) {
		start := time.Now()
		at := func(due ...time.Duration) {
			for _, d := range due {
				rec := &kgo.Record{Topic: "t", Timestamp: start.Add(d), Value: []byte(d.String())}
				if err := w.Client.ProduceSync(context.Background(), rec).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
		}
		const delay = time.Minute
		at(10*time.Minute, 0, 11*time.Minute, time.Second, 2*time.Second)
		var all []*handed
		for range 3 {
			h := &handler{delay: delay}
			_, stop := w.consume(h)
			time.Sleep(2 * time.Minute)
			stop()
			all = append(all, h.now()...)
		}
		if len(all) != 3 || w.committed() != 0 {
			t.Errorf("%d handled, and %d committed while the first waits, want 3 and 0", len(all), w.committed())
		}
		h := &handler{delay: delay}
		_, stop := w.consume(h)
		defer stop()
		time.Sleep(10 * time.Minute)
		if n := len(h.now()); n != 2 || w.committed() != 5 {
			t.Errorf("%d handled at last, and %d committed, want 2 and 5", n, w.committed())
		}
	})
}

// TestFarOvertakenIsHandedOver does the same for what stands far behind in its partition.
func TestFarOvertakenIsHandedOver(t *testing.T) {
	const waiting, early = 20_000, 50
	virtual(t, 1, func(w *world) {
		start := time.Now()
		for i := range waiting + early {
			rec := &kgo.Record{Topic: "t", Timestamp: start.Add(10 * time.Minute)}
			if i >= waiting {
				rec.Timestamp = start
			}
			w.Client.Produce(context.Background(), rec, nil)
		}
		if err := w.Client.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		for run, want := range []int{early, 0, 0} {
			h := &handler{delay: time.Minute}
			_, stop := w.consume(h)
			time.Sleep(2 * time.Minute)
			stop()
			if n := len(h.now()); n != want {
				t.Errorf("run %d: %d handled, want %d", run, n, want)
			}
		}
	})
}
