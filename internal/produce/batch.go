package produce

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
)

// Batch is the records of one partition that are written together.
type Batch struct {
	Records []*kgo.Record
	// Compressor compresses the batch, also where that makes it larger, as Kafka's own
	// producer does: every batch shows a consumer that cannot read the codec. Nil: none.
	Compressor kgo.Compressor
	// Small compresses with gzip instead, where that makes the batch smaller: for a
	// record that its topic takes only if it is made as small as possible. Every client
	// reads gzip.
	Small bool

	raw       []byte // encoded; empty: not yet
	plain     int    // bytes of the records before compression
	codec     uint8  // as in the batch's attributes
	attempts  int    // how often it was written to a connection
	id        identity
	sequence  int32
	abandoned bool // guarded by Producer.mu
}

var batches = sync.Pool{New: func() any { return new(Batch) }}

// NewBatch returns an empty batch.
func NewBatch() *Batch { return batches.Get().(*Batch) }

const (
	// keptBatch bounds the buffer that a batch keeps for reuse, in bytes: there are as
	// many batches as partitions, and most hold little.
	keptBatch = 64 << 10
	// keptScratch is the same for what encoding needs for a moment.
	keptScratch = 2 << 20
)

// Free returns the batch's memory. The batch has been answered, and nobody
// refers to it any more.
func (b *Batch) Free() {
	if cap(b.raw) > keptBatch {
		b.raw = nil
	}
	clear(b.Records)
	*b = Batch{Records: b.Records[:0], raw: b.raw[:0]}
	batches.Put(b)
}

// The layout of a record batch, version 2 (KIP-98), in bytes from its start.
const (
	lengthAt     = 8
	afterLength  = 12 // the length counts what follows it
	magicAt      = 16
	crcAt        = 17
	attributesAt = 21 // the checksum covers everything from here on
	lastDeltaAt  = 23
	firstTimeAt  = 27
	maxTimeAt    = 35
	producerAt   = 43
	epochAt      = 51
	sequenceAt   = 53
	countAt      = 57
	headerBytes  = 61

	magic = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// scratch is what encoding needs beside the batch.
type scratch struct {
	records    []byte
	compressed bytes.Buffer
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// encode writes the records as a record batch without identity. compressor may be
// nil: then they are not compressed.
func (b *Batch) encode(compressor kgo.Compressor) {
	raw := append(slices.Grow(b.raw[:0], headerBytes), make([]byte, headerBytes)...)
	b.codec = 0
	var latest int64
	if compressor == nil {
		raw, latest = b.appendRecords(raw) // where they stay
		b.plain = len(raw) - headerBytes
	} else {
		raw, latest = b.appendCompressed(raw, compressor)
	}
	binary.BigEndian.PutUint32(raw[lengthAt:], uint32(len(raw)-afterLength))
	binary.BigEndian.PutUint32(raw[afterLength:], ^uint32(0)) // leader epoch: not known
	raw[magicAt] = magic
	binary.BigEndian.PutUint16(raw[attributesAt:], uint16(b.codec))
	binary.BigEndian.PutUint32(raw[lastDeltaAt:], uint32(len(b.Records)-1))
	binary.BigEndian.PutUint64(raw[firstTimeAt:], uint64(b.Records[0].Timestamp.UnixMilli()))
	binary.BigEndian.PutUint64(raw[maxTimeAt:], uint64(latest))
	binary.BigEndian.PutUint32(raw[countAt:], uint32(len(b.Records)))
	b.raw = raw
}

// appendRecords appends the encoded records, and returns the latest of their times, in
// Unix ms.
func (b *Batch) appendRecords(dst []byte) (_ []byte, latest int64) {
	first := b.Records[0].Timestamp.UnixMilli()
	latest = first
	dst = slices.Grow(dst, b.size())
	for i, rec := range b.Records {
		at := rec.Timestamp.UnixMilli()
		latest = max(latest, at)
		dst = appendRecord(dst, rec, at-first, int64(i))
	}
	return dst, latest
}

// appendCompressed does the same, and compresses them.
func (b *Batch) appendCompressed(dst []byte, compressor kgo.Compressor) (_ []byte, latest int64) {
	s := scratches.Get().(*scratch)
	defer func() {
		if cap(s.records) <= keptScratch && s.compressed.Cap() <= keptScratch {
			scratches.Put(s)
		}
	}()
	s.records, latest = b.appendRecords(s.records[:0])
	b.plain = len(s.records)
	s.compressed.Reset()
	compressed, codec := compressor.Compress(&s.compressed, s.records)
	if compressed == nil { // it failed
		return append(dst, s.records...), latest
	}
	b.codec = uint8(codec)
	return append(dst, compressed...), latest
}

// IfSmaller returns a compressor that leaves as it is what c would make larger.
func IfSmaller(c kgo.Compressor) kgo.Compressor { return ifSmaller{c} }

type ifSmaller struct{ kgo.Compressor }

func (c ifSmaller) Compress(dst *bytes.Buffer, src []byte, flags ...kgo.CompressFlag) ([]byte, kgo.CompressionCodecType) {
	if small, codec := c.Compressor.Compress(dst, src, flags...); small != nil && len(small) < len(src) {
		return small, codec
	}
	return src, kgo.CodecNone
}

// stamp gives the encoded batch its identity and checksum.
func (b *Batch) stamp(id identity, sequence int32) {
	b.id, b.sequence = id, sequence
	binary.BigEndian.PutUint64(b.raw[producerAt:], uint64(id.producer))
	binary.BigEndian.PutUint16(b.raw[epochAt:], uint16(id.epoch))
	binary.BigEndian.PutUint32(b.raw[sequenceAt:], uint32(sequence))
	binary.BigEndian.PutUint32(b.raw[crcAt:], crc32.Checksum(b.raw[attributesAt:], castagnoli))
}

// size is how many bytes the records take at most before compression.
func (b *Batch) size() (n int) {
	for _, rec := range b.Records {
		n += record.RecordBytes + len(rec.Key) + len(rec.Value)
		for i := range rec.Headers {
			n += record.HeaderBytes + len(rec.Headers[i].Key) + len(rec.Headers[i].Value)
		}
	}
	return n
}

// appendRecord appends rec in the encoding of a record batch.
func appendRecord(dst []byte, rec *kgo.Record, timeDelta, offsetDelta int64) []byte {
	size := 1 + varintLen(timeDelta) + varintLen(offsetDelta) +
		bytesLen(rec.Key) + bytesLen(rec.Value) + varintLen(int64(len(rec.Headers)))
	for i := range rec.Headers {
		h := &rec.Headers[i]
		size += varintLen(int64(len(h.Key))) + len(h.Key) + bytesLen(h.Value)
	}
	dst = binary.AppendVarint(dst, int64(size))
	dst = append(dst, 0) // attributes: none are defined
	dst = binary.AppendVarint(dst, timeDelta)
	dst = binary.AppendVarint(dst, offsetDelta)
	dst = appendBytes(dst, rec.Key)
	dst = appendBytes(dst, rec.Value)
	dst = binary.AppendVarint(dst, int64(len(rec.Headers)))
	for i := range rec.Headers {
		h := &rec.Headers[i]
		dst = binary.AppendVarint(dst, int64(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendBytes(dst, h.Value)
	}
	return dst
}

// appendBytes appends b behind its length; nil is null, length -1.
func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

// bytesLen returns how many bytes appendBytes appends.
func bytesLen(b []byte) int {
	if b == nil {
		return 1
	}
	return varintLen(int64(len(b))) + len(b)
}

// varintLen returns how many bytes binary.AppendVarint appends.
func varintLen(n int64) int {
	u := uint64(n<<1) ^ uint64(n>>63)
	size := 1
	for ; u >= 0x80; u >>= 7 {
		size++
	}
	return size
}
