// Package unpack unpacks record batches within bounds of memory.
package unpack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A few bytes on the wire can unpack to gigabytes, and two bytes of a record to a header
// that takes forty. franz-go bounds what one batch unpacks to, neither what its records
// take nor several batches together. So batches are unpacked here, where both are
// counted before franz-go allocates for the records.

const (
	// MaxBatchBytes is how much memory the records of one compressed batch may take
	// once they are unpacked: enough for a record of 16 MB with large headers.
	// Higher does not fit into what the process is promised to take.
	MaxBatchBytes = 20 << 20
	// MaxRoom is the same for all batches that share a Room. What is above waits.
	MaxRoom = 32 << 20
	// MaxHeld is how much a consumer may hold together with a batch of more than
	// unpackFirst that is unpacked for it.
	MaxHeld = 48 << 20
	// unpackFirst is how much of a batch is unpacked before its size is counted.
	unpackFirst = 2 << 20
)

var (
	// ErrNoRoom says that a batch is read when memory is free again.
	ErrNoRoom = errors.New("the memory for what is unpacked is used")
	// ErrTooLarge says that a batch is above MaxBatchBytes.
	ErrTooLarge = fmt.Errorf("a batch takes more than %d MiB of memory when it is unpacked (MaxBatchBytes)", MaxBatchBytes>>20)
)

// Room counts what is unpacked and not yet taken over by who reads it. It is safe for use
// by several goroutines.
type Room struct{ used atomic.Int64 }

// take reports whether n more bytes fit.
func (r *Room) take(n int64) bool {
	if r.used.Add(n) <= MaxRoom {
		return true
	}
	r.used.Add(-n)
	return false
}

// Give takes n bytes back. What franz-go dropped was not counted down: see Reset.
func (r *Room) Give(n int64) {
	if r.used.Add(-n) < 0 {
		r.used.Store(0)
	}
}

// Reset forgets what was taken, which franz-go may have dropped unseen.
func (r *Room) Reset() { r.used.Store(0) }

// unpacker unpacks batches within bounds. It is safe for use by several goroutines.
type unpacker struct {
	room *Room
	held func() int64 // what the consumer holds
	gz   sync.Pool
	lz   sync.Pool
	zs   sync.Pool
}

var _ kgo.Decompressor = new(unpacker)

// New returns what unpacks the batches of a consumer. held is what the consumer holds
// already, in bytes; nil is nothing. Who takes over what is unpacked gives the room back.
func New(room *Room, held func() int64) kgo.Decompressor {
	if held == nil {
		held = func() int64 { return 0 }
	}
	return &unpacker{room: room, held: held}
}

// Single returns what unpacks one batch within the bounds of a consumer that holds
// nothing, for those who look at a batch that a consumer cannot read.
func Single() kgo.Decompressor { return New(new(Room), nil) }

// Decompress is called by franz-go for each compressed batch. Its error makes franz-go
// deliver what came before the batch, or else return the error for the partition.
func (u *unpacker) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if codec == kgo.CodecNone {
		return src, nil
	}
	out, err := u.unpack(src, codec)
	if err != nil {
		return nil, err
	}
	u.room.Give(int64(len(out)))
	if err := u.admit(recordsTake(out)); err != nil {
		return nil, err
	}
	return out, nil
}

// unpack unpacks src into a buffer of its exact size, which it has taken room for.
func (u *unpacker) unpack(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	switch codec {
	case kgo.CodecSnappy:
		return u.snappy(src)
	case kgo.CodecZstd:
		return u.zstd(src)
	}
	open, closed, err := u.reader(codec)
	if err != nil {
		return nil, err
	}
	defer closed()
	r, err := open(src)
	if err != nil {
		return nil, err
	}
	first := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(first)
	first.Reset()
	n, err := io.Copy(first, io.LimitReader(r, unpackFirst))
	if err != nil {
		return nil, err
	}
	more := int64(0)
	if n == unpackFirst {
		if more, err = io.Copy(io.Discard, io.LimitReader(r, MaxBatchBytes-n+1)); err != nil {
			return nil, err
		}
	}
	size := n + more
	if err := u.admit(size); err != nil {
		return nil, err
	}
	out := make([]byte, size)
	if more == 0 {
		copy(out, first.Bytes())
		return out, nil
	}
	if r, err = open(src); err == nil {
		_, err = io.ReadFull(r, out)
	}
	if err != nil {
		u.room.Give(size)
		return nil, err
	}
	return out, nil
}

// admit takes room for a batch of size bytes. A large one has to wait, too, while the
// consumer holds much: each of its lanes may fetch a batch, however much the others hold.
func (u *unpacker) admit(size int64) error {
	switch {
	case size > MaxBatchBytes:
		return ErrTooLarge
	case size > unpackFirst && u.held()+u.room.used.Load()+size > MaxHeld, !u.room.take(size):
		return ErrNoRoom
	}
	return nil
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// reader returns how to begin to read what is packed with a codec, as often as wanted,
// and what gives the codec back.
func (u *unpacker) reader(codec kgo.CompressionCodecType) (open func([]byte) (io.Reader, error), closed func(), err error) {
	switch codec {
	case kgo.CodecGzip:
		r, _ := u.gz.Get().(*gzip.Reader)
		if r == nil {
			r = new(gzip.Reader)
		}
		return func(b []byte) (io.Reader, error) { return r, r.Reset(bytes.NewReader(b)) }, func() { u.gz.Put(r) }, nil
	case kgo.CodecLz4:
		r, _ := u.lz.Get().(*lz4.Reader)
		if r == nil {
			r = lz4.NewReader(nil)
		}
		return func(b []byte) (io.Reader, error) { r.Reset(bytes.NewReader(b)); return r, nil }, func() { u.lz.Put(r) }, nil
	}
	return nil, nil, fmt.Errorf("unknown compression codec %d", codec)
}

// zstd unpacks in one go: read as a stream, a few bytes could ask for a large window. A
// batch need not say how long it is, and what is appended to grows by being copied. So a
// large one is unpacked into a buffer that holds all that it may be, and no other
// meanwhile.
func (u *unpacker) zstd(src []byte) ([]byte, error) {
	first := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(first)
	first.Reset()
	first.Grow(unpackFirst)
	out, err := u.zstdInto(first.AvailableBuffer()[:0:unpackFirst], src)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		unpackLarge.Lock()
		defer unpackLarge.Unlock()
		large, _ := largeBuffers.Get().(*[MaxBatchBytes]byte)
		if large == nil {
			large = new([MaxBatchBytes]byte)
		}
		defer largeBuffers.Put(large)
		out, err = u.zstdInto(large[:0], src)
	}
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return nil, ErrTooLarge
	case err != nil:
		return nil, err
	}
	if err := u.admit(int64(len(out))); err != nil {
		return nil, err
	}
	return bytes.Clone(out), nil
}

// unpackLarge is held while a large batch is unpacked, of all consumers of the process.
var unpackLarge sync.Mutex

// largeBuffers keeps the buffer for a large batch until memory is collected twice.
var largeBuffers sync.Pool

// zstdInto unpacks src into buf, to no more than that holds. The window that the batch
// names counts for nothing: it bounds how far an encoder may look back (8 MiB by default
// in some clients, 128 MiB at the highest level of others). Only a stream is unpacked
// with a buffer for it.
func (u *unpacker) zstdInto(buf, src []byte) ([]byte, error) {
	d, _ := u.zs.Get().(*zstd.Decoder)
	if d == nil {
		var err error
		// One goroutine, so that none is left when the pool drops it.
		d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return nil, err
		}
	}
	defer u.zs.Put(d)
	return d.DecodeAll(src, buf)
}

// xerial begins what Java's snappy writes: blocks, each with its length. Eight bytes of
// versions follow.
var xerial = []byte{130, 83, 78, 65, 80, 80, 89, 0}

var errXerial = errors.New("malformed snappy blocks")

// snappy unpacks one block or Java's blocks. Each says how long it is unpacked.
func (u *unpacker) snappy(src []byte) ([]byte, error) {
	blocks := [][]byte{src}
	if len(src) > 16 && bytes.HasPrefix(src, xerial) {
		blocks = nil
		for rest := src[16:]; len(rest) > 0; {
			if len(rest) < 4 {
				return nil, errXerial
			}
			n := int64(binary.BigEndian.Uint32(rest))
			if rest = rest[4:]; n > int64(len(rest)) {
				return nil, errXerial
			}
			blocks, rest = append(blocks, rest[:n]), rest[n:]
		}
	}
	var size int64
	for _, b := range blocks {
		n, err := s2.DecodedLen(b)
		if err != nil {
			return nil, err
		}
		size += int64(n)
	}
	if err := u.admit(size); err != nil {
		return nil, err
	}
	out, at := make([]byte, size), 0
	for _, b := range blocks {
		part, err := s2.Decode(out[at:], b) // in place: there is room
		if err != nil {
			u.room.Give(size)
			return nil, err
		}
		at += len(part)
	}
	return out, nil
}

// Taken is how much memory a fetched record takes, in bytes.
func Taken(rec *kgo.Record) int64 {
	n := recordOverhead + len(rec.Key) + len(rec.Value)
	for i := range rec.Headers {
		n += headerOverhead + len(rec.Headers[i].Key) + len(rec.Headers[i].Value)
	}
	return int64(n)
}

const (
	// recordOverhead is what a fetched record takes besides its key, value and headers:
	// the kgo.Record, a lane's work for it, and the slices' own headers.
	recordOverhead = 320
	// headerOverhead is what a header takes besides its key and value.
	headerOverhead = 40
)

// recordsTake is how much memory the records of an unpacked batch take, as Taken
// counts it. It ends with what is no record.
func recordsTake(batch []byte) (taken int64) {
	for in := varints(batch); len(in) > 0 && taken <= MaxBatchBytes; {
		rec, ok := in.bytes()
		if !ok {
			break
		}
		taken += rec.record()
	}
	return taken
}

// varints is read from its front, as the fields of a record are.
type varints []byte

func (v *varints) number() (int64, bool) {
	if b := *v; len(b) > 0 && b[0] < 0x80 { // most are short
		*v = b[1:]
		return int64(b[0]>>1) ^ -int64(b[0]&1), true
	}
	n, used := binary.Varint(*v)
	if used <= 0 {
		return 0, false
	}
	*v = (*v)[used:]
	return n, true
}

func (v *varints) bytes() (varints, bool) {
	n, ok := v.number()
	if !ok || n > int64(len(*v)) {
		return nil, false
	}
	b := (*v)[:max(n, 0)]
	*v = (*v)[len(b):]
	return b, true
}

// record is what one record takes. The number of its headers is believed, if there are
// as many bytes: franz-go allocates for them before it reads them.
func (v varints) record() int64 {
	taken := int64(recordOverhead)
	if len(v) == 0 {
		return taken
	}
	v = v[1:] // attributes
	v.number()
	v.number()
	key, _ := v.bytes()
	value, _ := v.bytes()
	headers, ok := v.number()
	taken += int64(len(key) + len(value))
	if !ok || headers > int64(len(v)) {
		return taken
	}
	for range 2 * headers {
		b, ok := v.bytes()
		if !ok {
			break
		}
		taken += int64(len(b))
	}
	return taken + headerOverhead*max(headers, 0)
}
