package produce

import (
	"bytes"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// anyRecord draws a record: null and empty keys, values and headers among others.
func anyRecord(t *rapid.T) *kgo.Record {
	bytesOrNil := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 200))
	rec := &kgo.Record{
		Key: bytesOrNil.Draw(t, "key"), Value: bytesOrNil.Draw(t, "value"),
		Timestamp: time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "timestamp")),
	}
	for range rapid.IntRange(0, 5).Draw(t, "headers") {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: rapid.String().Draw(t, "header"), Value: bytesOrNil.Draw(t, "header value")})
	}
	return rec
}

// TestRecordEncoding compares the encoding with that of kmsg, field by field.
func TestRecordEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rec := anyRecord(t)
		timeDelta, offsetDelta := rapid.Int64Range(-1<<40, 1<<40).Draw(t, "time delta"), rapid.Int32Range(0, maxInt32).Draw(t, "offset delta")
		twin := kmsg.Record{
			TimestampDelta64: timeDelta, OffsetDelta: offsetDelta, Key: rec.Key, Value: rec.Value,
		}
		for _, h := range rec.Headers {
			twin.Headers = append(twin.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
		}
		got := appendRecord(nil, rec, timeDelta, int64(offsetDelta))
		twin.Length = int32(len(twin.AppendTo(nil)) - 1) // its own length, 0, takes one byte
		if want := twin.AppendTo(nil); !bytes.Equal(got, want) {
			t.Fatalf("encoded\n%x, want\n%x", got, want)
		}
	})
}

const maxInt32 = 1<<31 - 1

// TestBatchHeader reads a batch with kmsg: what is not compressed is what it was
// made of, in order.
func TestBatchHeader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &Batch{Records: rapid.SliceOfN(rapid.Custom(anyRecord), 1, 20).Draw(t, "records")}
		b.encode(nil)
		id, sequence := identity{producer: rapid.Int64().Draw(t, "id"), epoch: rapid.Int16().Draw(t, "epoch")}, rapid.Int32().Draw(t, "sequence")
		b.stamp(id, sequence)
		var got kmsg.RecordBatch
		if err := got.ReadFrom(b.raw); err != nil {
			t.Fatal(err)
		}
		if got.ProducerID != id.producer || got.ProducerEpoch != id.epoch || got.FirstSequence != sequence ||
			int(got.NumRecords) != len(b.Records) || int(got.LastOffsetDelta) != len(b.Records)-1 || got.Magic != magic || got.Attributes != 0 {
			t.Errorf("header %+v", got)
		}
		rest := got.Records
		for i, rec := range b.Records {
			want := appendRecord(nil, rec, rec.Timestamp.UnixMilli()-b.Records[0].Timestamp.UnixMilli(), int64(i))
			if !bytes.HasPrefix(rest, want) {
				t.Fatalf("record %d differs", i)
			}
			rest = rest[len(want):]
		}
		if len(rest) > 0 {
			t.Errorf("%d bytes behind the last record", len(rest))
		}
	})
}

// TestCodecOfSmallBatches: a batch has its codec also where that makes it larger, but
// for one that is to be as small as possible.
func TestCodecOfSmallBatches(t *testing.T) {
	for want, codec := range map[kgo.CompressionCodecType]kgo.CompressionCodec{
		kgo.CodecNone: kgo.NoCompression(), kgo.CodecGzip: kgo.GzipCompression(), kgo.CodecSnappy: kgo.SnappyCompression(),
		kgo.CodecLz4: kgo.Lz4Compression(), kgo.CodecZstd: kgo.ZstdCompression(),
	} {
		compressor, err := kgo.DefaultCompressor(codec)
		if err != nil {
			t.Fatal(err)
		}
		b := &Batch{Records: []*kgo.Record{{Value: []byte("x"), Timestamp: time.UnixMilli(1)}}}
		b.encode(compressor)
		if got := kgo.CompressionCodecType(b.codec); got != want {
			t.Errorf("codec %d, want %d", got, want)
		}
		if compressor == nil {
			continue
		}
		if b.encode(IfSmaller(compressor)); b.codec != 0 {
			t.Errorf("codec %d makes a batch larger that is to be small", b.codec)
		}
	}
}
