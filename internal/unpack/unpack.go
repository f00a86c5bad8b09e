// Package unpack unpacks record batches within bounds of memory.
package unpack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
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
	switch codec {
	case kgo.CodecNone:
		return src, nil
	case kgo.CodecSnappy:
		return u.snappy(src)
	case kgo.CodecZstd:
		return u.zstd(src)
	}
	return u.stream(src, codec)
}

// keep takes room for the records of an unpacked batch, and returns a copy of its exact
// size. It counts them before it allocates.
func (u *unpacker) keep(batch []byte) ([]byte, error) {
	if err := u.admitRecords(batch); err != nil {
		return nil, err
	}
	return bytes.Clone(batch), nil
}

// admitRecords takes room for what the records of an unpacked batch take. A batch that
// does not consist of records is checked like others, but keeps no room: no consumer
// gives that back.
func (u *unpacker) admitRecords(batch []byte) error {
	records, size := recordsTake(batch), int64(len(batch))
	if err := u.admit(max(records, size)); err != nil {
		return err
	}
	u.room.Give(max(size-records, 0))
	return nil
}

// stream unpacks what is packed with a codec that is read as a stream.
func (u *unpacker) stream(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	r, put, err := u.reader(src, codec)
	if err != nil {
		return nil, err
	}
	defer put()
	first := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(first)
	first.Reset()
	n, err := io.Copy(first, io.LimitReader(r, unpackFirst))
	if err != nil {
		return nil, err
	}
	if n < unpackFirst {
		return u.keep(first.Bytes())
	}
	return withScratch(func(buf []byte) ([]byte, error) {
		all := bytes.NewBuffer(append(buf, first.Bytes()...))
		if _, err := all.ReadFrom(io.LimitReader(r, MaxBatchBytes-n+1)); err != nil {
			return nil, err
		}
		return u.keep(all.Bytes())
	})
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

// buffers hold unpackFirst bytes, and the free space that a bytes.Buffer wants to read the
// end. All have one size, so that none grows by copying.
var buffers = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, unpackFirst+bytes.MinRead)) }}

// reader returns a reader that unpacks src, and a function that puts the reader back.
func (u *unpacker) reader(src []byte, codec kgo.CompressionCodecType) (_ io.Reader, put func(), err error) {
	in := bytes.NewReader(src)
	switch codec {
	case kgo.CodecGzip:
		r, _ := u.gz.Get().(*gzip.Reader)
		if r == nil {
			r = new(gzip.Reader)
		}
		put = func() { in.Reset(nil); u.gz.Put(r) } // the pool must not keep the fetch that src is part of
		if err := r.Reset(in); err != nil {
			put()
			return nil, nil, err
		}
		return r, put, nil
	case kgo.CodecLz4:
		r, _ := u.lz.Get().(*lz4.Reader)
		if r == nil {
			r = lz4.NewReader(nil)
		}
		r.Reset(in)
		return r, func() { in.Reset(nil); u.lz.Put(r) }, nil
	}
	return nil, nil, fmt.Errorf("unknown compression codec %d", codec)
}

// zstd unpacks in one go. A stream would need a buffer of the window that the batch
// names: the furthest that its encoder may look back, 8 MiB by default in some clients
// and 128 MiB at the highest level of others.
func (u *unpacker) zstd(src []byte) ([]byte, error) {
	least := zstdLeast(src)
	if least > MaxBatchBytes {
		return nil, ErrTooLarge
	}
	if least <= unpackFirst {
		first := buffers.Get().(*bytes.Buffer)
		defer buffers.Put(first)
		first.Reset()
		out, err := u.zstdInto(first.AvailableBuffer()[:0:unpackFirst], src)
		switch {
		case err == nil:
			return u.keep(out)
		case !errors.Is(err, errFull):
			return nil, err
		}
	}
	return withScratch(func(buf []byte) ([]byte, error) {
		out, err := u.zstdInto(buf, src)
		switch {
		case errors.Is(err, errFull):
			return nil, ErrTooLarge
		case err != nil:
			return nil, err
		}
		return u.keep(out)
	})
}

// zstdBlock is the most bytes that a block of a zstd frame unpacks to (RFC 8878).
const zstdBlock = 128 << 10

// zstdLeast returns the least that src unpacks to: the sum of those blocks that state
// their unpacked size, because they are not compressed or repeat one byte. It stops where
// src is malformed. Without this bound the decoder first appends such a block to a full
// buffer, which copies all of it, and then compares sizes.
func zstdLeast(src []byte) (least int64) {
	for {
		var h zstd.Header
		rest, err := h.DecodeAndStrip(src)
		if err != nil {
			return least
		}
		if src = rest; h.Skippable {
			if int64(h.SkippableSize) > int64(len(src)) {
				return least
			}
			src = src[h.SkippableSize:]
			continue
		}
		for last := false; !last; {
			if len(src) < 3 {
				return least
			}
			header := uint32(src[0]) | uint32(src[1])<<8 | uint32(src[2])<<16
			src = src[3:]
			last = header&1 == 1
			size := min(int(header>>3), zstdBlock)
			packed := size
			switch header >> 1 & 3 {
			case 0: // not compressed
				least += int64(size)
			case 1: // one byte, repeated
				least += int64(size)
				packed = 1
			}
			if packed > len(src) {
				return least
			}
			src = src[packed:]
		}
		if h.HasCheckSum {
			src = src[min(4, len(src)):]
		}
	}
}

// errFull says that a buffer is too small for a batch.
var errFull = errors.New("the buffer is too small")

// zstdInto unpacks src into buf. It returns errFull where buf has too little room. A
// decoder that has no room left for a whole block may call the block malformed, so any
// error that near to the end of buf is errFull.
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
	out, err := d.DecodeAll(src, buf)
	grown := cap(out) > cap(buf)
	if grown && cap(buf) > unpackFirst {
		runtime.GC() // else a few such batches fill the heap before it is collected: see zstdLeast
	}
	if grown || err != nil && (errors.Is(err, zstd.ErrDecoderSizeExceeded) || len(out)+zstdBlock > cap(buf)) {
		return nil, errFull
	}
	return out, err
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
	if size > MaxBatchBytes {
		return nil, ErrTooLarge
	}
	if size > unpackFirst {
		return withScratch(func(buf []byte) ([]byte, error) {
			if err := snappyInto(buf[:size], blocks); err != nil {
				return nil, err
			}
			return u.keep(buf[:size])
		})
	}
	out := make([]byte, size)
	if err := snappyInto(out, blocks); err != nil {
		return nil, err
	}
	return out, u.admitRecords(out)
}

// snappyInto unpacks blocks into out, which has their exact size.
func snappyInto(out []byte, blocks [][]byte) error {
	for _, b := range blocks {
		part, err := s2.Decode(out, b) // in place: there is room
		if err != nil {
			return err
		}
		out = out[len(part):]
	}
	return nil
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
