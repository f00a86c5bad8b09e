// Package rawbatch builds record batches of any shape for tests, including shapes that
// no client sends, and produces them unchanged.
//
// [New] returns a valid [kmsg.RecordBatch]. A test changes any field of it (attributes,
// counts, timestamps, the compressed records). [Seal] then computes the batch's length
// and checksum.
//
// kfake validates the header alone and accepts any records. Apache Kafka decompresses and
// validates what a producer sends: it refuses corrupt gzip, snappy and zstd and a wrong
// number of records. It accepts bombs, floods of headers, and lz4 whose content checksum
// is wrong, which it does not verify and the client does.
package rawbatch

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/offsets"
)

// CodecMask selects the codec from the attributes of a batch.
const CodecMask = 7

// Where the fields of a sealed batch begin, in bytes.
const (
	lengthAt     = 8
	bodyAt       = 12 // the length counts what follows
	crcAt        = 17
	coveredByCRC = 21
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// New returns a valid batch of records, compressed by codec. A record without a
// timestamp gets that of the first record; the first record defaults to 0.
func New(codec kgo.CompressionCodecType, records ...*kgo.Record) *kmsg.RecordBatch {
	b := &kmsg.RecordBatch{
		PartitionLeaderEpoch: -1,
		Magic:                2,
		Attributes:           int16(codec),
		LastOffsetDelta:      int32(len(records) - 1),
		NumRecords:           int32(len(records)),
		ProducerID:           -1,
		ProducerEpoch:        -1,
		FirstSequence:        -1,
	}
	for i, r := range records {
		at := b.FirstTimestamp
		if !r.Timestamp.IsZero() {
			at = r.Timestamp.UnixMilli()
		}
		if i == 0 {
			b.FirstTimestamp = at
		}
		b.MaxTimestamp = max(b.MaxTimestamp, at)
	}
	b.Records = Compress(codec, Payload(b.FirstTimestamp, records...))
	return b
}

// Payload returns the uncompressed records of a batch whose first timestamp is first,
// in milliseconds.
func Payload(first int64, records ...*kgo.Record) []byte {
	var out []byte
	for i, r := range records {
		k := kmsg.Record{OffsetDelta: int32(i), Key: r.Key, Value: r.Value}
		if !r.Timestamp.IsZero() {
			k.TimestampDelta64 = r.Timestamp.UnixMilli() - first
		}
		for _, h := range r.Headers {
			k.Headers = append(k.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
		}
		k.Length = int32(len(k.AppendTo(nil)) - 1) // a length of 0 takes one byte
		out = k.AppendTo(out)
	}
	return out
}

// Compress returns payload compressed by codec. It panics if the codec does not exist.
func Compress(codec kgo.CompressionCodecType, payload []byte) []byte {
	var by kgo.CompressionCodec
	switch codec {
	case kgo.CodecNone:
		return payload
	case kgo.CodecGzip:
		by = kgo.GzipCompression()
	case kgo.CodecSnappy:
		by = kgo.SnappyCompression()
	case kgo.CodecLz4:
		by = kgo.Lz4Compression()
	case kgo.CodecZstd:
		by = kgo.ZstdCompression()
	default:
		panic(fmt.Sprintf("rawbatch: no codec %d", codec))
	}
	c, err := kgo.DefaultCompressor(by)
	if err != nil {
		panic(err)
	}
	out, used := c.Compress(new(bytes.Buffer), payload)
	if used != codec {
		panic(fmt.Sprintf("rawbatch: compress by codec %d failed", codec))
	}
	return bytes.Clone(out)
}

// Corrupt makes the records of b impossible to decode and returns b:
//
//   - lz4: the content checksum is wrong. Kafka's brokers do not verify it.
//   - gzip: the second half is missing.
//   - snappy and zstd: the data are garbage.
//   - none: the first record claims to be longer than the batch.
func Corrupt(b *kmsg.RecordBatch) *kmsg.RecordBatch {
	switch n := len(b.Records); kgo.CompressionCodecType(b.Attributes & CodecMask) {
	case kgo.CodecLz4:
		b.Records[n-1]++
	case kgo.CodecGzip:
		b.Records = b.Records[:n/2]
	case kgo.CodecNone:
		b.Records = append(binary.AppendVarint(nil, int64(n)+1), b.Records...)
	default:
		b.Records = bytes.Repeat([]byte{0xff}, max(n, 16))
	}
	return b
}

// Seal returns the wire format of b with the right length and checksum.
func Seal(b *kmsg.RecordBatch) []byte {
	out := b.AppendTo(nil)
	binary.BigEndian.PutUint32(out[lengthAt:], uint32(len(out)-bodyAt))
	binary.BigEndian.PutUint32(out[crcAt:], crc32.Checksum(out[coveredByCRC:], castagnoli))
	return out
}

// SetLength overwrites the length field of a sealed batch.
func SetLength(sealed []byte, length int32) {
	binary.BigEndian.PutUint32(sealed[lengthAt:], uint32(length))
}

// Produce sends a sealed batch, or any other bytes, to the leader of a partition and
// returns the offset of its first record. It does not retry.
func Produce(ctx context.Context, client *kgo.Client, topic string, partition int32, batch []byte) (int64, error) {
	offset, err := produce(ctx, client, topic, partition, batch)
	if err != nil {
		return -1, fmt.Errorf("produce a raw batch of %d bytes to %s/%d: %w", len(batch), topic, partition, err)
	}
	return offset, nil
}

func produce(ctx context.Context, client *kgo.Client, topic string, partition int32, batch []byte) (int64, error) {
	leader, id, err := offsets.Leader(ctx, client, offsets.Partition{Topic: topic, Partition: partition})
	if err != nil {
		return -1, err
	}
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, batch
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = topic, id
	t.Partitions = append(t.Partitions, p)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	req.Topics = append(req.Topics, t)
	answer, err := client.Broker(int(leader)).Request(ctx, req)
	if err != nil {
		return -1, err
	}
	resp := answer.(*kmsg.ProduceResponse)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return -1, errors.New("the broker did not answer for this partition")
	}
	got := resp.Topics[0].Partitions[0]
	err = kerr.ErrorForCode(got.ErrorCode)
	if err != nil && got.ErrorMessage != nil {
		err = fmt.Errorf("%w (%s)", err, *got.ErrorMessage)
	}
	return got.BaseOffset, err
}
