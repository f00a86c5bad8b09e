package rawbatch

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Bomb returns a batch of one record whose value is size zero bytes. With gzip, lz4 and
// zstd the batch has about size/1000, size/255 and size/32,000 bytes, and building it
// takes little more memory than that.
func Bomb(codec kgo.CompressionCodecType, size int) *kmsg.RecordBatch {
	head := []byte{0, 0, 0}                       // attributes, timestamp, offset
	head = binary.AppendVarint(head, -1)          // no key
	head = binary.AppendVarint(head, int64(size)) // the value is followed by one zero: no headers
	return zeros(codec, head, size+1)
}

// HeaderFlood returns a batch of one record with n headers whose names and values are
// empty. Each takes two bytes before compression.
func HeaderFlood(codec kgo.CompressionCodecType, n int) *kmsg.RecordBatch {
	head := []byte{0, 0, 0}
	head = binary.AppendVarint(head, -1) // no key
	head = binary.AppendVarint(head, -1) // no value
	head = binary.AppendVarint(head, int64(n))
	return zeros(codec, head, 2*n)
}

// zeros returns a batch of one record that consists of head and n zeros.
func zeros(codec kgo.CompressionCodecType, head []byte, n int) *kmsg.RecordBatch {
	head = append(binary.AppendVarint(nil, int64(len(head)+n)), head...)
	b := New(kgo.CodecNone, new(kgo.Record))
	b.Attributes = int16(codec)
	switch codec {
	case kgo.CodecGzip:
		b.Records = gzipZeros(head, n)
	case kgo.CodecLz4:
		b.Records = lz4Zeros(head, n)
	case kgo.CodecZstd:
		b.Records = zstdZeros(head, n)
	default:
		b.Records = Compress(codec, append(head, make([]byte, n)...))
	}
	return b
}

func gzipZeros(head []byte, n int) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(head)
	if err == nil {
		_, err = io.CopyN(w, zeroReader{}, int64(n))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("rawbatch: gzip: %v", err)) // a bytes.Buffer takes everything
	}
	return out.Bytes()
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// The parts of a zstd frame, see RFC 8878.
const (
	zstdBlock = 128 << 10 // the most bytes that a block may unpack to
	zstdRaw   = 0 << 1
	zstdRLE   = 1 << 1 // one byte, repeated
	zstdLast  = 1
)

// zstdZeros writes blocks of one repeated byte. They are smaller than what an encoder
// makes, and need no buffer.
func zstdZeros(head []byte, n int) []byte {
	out := []byte{
		0x28, 0xb5, 0x2f, 0xfd, // magic
		0,      // no size of the content, no checksum
		7 << 3, // a window of 128 KiB
	}
	block := func(kind, size int) {
		h := kind | size<<3
		out = append(out, byte(h), byte(h>>8), byte(h>>16))
	}
	block(zstdRaw, len(head))
	out = append(out, head...)
	for n > 0 {
		size := min(n, zstdBlock)
		n -= size
		block(zstdRLE, size)
		out = append(out, 0)
	}
	block(zstdRaw|zstdLast, 0)
	return out
}

// The parts of an lz4 frame.
const (
	lz4Block  = 4 << 20 // the most bytes that a block may unpack to
	lz4Stored = 1 << 31
	lz4Tail   = 5  // the bytes at the end of a block that have to be literals
	lz4Least  = 32 // fewer zeros are stored
)

// lz4Zeros writes a frame without the checksum of the content.
func lz4Zeros(head []byte, n int) []byte {
	out := []byte{
		0x04, 0x22, 0x4d, 0x18, // magic
		0x60, 0x70, 0x73, // version 1, independent blocks of at most 4 MiB; checksum of these
	}
	stored := func(data []byte) {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(data))|lz4Stored)
		out = append(out, data...)
	}
	stored(head)
	for n > 0 {
		size := min(n, lz4Block)
		n -= size
		if size < lz4Least {
			stored(make([]byte, size))
			continue
		}
		block := lz4ZeroBlock(size)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(block)))
		out = append(out, block...)
	}
	return append(out, 0, 0, 0, 0) // the end mark
}

// lz4ZeroBlock returns a block of size zeros: one literal, a match that repeats it, and
// the literals at the end.
func lz4ZeroBlock(size int) []byte {
	const shortest = 4                  // length of a match that is written as 0
	block := []byte{1<<4 | 15, 0, 1, 0} // one literal; a long match; the zero; one byte back
	more := size - 1 - lz4Tail - shortest - 15
	for ; more >= 255; more -= 255 {
		block = append(block, 255)
	}
	block = append(block, byte(more), lz4Tail<<4)
	return append(block, make([]byte, lz4Tail)...)
}
