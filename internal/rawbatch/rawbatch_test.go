package rawbatch_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/internal/rawbatch"
)

const topic = "raw"

var codecs = map[string]kgo.CompressionCodecType{
	"none": kgo.CodecNone, "gzip": kgo.CodecGzip, "snappy": kgo.CodecSnappy, "lz4": kgo.CodecLz4, "zstd": kgo.CodecZstd,
}

func newClient(t *testing.T) *kgo.Client {
	t.Helper()
	cluster := fakekafka.Start(t, kfake.NumBrokers(2), kfake.SeedTopics(2, topic))
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func someRecords() []*kgo.Record {
	at := time.UnixMilli(1_700_000_000_000)
	return []*kgo.Record{
		{Key: []byte("k"), Value: bytes.Repeat([]byte("value "), 100), Timestamp: at, Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "", Value: []byte{}}}},
		{Value: []byte{}, Timestamp: at.Add(-time.Hour)},
		{Key: []byte{}, Timestamp: at.Add(1000 * time.Hour), Headers: []kgo.RecordHeader{{Key: "a", Value: nil}}},
	}
}

// seen formats what a consumer gets.
func seen(r *kgo.Record) string {
	return fmt.Sprintf("%q %v %q %v %d %q", r.Key, r.Key == nil, r.Value, r.Value == nil, r.Timestamp.UnixMilli(), r.Headers)
}

func TestValidBatchesAreRead(t *testing.T) {
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			cl, ctx := newClient(t), testContext(t)
			for range 2 {
				b := rawbatch.New(codec, someRecords()...)
				if _, err := rawbatch.Produce(ctx, cl, topic, 1, rawbatch.Seal(b)); err != nil {
					t.Fatal(err)
				}
			}
			var got, want []string
			for n := 0; n < 2*len(someRecords()); {
				fetches := cl.PollFetches(ctx)
				if err := fetches.Err(); err != nil {
					t.Fatal(err)
				}
				for _, r := range fetches.Records() {
					if r.Partition != 1 || r.Offset != int64(n) {
						t.Errorf("record %d is at %d/%d", n, r.Partition, r.Offset)
					}
					got = append(got, seen(r))
					n++
				}
			}
			for range 2 {
				for _, r := range someRecords() {
					want = append(want, seen(r))
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// kfake validates the header of a batch and does not decode the records.
func TestCorruptBatchesAreAcceptedButNotRead(t *testing.T) {
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			cl, ctx := newClient(t), testContext(t)
			b := rawbatch.Corrupt(rawbatch.New(codec, &kgo.Record{Value: []byte("v")}))
			if offset, err := rawbatch.Produce(ctx, cl, topic, 0, rawbatch.Seal(b)); offset != 0 || err != nil {
				t.Fatal(offset, err)
			}
			// The client ignores a record that is cut off, without an error.
			if recs, err := decode(b); len(recs) > 0 || err == nil && codec != kgo.CodecNone {
				t.Errorf("%d records were decoded, %v", len(recs), err)
			}
		})
	}
}

// decode returns what the client decodes of b.
func decode(b *kmsg.RecordBatch) ([]*kgo.Record, error) {
	rp := kmsg.NewFetchResponseTopicPartition()
	rp.RecordBatches = rawbatch.Seal(b)
	fp, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{}, &rp, kgo.DefaultDecompressor(), nil)
	return fp.Records, fp.Err
}

func TestBrokersRefuseABrokenFrame(t *testing.T) {
	cl, ctx := newClient(t), testContext(t)
	sealed := func(change func(*kmsg.RecordBatch)) []byte {
		b := rawbatch.New(kgo.CodecNone, someRecords()...)
		change(b)
		return rawbatch.Seal(b)
	}
	short := sealed(func(*kmsg.RecordBatch) {})
	rawbatch.SetLength(short, 50)
	for name, batch := range map[string][]byte{
		"length":  short,
		"count":   sealed(func(b *kmsg.RecordBatch) { b.NumRecords++ }),
		"control": sealed(func(b *kmsg.RecordBatch) { b.Attributes |= 0x20 }),
		"garbage": []byte("garbage"),
	} {
		if _, err := rawbatch.Produce(ctx, cl, topic, 0, batch); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	claimed := sealed(func(b *kmsg.RecordBatch) { b.NumRecords += 5; b.LastOffsetDelta += 5 })
	if _, err := rawbatch.Produce(ctx, cl, topic, 0, claimed); err != nil {
		t.Errorf("more records claimed than there are: %v", err)
	}
}

func TestBombsAreSmallAndCheap(t *testing.T) {
	const size = 100_000_000
	for name, limit := range map[string]int{"gzip": 100_000, "lz4": 400_000, "zstd": 4_000} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		bomb, flood := rawbatch.Bomb(codecs[name], size), rawbatch.HeaderFlood(codecs[name], size/2)
		runtime.ReadMemStats(&after)
		if n := len(bomb.Records); n > limit {
			t.Errorf("%s: a bomb of %d bytes", name, n)
		}
		if n := len(flood.Records); n > limit {
			t.Errorf("%s: a flood of %d bytes", name, n)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 32<<20 {
			t.Errorf("%s: making them took %d bytes", name, n)
		}
	}
}

// The sizes include those around the limits of the formats' blocks.
func TestBombsAreValid(t *testing.T) {
	for name, codec := range codecs {
		for _, size := range []int{0, 1, 31, 32, 300, 128 << 10, 4<<20 + 20} {
			bomb, flood := read(t, rawbatch.Bomb(codec, size)), read(t, rawbatch.HeaderFlood(codec, size/4))
			if len(bomb.Value) != size || len(bytes.Trim(bomb.Value, "\x00")) > 0 || len(bomb.Headers) != 0 {
				t.Errorf("%s: a bomb of %d is %d bytes and %d headers", name, size, len(bomb.Value), len(bomb.Headers))
			}
			if len(flood.Value) != 0 || len(flood.Headers) != size/4 {
				t.Errorf("%s: a flood of %d is %d bytes and %d headers", name, size/4, len(flood.Value), len(flood.Headers))
			}
		}
	}
}

func read(t *testing.T, b *kmsg.RecordBatch) *kgo.Record {
	t.Helper()
	recs, err := decode(b)
	if err != nil || len(recs) != 1 {
		t.Fatalf("%d records, %v", len(recs), err)
	}
	return recs[0]
}
