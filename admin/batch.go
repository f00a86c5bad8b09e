package admin

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/internal/unpack"
)

const (
	// fetchWaitMillis is how long the broker may wait for the batch, which is there.
	fetchWaitMillis = 1000
)

// A batch of the format that all brokers since Kafka 0.11 store.
const (
	batchHead   = 12 // bytes in front of what the length counts
	batchMagic  = 2
	codecMask   = 7
	magicAt     = 16
	leastHeader = 2 // bytes of a header of a record
)

// rawBatch is a batch as the broker stores it.
type rawBatch struct {
	bytes       []byte
	first, last int64 // the offsets that it spans
	header      kmsg.RecordBatch
	fetched     kmsg.FetchResponseTopicPartition // with this batch alone
	records     []*kgo.Record                    // without markers of transactions and aborted records
	fault       error                            // why the service cannot read it
}

// fetchBatch reads the first batch that ends at an offset or after it.
func fetchBatch(ctx context.Context, cl *kgo.Client, at Place) (*rawBatch, error) {
	b, err := requestBatch(ctx, cl, at)
	if err != nil {
		return nil, fmt.Errorf("fetch the batch at %v: %w", at, connect.GrantTopic(err, connect.Read, at.Topic))
	}
	b.records, b.fault = b.decode(at.Topic)
	return b, nil
}

// since returns the records of the batch from an offset on.
func (b *rawBatch) since(offset int64) []*kgo.Record {
	i := slices.IndexFunc(b.records, func(rec *kgo.Record) bool { return rec.Offset >= offset })
	if i < 0 {
		return nil
	}
	return b.records[i:]
}

func requestBatch(ctx context.Context, cl *kgo.Client, at Place) (*rawBatch, error) {
	leader, id, err := offsets.Leader(ctx, cl, offsets.Partition{Topic: at.Topic, Partition: at.Partition})
	if err != nil {
		return nil, err
	}
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = at.Partition, at.Offset, 1 // one batch comes whole, whatever its size
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = at.Topic, id
	t.Partitions = append(t.Partitions, p)
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes = -1, fetchWaitMillis, 1
	req.IsolationLevel = 1 // read committed, as the service does
	req.SessionEpoch = -1  // no session
	req.Topics = append(req.Topics, t)
	answer, err := cl.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, errors.New("the broker left the partition out of its answer")
	}
	got := resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
		return nil, err
	}
	return readBatch(got, at.Offset)
}

// readBatch reads the header of the first batch that was fetched.
func readBatch(fetched kmsg.FetchResponseTopicPartition, offset int64) (*rawBatch, error) {
	b := &rawBatch{bytes: fetched.RecordBatches, fetched: fetched}
	if len(b.bytes) <= magicAt {
		return nil, errors.New("the broker sent none")
	}
	if n := int64(binary.BigEndian.Uint32(b.bytes[8:])) + batchHead; n <= int64(len(b.bytes)) {
		b.bytes = b.bytes[:n]
	}
	b.fetched.RecordBatches = b.bytes
	b.first = int64(binary.BigEndian.Uint64(b.bytes))
	b.last = b.first
	if b.bytes[magicAt] == batchMagic {
		if err := b.header.ReadFrom(b.bytes); err != nil {
			return nil, fmt.Errorf("its header cannot be read: %w", err)
		}
		b.last += int64(b.header.LastOffsetDelta)
	}
	if b.last < max(offset, b.first) {
		return nil, fmt.Errorf("the broker sent one with the offsets %d to %d", b.first, b.last)
	}
	return b, nil
}

// codec is how the records are compressed.
func (b *rawBatch) codec() string {
	switch c := kgo.CompressionCodecType(b.header.Attributes & codecMask); c {
	case kgo.CodecNone:
		return "none"
	case kgo.CodecGzip:
		return "gzip"
	case kgo.CodecSnappy:
		return "snappy"
	case kgo.CodecLz4:
		return "lz4"
	case kgo.CodecZstd:
		return "zstd"
	default:
		return fmt.Sprintf("unknown (%d)", c)
	}
}

// decode returns the records of the batch without markers of transactions and aborted
// records. The error says why the service cannot read it.
func (b *rawBatch) decode(topic string) ([]*kgo.Record, error) {
	if magic := b.bytes[magicAt]; magic != batchMagic {
		return nil, fmt.Errorf("the format of the batch is %d, and only %d is known", magic, batchMagic)
	}
	records, err := unpack.Single().Decompress(b.header.Records, kgo.CompressionCodecType(b.header.Attributes&codecMask))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if err := checkRecords(records, b.header.NumRecords); err != nil {
		return nil, err
	}
	o := kgo.ProcessFetchPartitionOpts{Topic: topic, Partition: b.fetched.Partition, Offset: b.first, IsolationLevel: kgo.ReadCommitted()}
	var decoded int
	p, _ := kgo.ProcessFetchPartition(o, &b.fetched, unpack.Single(), func(m kgo.FetchBatchMetrics) { decoded = m.NumRecords })
	if p.Err == nil && decoded != int(b.header.NumRecords) {
		return nil, fmt.Errorf("its header claims %d records, and record %d is malformed", b.header.NumRecords, decoded+1)
	}
	if p.Err != nil {
		return nil, p.Err
	}
	return p.Records, nil
}

// checkRecords walks through the records of a batch without decoding them: the client
// allocates for what they claim, and ignores what is cut off.
func checkRecords(in []byte, want int32) error {
	for i := range want {
		body, rest, ok := cutSized(in)
		if !ok || body == nil {
			return fmt.Errorf("its header claims %d records, and record %d is cut off or malformed", want, i+1)
		}
		if !headed(body) {
			return fmt.Errorf("record %d of %d is malformed", i+1, want)
		}
		in = rest
	}
	if want == 0 && len(in) > 0 {
		return fmt.Errorf("its header claims no record, and it has %d bytes of them", len(in))
	}
	return nil
}

// headed reports whether a record has all parts in front of its headers, and as many
// bytes as the headers that it claims need.
func headed(record []byte) bool {
	if len(record) == 0 {
		return false
	}
	in := record[1:] // the attributes
	for range 2 {    // when, and at which offset
		_, used := binary.Varint(in)
		if used <= 0 {
			return false
		}
		in = in[used:]
	}
	for range 2 { // key and value
		var ok bool
		if _, in, ok = cutSized(in); !ok {
			return false
		}
	}
	n, used := binary.Varint(in)
	return used > 0 && n >= 0 && n <= int64(len(in)-used)/leastHeader
}

// cutSized cuts off bytes that have their length in front; -1 is null.
func cutSized(in []byte) (sized, rest []byte, ok bool) {
	n, used := binary.Varint(in)
	switch {
	case used <= 0 || n < -1 || n > int64(len(in)-used):
		return nil, nil, false
	case n == -1:
		return nil, in[used:], true
	}
	end := used + int(n)
	return in[used:end:end], in[end:], true
}
