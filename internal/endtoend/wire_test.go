//go:build synctests

package endtoend

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// TestCompression: what is delivered has the codec that was asked for, a single record
// as well as a batch, from a level as well as without delay, and by default none.
func TestCompression(t *testing.T) {
	// Not zstd: its encoder has a finalizer, which no bubble survives.
	codecs := map[kgo.CompressionCodecType]kgo.CompressionCodec{
		kgo.CodecNone: {}, kgo.CodecGzip: kgo.GzipCompression(), kgo.CodecSnappy: kgo.SnappyCompression(), kgo.CodecLz4: kgo.Lz4Compression(),
	}
	for codec, setting := range codecs {
		eachDelivery(t, func(t *testing.T, mode change) {
			virtual(t, "5s", []string{"orders"}, func(w *world) {
				s := w.serve("one", mode, func(rc *router.Config, fc *forwarder.Config) {
					rc.Compression, fc.Compression = setting, setting
				})
				defer s.stop()
				s.joined()
				value := strings.Repeat("x", 1000)
				w.send(w.request("0", "orders", "a", value))
				w.send(w.direct("5s", "orders", "a", value))
				time.Sleep(10 * time.Second)
				var batch []*kgo.Record
				for range 20 {
					batch = append(batch, w.direct("5s", "orders", "a", value))
				}
				w.send(batch...)
				got := w.watchCommitted("orders").wait(22, time.Minute)
				if len(got) != 22 {
					t.Fatalf("%d records, want 22", len(got))
				}
				for _, a := range got {
					if c := kgo.CompressionCodecType(a.Attrs.CompressionType()); c != codec {
						t.Errorf("record %d has codec %d, want %d", a.Offset, c, codec)
					}
				}
			})
		})
	}
}

// TestOwnTopicsKeepTheirCodec: at least once, the codec of targets is not that of levels
// and dead letters.
func TestOwnTopicsKeepTheirCodec(t *testing.T) {
	virtual(t, "5s", []string{"orders"}, func(w *world) {
		s := w.serve("one")
		defer s.stop()
		s.joined()
		value := strings.Repeat("x", 1000)
		w.send(w.request("5s", "orders", "a", value), w.request("nonsense", "orders", "a", value))
		got := w.watch(w.Names.Level(levels.Level{Delay: 5 * time.Second}), w.Names.Dead()).wait(2, time.Minute)
		if len(got) != 2 {
			t.Fatalf("%d records, want 2", len(got))
		}
		for _, a := range got {
			if c := kgo.CompressionCodecType(a.Attrs.CompressionType()); c != kgo.CodecSnappy {
				t.Errorf("%s has codec %d, want snappy", a.Topic, c)
			}
		}
	})
}

// TestKeylessSpread: 200 records without a key at 50/s go to all partitions of their
// target, as with Kafka's own producer (KIP-480); due together, they stay together.
func TestKeylessSpread(t *testing.T) {
	const (
		partitions = 12
		single     = 200
		together   = 6000
	)
	eachDelivery(t, func(t *testing.T, mode change) {
		virtual(t, "5s", nil, func(w *world) {
			if err := w.Cluster.CreateTopic("orders", partitions, nil); err != nil {
				t.Fatal(err)
			}
			s := w.serve("one", mode)
			defer s.stop()
			s.joined()
			keyless := func(i int) *kgo.Record {
				rec := w.direct("5s", "orders", "", fmt.Sprint(i))
				rec.Key = nil
				return rec
			}
			got := w.watchCommitted("orders")
			for i := range single {
				w.send(keyless(i))
				time.Sleep(20 * time.Millisecond)
			}
			on := make(map[int32]int)
			for _, a := range got.wait(single, time.Minute) {
				on[a.Partition]++
			}
			if len(on) < partitions {
				t.Errorf("%d records at 50/s are on %d of %d partitions: %v", single, len(on), partitions, on)
			}
			for _, n := range on {
				if n > single/3 {
					t.Errorf("%d of %d records are on one partition", n, single)
				}
			}

			var release []*kgo.Record
			for i := range together {
				release = append(release, keyless(i))
			}
			w.send(release...)
			batches := w.countBatches()
			got.wait(single+together, time.Minute)
			if n := batches.Load(); n > together/20 {
				t.Errorf("%d records due together came in %d batches", together, n)
			}
		})
	})
}

// countBatches counts the batches that are written from now on, to a broker that takes a
// millisecond to answer: while it does, records gather. One that takes no time gets as
// many batches as the scheduler has the sender run.
func (w *world) countBatches() *atomic.Int64 {
	n := new(atomic.Int64)
	w.Cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.Cluster.KeepControl()
		for _, t := range req.(*kmsg.ProduceRequest).Topics {
			n.Add(int64(len(t.Partitions)))
		}
		w.Cluster.SleepControl(func() { time.Sleep(time.Millisecond) })
		return nil, nil, false
	})
	return n
}
