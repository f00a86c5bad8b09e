//go:build synctests

package consume

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/offsets"
)

// txn is a Txn whose end a test decides.
type txn struct {
	w         *world
	c         *Consumer
	outcome   Outcome // what Commit says
	applied   bool    // whether the offsets are committed all the same
	refused   *kerr.Error
	undecided error // what Decide says

	locked, decided bool
	unstable        int
}

var errTxn = errors.New("txn")

func (x *txn) Commit(req *kmsg.TxnOffsetCommitRequest) (Outcome, *kmsg.TxnOffsetCommitResponse, error) {
	x.locked = len(x.c.committing) == 1
	if x.applied {
		x.commit(req)
	}
	switch {
	case x.outcome == Committed:
		return Committed, nil, nil
	case x.refused != nil:
		resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
		part := kmsg.NewTxnOffsetCommitResponseTopicPartition()
		part.ErrorCode = x.refused.Code
		topic := kmsg.NewTxnOffsetCommitResponseTopic()
		topic.Topic, topic.TopicID, topic.Partitions = req.Topics[0].Topic, req.Topics[0].TopicID, append(topic.Partitions, part)
		resp.Topics = append(resp.Topics, topic)
		return Aborted, resp, errTxn
	}
	return x.outcome, nil, errTxn
}

// commit commits the offsets as a transaction would.
func (x *txn) commit(req *kmsg.TxnOffsetCommitRequest) {
	x.w.t.Helper()
	plain := kmsg.NewPtrOffsetCommitRequest()
	plain.Group, plain.MemberID, plain.Generation = req.Group, req.MemberID, req.Generation
	for _, t := range req.Topics {
		topic := kmsg.NewOffsetCommitRequestTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			part := kmsg.NewOffsetCommitRequestTopicPartition()
			part.Partition, part.Offset, part.LeaderEpoch, part.Metadata = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata
			topic.Partitions = append(topic.Partitions, part)
		}
		plain.Topics = append(plain.Topics, topic)
	}
	resp, err := plain.RequestWith(context.Background(), x.w.Client)
	if err != nil || resp.Topics[0].Partitions[0].ErrorCode != 0 {
		x.w.t.Fatal(err, resp)
	}
}

func (x *txn) Decide(context.Context) error {
	x.decided = true
	if x.c.doubts != 1 || len(x.c.committing) != 0 {
		x.w.t.Errorf("while the outcome is unknown: %d doubts (want 1), %d locks (want 0)", x.c.doubts, len(x.c.committing))
	}
	return x.undecided
}

func (x *txn) Unstable(context.Context) { x.unstable++ }

// TestCommitTxn: of a transaction all works and offsets are committed, or none. Where
// its outcome is unknown the committed offsets tell it.
func TestCommitTxn(t *testing.T) {
	for name, test := range map[string]struct {
		txn  txn
		want Outcome
		wait time.Duration // offsets are pending for so long
	}{
		"committed":                      {txn: txn{outcome: Committed, applied: true}, want: Committed},
		"aborted":                        {txn: txn{outcome: Aborted}, want: Aborted},
		"offsets refused":                {txn: txn{outcome: Aborted, refused: kerr.OffsetMetadataTooLarge}, want: Aborted},
		"unknown and committed":          {txn: txn{outcome: Unknown, applied: true}, want: Committed},
		"unknown and not committed":      {txn: txn{outcome: Unknown}, want: Aborted},
		"unknown for long":               {txn: txn{outcome: Unknown, applied: true}, want: Committed, wait: 2*offsets.UnstableFor + time.Second},
		"unknown until the process ends": {txn: txn{outcome: Unknown, undecided: context.Canceled}, want: Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, 1, func(w *world) {
				w.fill(0, 0, 10, 10)
				h := &handler{finish: never}
				c, stop := w.consume(h, func(cfg *Config) { cfg.Transactional = true })
				defer stop()
				for len(h.now()) < 10 {
					time.Sleep(10 * time.Millisecond)
				}
				works := func(n int) []*Work {
					ws := make([]*Work, n)
					for i, got := range h.now()[:n] {
						ws[i] = got.Work
					}
					return ws
				}
				x := test.txn
				x.w, x.c = w, c
				if test.wait > 0 {
					stable := time.Now().Add(test.wait)
					w.Cluster.ControlKey(int16(kmsg.OffsetFetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
						w.Cluster.KeepControl()
						return unstable(req.(*kmsg.OffsetFetchRequest)), nil, time.Now().Before(stable)
					})
				}
				got, err := c.TxnCommitter(false).CommitTxn(context.Background(), slices.Values(works(4)), &x)
				if got != test.want || (err == nil) != (got == Committed) {
					t.Errorf("the outcome is %v (%v), want %v", got, err, test.want)
				}
				if unknown := test.txn.outcome == Unknown; !x.locked || x.decided != unknown || (x.unstable > 0) != (test.wait > 0) {
					t.Errorf("locked: %t, asked for a decision: %t, told that offsets are pending: %d times", x.locked, x.decided, x.unstable)
				}
				if refused := works(5)[4].Refused(); refused != (test.txn.refused != nil) {
					t.Errorf("the partition's commits count as refused: %t", refused)
				}
				if got == Unknown {
					return
				}
				if test.txn.refused != nil {
					time.Sleep(refusalMin)
				}
				again := txn{w: w, c: c, outcome: Committed, applied: true}
				rest := works(10)
				if got == Committed {
					rest = rest[4:]
				}
				if got, err := c.TxnCommitter(false).CommitTxn(context.Background(), slices.Values(rest), &again); got != Committed {
					t.Errorf("the next transaction: %v (%v)", got, err)
				}
				if got := w.committed(); got != 10 {
					t.Errorf("%d are committed, want 10", got)
				}
			})
		})
	}
}

// TestCommitTxnGap: a transaction that leaves out a record is not committed.
func TestCommitTxnGap(t *testing.T) {
	virtual(t, 1, func(w *world) {
		w.fill(0, 0, 3, 10)
		h := &handler{finish: never}
		c, stop := w.consume(h, func(cfg *Config) { cfg.Transactional = true })
		defer stop()
		for len(h.now()) < 3 {
			time.Sleep(10 * time.Millisecond)
		}
		all := h.now()
		x := txn{w: w, c: c, outcome: Committed, applied: true}
		outcome, err := c.TxnCommitter(false).CommitTxn(context.Background(), slices.Values([]*Work{all[0].Work, all[2].Work}), &x)
		if outcome != Aborted || err == nil || x.locked {
			t.Errorf("%v, %v; the transaction was tried: %t", outcome, err, x.locked)
		}
		if got := w.committed(); got != 0 {
			t.Errorf("%d are committed, want none", got)
		}
	})
}

// TestCommitTxnOvertaken: a transaction that holds only records that overtook leaves the
// committed offset where it was. Its outcome is in the metadata, which lists them.
func TestCommitTxnOvertaken(t *testing.T) {
	for name, test := range map[string]struct {
		txn  txn
		want Outcome
	}{
		"committed":                 {txn: txn{outcome: Committed, applied: true}, want: Committed},
		"aborted":                   {txn: txn{outcome: Aborted}, want: Aborted},
		"unknown and committed":     {txn: txn{outcome: Unknown, applied: true}, want: Committed},
		"unknown and not committed": {txn: txn{outcome: Unknown}, want: Aborted},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, 1, func(w *world) {
				w.at(time.Now(), time.Hour, 0, 2*time.Hour, 0)
				h := &freely{handler{finish: never}}
				c, stop := w.consume(h, func(cfg *Config) { cfg.Transactional = true })
				defer stop()
				time.Sleep(5 * time.Second) // the partition's offset is committed by then
				commit := func(i int, x txn) Outcome {
					x.w, x.c = w, c
					got, err := c.TxnCommitter(false).CommitTxn(context.Background(), slices.Values([]*Work{h.now()[i].Work}), &x)
					if (err == nil) != (got == Committed) {
						t.Errorf("%v, %v", got, err)
					}
					return got
				}
				if got := commit(0, txn{outcome: Committed, applied: true}); got != Committed {
					t.Fatalf("the first transaction: %v", got)
				}
				want := []int64{1}
				if got := commit(1, test.txn); got != test.want {
					t.Fatalf("the outcome is %v, want %v", got, test.want)
				} else if got == Committed {
					want = append(want, 3)
				}
				time.Sleep(2 * leaseRenewal) // repeats of the commit keep the list
				if at, ahead := w.listed(); at != 0 || !slices.Equal(ahead, want) {
					t.Errorf("%v are listed behind %d, want %v behind 0", ahead, at, want)
				}
				if test.want == Aborted && commit(1, txn{outcome: Committed, applied: true}) != Committed {
					t.Error("the next transaction is not committed")
				}
				if at, ahead := w.listed(); at != 0 || !slices.Equal(ahead, []int64{1, 3}) {
					t.Errorf("%v are listed behind %d, want 1 and 3 behind 0", ahead, at)
				}
			})
		})
	}
}
