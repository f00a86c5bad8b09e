//go:build synctests

package consume

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/rawbatch"
	"github.com/delayd-io/delayd/internal/unpack"
)

// rawBatch returns a record batch that holds n records as body says, which nothing
// checks but its checksum.
func rawBatch(codec int16, n int32, body []byte) []byte {
	b := kmsg.RecordBatch{
		Length: int32(49 + len(body)), Magic: 2, Attributes: codec, LastOffsetDelta: n - 1,
		FirstTimestamp: time.Now().UnixMilli(), MaxTimestamp: time.Now().UnixMilli(),
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: n, Records: body,
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// writeRaw appends a batch to a partition of "t".
func (w *world) writeRaw(n int32, batch []byte) {
	w.t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 1000
	topic, part := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	topics, err := w.Admin.ListTopics(context.Background(), "t")
	if err != nil {
		w.t.Fatal(err)
	}
	topic.Topic, topic.TopicID = "t", topics["t"].ID
	part.Partition, part.Records = n, batch
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(context.Background(), w.Client)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err != nil {
		w.t.Fatal(err)
	}
}

// skip does what `delayd admin skip` does.
func (w *world) skip(n int32, from, to int64) {
	w.t.Helper()
	var at kadm.Offsets
	at.Add(kadm.Offset{Topic: "t", Partition: n, At: to, LeaderEpoch: -1, Metadata: fmt.Sprintf("skip %d", from)})
	if err := w.Admin.CommitAllOffsets(context.Background(), "skipped", at); err != nil {
		w.t.Fatal(err)
	}
}

func skipping(cfg *Config) { cfg.SkippedGroup = "skipped" }

// undecodable are batches that a broker accepts and no client can decode.
var undecodable = map[string][]byte{
	"gzip":   rawBatch(1, 1, []byte("no gzip")),
	"snappy": rawBatch(2, 1, []byte("no snappy")),
	"lz4":    rawBatch(3, 1, []byte("no lz4")),
	"zstd":   rawBatch(4, 1, []byte("no zstd")),
	"record": rawBatch(0, 1, []byte{200, 1, 1, 1}),
}

// TestStallOfABatch: a batch that cannot be decoded stalls its partition. Ready, the
// metric and the log say where. All others go on under the lease, also after a restart,
// until an operator skips it: then what stands before and behind it is handled, once.
func TestStallOfABatch(t *testing.T) {
	for name, batch := range undecodable {
		t.Run(name, func(t *testing.T) {
			virtual(t, 2, func(w *world) {
				w.fill(0, 0, 5, 10)
				w.writeRaw(0, batch)
				w.fill(0, 6, 5, 10)
				h := new(handler)
				c, stop := w.consume(h, skipping)
				other := 0
				run := func(seconds int) {
					for range seconds {
						w.fill(1, other, 1, 10)
						other++
						time.Sleep(time.Second)
					}
				}
				run(60)
				unready(t, c, "t/0: stalled at offset 5 for ", "delayd admin skip t/0/5")
				if n := c.cfg.Metrics.Stalled.WithLabelValues("t").Value(); n != 1 {
					t.Errorf("%v partitions are stalled, want 1", n)
				}
				if n := len(h.now()); n != 5+other {
					t.Errorf("%d handled, want %d", n, 5+other)
				}
				stop()
				c, stop = w.consume(h, skipping)
				defer stop()
				run(20)
				unready(t, c, "t/0: stalled at offset 5 for ")
				w.skip(0, 5, 6)
				run(20)
				if err := c.Ready(); err != nil {
					t.Error(err)
				}
				if n := c.cfg.Metrics.DataLoss.Value(); n != 0 {
					t.Errorf("%v are counted as lost", n)
				}
				if n := len(h.now()); n != 10+other {
					t.Errorf("%d handled, want %d", n, 10+other)
				}
				if n := w.committed(); n != int64(11+other) {
					t.Errorf("%d committed, want %d", n, 11+other)
				}
			})
		})
	}
}

// TestStallOfABomb: so does a batch that would take more memory than there is.
func TestStallOfABomb(t *testing.T) {
	virtual(t, 2, func(w *world) {
		w.writeRaw(0, rawbatch.Seal(rawbatch.HeaderFlood(kgo.CodecGzip, 10_000_000)))
		h := new(handler)
		c, stop := w.consume(h, skipping)
		defer stop()
		w.fill(1, 0, 5, 10)
		time.Sleep(time.Minute)
		unready(t, c, "t/0: stalled at offset 0 for ", "20 MiB", "MaxBatchBytes", "delayd admin skip t/0/0")
		if n := len(h.now()); n != 5 {
			t.Errorf("%d handled, want 5", n)
		}
	})
}

// TestLargeBatchesAreRead: more of them than may be held at once, each with a record of
// 16 MB that is packed, in several partitions.
func TestLargeBatchesAreRead(t *testing.T) {
	virtual(t, 4, func(w *world) {
		batch := rawbatch.Seal(rawbatch.New(kgo.CodecGzip, &kgo.Record{Value: make([]byte, 16_000_000)}))
		for p := range int32(4) {
			for range 3 {
				w.writeRaw(p, batch)
			}
		}
		h := &handler{delay: time.Minute}
		c, stop := w.consume(h)
		defer stop()
		for range 1200 {
			time.Sleep(100 * time.Millisecond)
			if n := c.main.bytes.Load(); n > unpack.MaxHeld+unpack.MaxRoom {
				t.Fatalf("%d MiB are held", n>>20)
			}
		}
		if n := len(h.now()); n != 12 {
			t.Errorf("%d handled, want 12", n)
		}
		if err := c.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// TestSkipKeepsWhatIsPending: the commit passes what is skipped after all before it is
// handled, and a restart in between delivers that.
func TestSkipKeepsWhatIsPending(t *testing.T) {
	virtual(t, 1, func(w *world) {
		w.fill(0, 0, 5, 10)
		w.writeRaw(0, undecodable["lz4"])
		w.fill(0, 6, 5, 10)
		h := &handler{delay: time.Hour}
		_, stop := w.consume(h, skipping)
		time.Sleep(time.Minute)
		w.skip(0, 5, 6)
		time.Sleep(time.Minute)
		if n := w.committed(); n != 0 {
			t.Errorf("%d committed before anything is due", n)
		}
		stop()
		_, stop = w.consume(h, skipping)
		defer stop()
		time.Sleep(2 * time.Hour)
		if n := len(h.now()); n != 10 {
			t.Errorf("%d handled, want 10", n)
		}
		if n := w.committed(); n != 11 {
			t.Errorf("%d committed, want 11", n)
		}
	})
}

// TestStallHeals: no error that a fetch gives for one partition ends the process or
// holds up the others. The partition is read on without a restart when the error is
// gone, with nothing lost and nothing twice, and is not fetched in a loop before.
func TestStallHeals(t *testing.T) {
	for _, err := range []*kerr.Error{
		kerr.TopicAuthorizationFailed, kerr.UnknownServerError, kerr.CorruptMessage, kerr.InvalidRecord, kerr.InvalidTopicException,
		kerr.UnsupportedCompressionType, kerr.PolicyViolation, kerr.UnknownTopicID, kerr.UnknownTopicOrPartition,
	} {
		t.Run(err.Message, func(t *testing.T) {
			virtual(t, 2, func(w *world) {
				h := new(handler)
				c, stop := w.consume(h)
				defer stop()
				n := 0
				run := func(seconds int) {
					for range seconds {
						w.fill(0, n, 1, 10)
						w.fill(1, n, 1, 10)
						n++
						time.Sleep(time.Second)
					}
				}
				run(10)
				var fetches atomic.Int64
				w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1, When: func(kmsg.Request) bool {
					fetches.Add(1)
					return true
				}})
				fault := w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "t", Partitions: []int32{0}, Err: err, Count: -1})
				time.Sleep(2 * fetchMaxWait) // a fetch that waits at the broker was let in before
				run(60)
				if !kerr.IsRetriable(err) {
					unready(t, c, "t/0: stalled at offset 10 for ", err.Message)
				}
				if got := len(h.now()); got != 10+n {
					t.Errorf("%d handled while one of two partitions is stalled, want %d", got, 10+n)
				}
				if got := fetches.Load(); got > 1000 {
					t.Errorf("%d fetches in a minute", got)
				}
				fault.Remove()
				run(30)
				if err := c.Ready(); err != nil {
					t.Error(err)
				}
				if got := len(h.now()); got != 2*n {
					t.Errorf("%d handled, want %d", got, 2*n)
				}
			})
		})
	}
}

// TestStallWithoutRecordsHeals: also where nothing comes behind the error.
func TestStallWithoutRecordsHeals(t *testing.T) {
	virtual(t, 1, func(w *world) {
		c, stop := w.consume(new(handler))
		defer stop()
		time.Sleep(10 * time.Second)
		fault := w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "t", Err: kerr.TopicAuthorizationFailed, Count: -1})
		time.Sleep(time.Minute)
		unready(t, c, "grant READ on topic t")
		fault.Remove()
		time.Sleep(3 * stallRetry)
		if err := c.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// TestStallIsLoggedSeldom: once, and then in a bounded way.
func TestStallIsLoggedSeldom(t *testing.T) {
	virtual(t, 1, func(w *world) {
		w.writeRaw(0, undecodable["lz4"])
		var log bytes.Buffer
		_, stop := w.consume(new(handler), func(cfg *Config) { cfg.Log = cfg.Log.Output(&log).Level(0) })
		time.Sleep(time.Hour)
		stop()
		if n := strings.Count(log.String(), "stalled at offset"); n < 2 || n > 8 {
			t.Errorf("a stall of an hour is logged %d times:\n%s", n, log.String())
		}
	})
}

// TestStallBehindATransaction: what stands before the batch is handled, also behind
// aborted records, which leave a gap. Ready names the batch.
func TestStallBehindATransaction(t *testing.T) {
	for end, handled := range map[kgo.TransactionEndTry]int{kgo.TryCommit: 5, kgo.TryAbort: 4} {
		for _, codec := range []string{"gzip", "snappy", "lz4", "zstd"} {
			t.Run(fmt.Sprint(codec, ", committed: ", end), func(t *testing.T) {
				virtual(t, 1, func(w *world) {
					w.fill(0, 0, 1, 10)
					w.transact(0, end)
					w.fill(0, 3, 3, 10)
					w.writeRaw(0, undecodable[codec])
					w.fill(0, 7, 5, 10)
					h := new(handler)
					c, stop := w.consume(h, skipping)
					defer stop()
					time.Sleep(time.Minute)
					unready(t, c, "t/0: stalled at offset 6 for ", "delayd admin skip t/0/6")
					if n := len(h.now()); n != handled {
						t.Errorf("%d handled before the batch, want %d", n, handled)
					}
					w.skip(0, 6, 7)
					time.Sleep(30 * time.Second)
					if n := len(h.now()); n != handled+5 {
						t.Errorf("%d handled, want %d", n, handled+5)
					}
				})
			})
		}
	}
}

// transact writes one record in a transaction, which ends with a marker.
func (w *world) transact(partition int32, end kgo.TransactionEndTry) {
	w.t.Helper()
	cl, err := kgo.NewClient(append(w.Opts(), kgo.TransactionalID("tx"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	if err := cl.ProduceSync(context.Background(), &kgo.Record{Topic: "t", Partition: partition, Value: []byte("in a transaction")}).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	if err := cl.EndTransaction(context.Background(), end); err != nil {
		w.t.Fatal(err)
	}
}
