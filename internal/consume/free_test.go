//go:build synctests

package consume

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// freely is a Handler whose records are due at their own times, in any order.
type freely struct{ handler }

func (h *freely) Due(rec *kgo.Record, _ time.Time) (time.Time, bool) { return rec.Timestamp, true }

// freelyAround is a Handler whose records are due around the end of a wait, by as much as
// their values say; every tenth is not free, and due at its end.
type freelyAround struct {
	handler
	wait time.Duration
}

func (h *freelyAround) Due(rec *kgo.Record, _ time.Time) (time.Time, bool) {
	if rec.Offset%10 == 9 {
		return rec.Timestamp.Add(h.wait), false
	}
	return rec.Timestamp.Add(h.wait + time.Duration(binary.BigEndian.Uint64(rec.Value))), true
}

// at writes records that freely handles at times from start on.
func (w *world) at(start time.Time, due ...time.Duration) {
	w.t.Helper()
	recs := make([]*kgo.Record, len(due))
	for i, d := range due {
		recs[i] = &kgo.Record{Topic: "t", Key: []byte("k"), Timestamp: start.Add(d), Value: []byte(d.String())}
	}
	if err := w.Client.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// listed returns what the group has committed in t/0, and which offsets behind that its
// metadata lists.
func (w *world) listed() (at int64, ahead []int64) {
	w.t.Helper()
	commits, err := w.Admin.FetchOffsetsForTopics(context.Background(), group, "t")
	if err != nil {
		w.t.Fatal(err)
	}
	commits.Each(func(o kadm.OffsetResponse) { at, ahead = o.At, parseAhead(o.Metadata, o.At).handled })
	return at, ahead
}

// TestFreeIsInTime: records that are free are handled when they are due, in whatever
// order they stand in the partition and with one key.
func TestFreeIsInTime(t *testing.T) {
	virtual(t, 1, func(w *world) {
		h := new(freely)
		_, stop := w.consume(h, slack)
		defer stop()
		time.Sleep(5 * time.Second)
		rng := rand.New(rand.NewPCG(1, 1))
		const n = 10_000
		for range n / 100 {
			due := make([]time.Duration, 100)
			for i := range due {
				due[i] = time.Second + time.Duration(rng.Int64N(int64(2*time.Second)))
			}
			w.at(time.Now(), due...)
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		all := h.now()
		if len(all) != n {
			t.Fatalf("%d of %d handled", len(all), n)
		}
		for i, got := range all {
			if late := got.at.Sub(got.Due); late < 0 || late > 10*time.Millisecond {
				t.Fatalf("handled %v late", late)
			}
			if i > 0 && got.Due.Before(all[i-1].Due) {
				t.Fatalf("a record due at %v is handled behind one due at %v", got.Due, all[i-1].Due)
			}
		}
		if got := w.committed(); got != n {
			t.Errorf("%d committed, want %d", got, n)
		}
	})
}

// slack says how far records of freely are from the wait of their topic.
func slack(cfg *Config) {
	cfg.Topics[0].Wait, cfg.Topics[0].Slack = 2*time.Second, time.Second
}

// TestOvertakenIsKnownAfterACrash: while a record waits, the commits list those that have
// overtaken it, so that after a crash nobody handles them again; and so do the commits of
// the next owner.
func TestOvertakenIsKnownAfterACrash(t *testing.T) {
	virtual(t, 1, func(w *world) {
		w.at(time.Now(), time.Hour, 0, 2*time.Hour, time.Second, 5*time.Minute)
		for run, want := range [][]int64{{1, 3}, {1, 3, 4}} {
			h := new(freely)
			_, stop := w.consume(h)
			time.Sleep(time.Minute)
			for range run {
				time.Sleep(5 * time.Minute)
			}
			if at, ahead := w.listed(); at != 0 || !slices.Equal(ahead, want) {
				t.Errorf("run %d: %v are listed behind %d, want %v behind 0", run, ahead, at, want)
			}
			stop()
			if n := len(h.now()); n != 2-run {
				t.Errorf("run %d: %d handled, want %d", run, n, 2-run)
			}
		}
	})
}

// TestOvertakenHoldsNoSlots: records that a commit lists hold up nobody: more of them can
// be ahead than may be uncommitted.
func TestOvertakenHoldsNoSlots(t *testing.T) {
	virtual(t, 4, func(w *world) {
		const each = 15_000
		now := time.Now()
		for p := range int32(4) {
			w.Client.Produce(context.Background(), &kgo.Record{Topic: "t", Partition: p, Timestamp: now.Add(time.Hour)}, nil)
			for range each {
				w.Client.Produce(context.Background(), &kgo.Record{Topic: "t", Partition: p, Timestamp: now}, nil)
			}
		}
		if err := w.Client.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		h := new(freely)
		c, stop := w.consume(h)
		defer stop()
		time.Sleep(time.Minute)
		if n := len(h.now()); n != 4*each {
			t.Errorf("%d of %d handled while one waits in each partition", n, 4*each)
		}
		if n := c.main.overtaking.Load(); n != 0 {
			t.Errorf("%d are neither committed nor listed", n)
		}
	})
}

// TestSmallMetadata: a cluster that takes less metadata than usual (offset.metadata.max.bytes)
// refuses no commit but those that find out how much it takes. Nothing is handled twice
// there either, and what cannot be listed waits for its turn.
func TestSmallMetadata(t *testing.T) {
	for _, limit := range []int{100, 700, 1000, 2500} {
		virtual(t, 1, func(w *world) {
			var refused atomic.Int64
			w.Cluster.ControlKey(int16(kmsg.OffsetCommit), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
				w.Cluster.KeepControl()
				req := kreq.(*kmsg.OffsetCommitRequest)
				for _, topic := range req.Topics {
					for _, p := range topic.Partitions {
						if p.Metadata != nil && len(*p.Metadata) > limit {
							refused.Add(1)
							return refuseCommit(req), nil, true
						}
					}
				}
				return nil, nil, false
			})
			h := new(freely)
			_, stop := w.consume(h, slack)
			time.Sleep(5 * time.Second)
			if refused.Load() == 0 {
				t.Errorf("limit %d: it was not found out", limit)
			}
			before := refused.Load()
			w.at(time.Now(), 5*time.Minute)
			for range 20 { // more than can be listed
				due := make([]time.Duration, 1000)
				for i := range due {
					due[i] = time.Duration(i%2) * time.Second
				}
				w.at(time.Now(), due...)
				time.Sleep(2 * time.Second)
			}
			if limit >= 700 && refused.Load() > before {
				t.Errorf("limit %d: %d commits are refused", limit, refused.Load()-before)
			}
			at, ahead := w.listed()
			if n := len(h.now()); at > 1 || len(ahead) != n {
				t.Errorf("limit %d: %d handled, and %d listed behind %d", limit, n, len(ahead), at)
			}
			time.Sleep(10 * time.Minute)
			if n := len(h.now()); n != 20_001 || w.committed() != 20_001 {
				t.Errorf("limit %d: %d handled, %d committed", limit, n, w.committed())
			}
			stop()
		})
	}
}

func refuseCommit(req *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitResponse {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, topic := range req.Topics {
		to := kmsg.NewOffsetCommitResponseTopic()
		to.Topic, to.TopicID = topic.Topic, topic.TopicID
		for _, p := range topic.Partitions {
			part := kmsg.NewOffsetCommitResponseTopicPartition()
			part.Partition, part.ErrorCode = p.Partition, kerr.OffsetMetadataTooLarge.Code
			to.Partitions = append(to.Partitions, part)
		}
		resp.Topics = append(resp.Topics, to)
	}
	return resp
}

// TestFreeIsInTimeInLittleMemory: records that are free are in time where more of them wait
// than the budget holds: their lane is read as far ahead as any of them may be due.
func TestFreeIsInTimeInLittleMemory(t *testing.T) {
	virtual(t, 64, func(w *world) {
		const wait, spread = 10 * time.Second, time.Second
		h := &freelyAround{wait: wait}
		c, stop := w.consume(h, func(cfg *Config) {
			cfg.Topics[0].Wait, cfg.Topics[0].Slack = wait, spread
			cfg.Gather = 50 * time.Millisecond
		})
		defer stop()
		time.Sleep(5 * time.Second)
		rng := rand.New(rand.NewPCG(1, 1))
		const n, each, size = 30_000, 100, 1000
		full := false
		for range n / each {
			recs := make([]*kgo.Record, each)
			for i := range recs {
				value := make([]byte, size)
				for j := range value {
					value[j] = byte(rng.Uint32())
				}
				binary.BigEndian.PutUint64(value, uint64(rng.Int64N(int64(2*spread))-int64(spread)))
				recs[i] = &kgo.Record{Topic: "t", Timestamp: time.Now(), Value: value}
			}
			if err := w.Client.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
			full = full || c.held.Load()
		}
		time.Sleep(15 * time.Second)
		all := h.now()
		if len(all) != n || !full {
			t.Fatalf("%d of %d handled, held back: %t", len(all), n, full)
		}
		late := 0
		var most time.Duration
		for _, got := range all {
			most = max(most, got.at.Sub(got.Due))
			if got.at.Sub(got.Due) > 10*time.Millisecond {
				late++
			}
		}
		if late > 0 {
			t.Errorf("%d handled late, by up to %v", late, most)
		}
	})
}
