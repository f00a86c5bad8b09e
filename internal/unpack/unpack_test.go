package unpack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
)

// codecs with what a decoder itself allocates, at most: tables and a window of up to
// 128 KiB, and for lz4 two of its largest blocks, which are 4 MiB.
var codecs = map[string]struct {
	pack      kgo.CompressionCodec
	code      kgo.CompressionCodecType
	allocates uint64
}{
	"gzip":   {kgo.GzipCompression(), kgo.CodecGzip, 256 << 10},
	"snappy": {kgo.SnappyCompression(), kgo.CodecSnappy, 256 << 10},
	"lz4":    {kgo.Lz4Compression(), kgo.CodecLz4, 2*4<<20 + 256<<10},
	"zstd":   {kgo.ZstdCompression(), kgo.CodecZstd, 256 << 10},
}

// pack compresses with a codec of franz-go's.
func pack(t *testing.T, codec kgo.CompressionCodec, body []byte) []byte {
	t.Helper()
	c, err := kgo.DefaultCompressor(codec)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := c.Compress(new(bytes.Buffer), body)
	return bytes.Clone(out)
}

func newUnpacker() *unpacker { return &unpacker{room: new(Room), held: func() int64 { return 0 }} }

// recordBytes writes a record with n headers, which are empty unless there is a key.
func recordBytes(value []byte, n int, key string) []byte {
	b := []byte{0, 0, 0, 1} // attributes, time, offset, no key
	b = binary.AppendVarint(b, int64(len(value)))
	b = append(b, value...)
	b = binary.AppendVarint(b, int64(n))
	for range n {
		b = binary.AppendVarint(b, int64(len(key)))
		b = append(b, key...)
		b = append(b, 0)
	}
	return append(binary.AppendVarint(nil, int64(len(b))), b...)
}

// TestUnpack: what is unpacked is what was packed, of any size, and all the room that it
// took is what its records take.
func TestUnpack(t *testing.T) {
	random := rand.NewChaCha8([32]byte{})
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			u := newUnpacker()
			for _, size := range []int{1, 100, unpackFirst - 100, unpackFirst, unpackFirst + 1, 5 << 20, 16 << 20} {
				value := make([]byte, size)
				random.Read(value[:size/2])
				batch := append(recordBytes(value, 3, "key"), recordBytes(nil, 0, "")...)
				got, err := u.Decompress(pack(t, codec.pack, batch), codec.code)
				if err != nil || !bytes.Equal(got, batch) {
					t.Fatalf("%d bytes: %d come back: %v", size, len(got), err)
				}
				want := int64(2*recordOverhead + size + 3*(headerOverhead+len("key")))
				if n := u.room.used.Load(); n != want {
					t.Errorf("%d bytes: %d of room taken, want %d", size, n, want)
				}
				u.room.Give(want)
			}
			if got, err := u.Decompress([]byte("nothing that was packed"), codec.code); err == nil {
				t.Errorf("nonsense unpacks to %q", got)
			}
			if n := u.room.used.Load(); n != 0 {
				t.Errorf("%d of room are left", n)
			}
		})
	}
}

// TestUnpackWindows: a window that an encoder could have used, and has not, is no reason
// to refuse a batch, or to take memory.
func TestUnpackWindows(t *testing.T) {
	batch := recordBytes(bytes.Repeat([]byte("ten bytes "), 40_000), 0, "")
	for _, window := range []int{unpackFirst, 8 << 20, MaxBatchBytes, 128 << 20} {
		var packed bytes.Buffer
		w, err := zstd.NewWriter(&packed, zstd.WithWindowSize(1<<bits.Len(uint(window-1))))
		if err != nil {
			t.Fatal(err)
		}
		for part := range slices.Chunk(batch, 100_000) { // as a stream it does not say its length
			if _, err := w.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		var header zstd.Header
		if err := header.Decode(packed.Bytes()); err != nil || header.SingleSegment || header.WindowSize < uint64(window) {
			t.Fatalf("%+v: %v", header, err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := newUnpacker().Decompress(packed.Bytes(), kgo.CodecZstd)
		runtime.ReadMemStats(&after)
		if err != nil || !bytes.Equal(got, batch) {
			t.Errorf("window of %d bytes: %d come back: %v", window, len(got), err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
			t.Errorf("window of %d bytes: %d MiB allocated", window, n>>20)
		}
	}
}

// TestUnpackBlocks: no batch is refused for where its encoder ended a block, which may be
// before 128 KiB. A decoder whose buffer ends within a block may call that malformed.
func TestUnpackBlocks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	words := make([][]byte, 300)
	for i := range words {
		words[i] = make([]byte, 3+random.IntN(20))
		for j := range words[i] {
			words[i][j] = byte(random.Uint32())
		}
	}
	var text []byte // of repetitions, so that blocks are compressed
	for len(text) < MaxBatchBytes {
		text = append(text, words[random.IntN(len(words))]...)
	}
	for _, test := range []struct {
		size int
		want error
	}{
		{unpackFirst - 1000, nil},
		{unpackFirst + 1000, nil},
		{3 << 20, nil},
		{MaxBatchBytes - 2000, nil},
		{MaxBatchBytes - 100, ErrTooLarge}, // with what a record takes
		{MaxBatchBytes, ErrTooLarge},
	} {
		batch := recordBytes(text[:test.size], 0, "")
		for _, block := range []int{100_000, 128 << 10} {
			var packed bytes.Buffer
			w, err := zstd.NewWriter(&packed, zstd.WithEncoderLevel(zstd.SpeedFastest))
			if err != nil {
				t.Fatal(err)
			}
			for part := range slices.Chunk(batch, block) {
				if _, err := w.Write(part); err != nil {
					t.Fatal(err)
				}
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := newUnpacker().Decompress(packed.Bytes(), kgo.CodecZstd)
			if !errors.Is(err, test.want) || err == nil && !bytes.Equal(got, batch) {
				t.Errorf("%d bytes in blocks of %d: %d come back: %v, want %v", test.size, block, len(got), err, test.want)
			}
		}
	}
}

// TestUnpackIsBounded: what would take too much memory is refused before it does,
// whether by its bytes, its headers or its records.
func TestUnpackIsBounded(t *testing.T) {
	bombs := map[string][]byte{
		"100 MB":             make([]byte, 100<<20),
		"a record of 33 MiB": recordBytes(make([]byte, MaxBatchBytes), 0, ""),
		"10 million headers": recordBytes(nil, 10_000_000, ""),
		"a million records":  bytes.Repeat(recordBytes(nil, 0, ""), 1_000_000),
		"a count of headers": append(binary.AppendVarint(nil, 5<<20), append([]byte{0, 0, 0, 1, 1, 0x80, 0x80, 0x80, 2}, make([]byte, 5<<20)...)...),
	}
	for name, codec := range codecs {
		// The beginning of the batch is on the heap. The rest is unpacked outside of it,
		// because it would not shrink again below ulimit -d.
		allocates := codec.allocates + unpackFirst
		for what, body := range bombs {
			t.Run(name+" "+what, func(t *testing.T) {
				packed := pack(t, codec.pack, body)
				u := newUnpacker()
				for range 2 {
					runtime.GC() // the second empties the pools: they must not hide what a codec needs
				}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_, err := u.Decompress(packed, codec.code)
				runtime.ReadMemStats(&after)
				if !errors.Is(err, ErrTooLarge) {
					t.Errorf("%d bytes: %v, want %v", len(packed), err, ErrTooLarge)
				}
				if n := after.TotalAlloc - before.TotalAlloc; n > allocates {
					t.Errorf("%d KiB allocated, at most %d expected", n>>10, allocates>>10)
				}
				if n := u.room.used.Load(); n != 0 {
					t.Errorf("%d of room are left", n)
				}
			})
		}
	}
}

// TestUnpackMixed: a zstd batch that fills the buffer with compressed blocks, and
// overflows it with repeated bytes, has the decoder grow the buffer. That is collected at
// once, however seldom the heap is.
func TestUnpackMixed(t *testing.T) {
	packed := pack(t, kgo.ZstdCompression(), append(recordBytes(bytes.Repeat([]byte("compressed "), 1<<20), 0, ""), make([]byte, 100)...))
	packed = append(packed, 0x28, 0xb5, 0x2f, 0xfd, 0, 7<<3) // a frame with a window of 128 KiB
	for left := MaxBatchBytes; left > 0; left -= zstdBlock {
		h := zstdBlock<<3 | 1<<1 // one byte, repeated
		if left <= zstdBlock {
			h |= 1 // the last
		}
		packed = append(packed, byte(h), byte(h>>8), byte(h>>16), 0)
	}
	if least := zstdLeast(packed); least > MaxBatchBytes {
		t.Fatalf("the blocks state %d bytes, want at most %d", least, MaxBatchBytes)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 5 {
		if _, err := newUnpacker().Decompress(packed, kgo.CodecZstd); !errors.Is(err, ErrTooLarge) {
			t.Fatalf("%v, want %v", err, ErrTooLarge)
		}
	}
	runtime.ReadMemStats(&after)
	if n := int64(after.HeapAlloc) - int64(before.HeapAlloc); n > MaxBatchBytes {
		t.Errorf("%d MiB are left on the heap, at most %d expected", n>>20, MaxBatchBytes>>20)
	}
}

// TestUnpackRoom: what does not fit beside what waits to be polled, or a large batch
// beside what the lanes hold, waits.
func TestUnpackRoom(t *testing.T) {
	u := newUnpacker()
	large := pack(t, kgo.GzipCompression(), recordBytes(make([]byte, MaxBatchBytes-unpackFirst), 0, ""))
	small := pack(t, kgo.GzipCompression(), recordBytes(make([]byte, 1000), 0, ""))
	if _, err := u.Decompress(large, kgo.CodecGzip); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Decompress(large, kgo.CodecGzip); !errors.Is(err, ErrNoRoom) {
		t.Errorf("a second large batch: %v, want %v", err, ErrNoRoom)
	}
	if _, err := u.Decompress(small, kgo.CodecGzip); err != nil {
		t.Errorf("a small batch beside a large one: %v", err)
	}
	u.room.Reset()
	u.held = func() int64 { return MaxHeld }
	if _, err := u.Decompress(large, kgo.CodecGzip); !errors.Is(err, ErrNoRoom) {
		t.Errorf("a large batch beside full lanes: %v, want %v", err, ErrNoRoom)
	}
	if _, err := u.Decompress(small, kgo.CodecGzip); err != nil {
		t.Errorf("a small batch beside full lanes: %v", err)
	}
}

// TestScratchIsReturned: the buffer for large batches is unmapped when it was not used
// from one collection to the next, and mapped again when it is needed.
func TestScratchIsReturned(t *testing.T) {
	large := pack(t, kgo.ZstdCompression(), recordBytes(make([]byte, 5<<20), 0, ""))
	for range 2 {
		if got, err := newUnpacker().Decompress(large, kgo.CodecZstd); err != nil || len(got) < 5<<20 {
			t.Fatalf("%d bytes come back: %v", len(got), err)
		}
		scratch.Lock()
		if scratch.mem == nil {
			t.Error("a large batch was unpacked without the buffer")
		}
		scratch.Unlock()
		unmapUnused() // a collection at any time does the same
		unmapUnused()
		scratch.Lock()
		if scratch.mem != nil {
			t.Error("the buffer is mapped although nobody uses it")
		}
		scratch.Unlock()
	}
}

// FuzzUnpack: no input makes it panic, nor keeps room that it did not use.
func FuzzUnpack(f *testing.F) {
	for _, codec := range codecs {
		c, _ := kgo.DefaultCompressor(codec.pack)
		out, _ := c.Compress(new(bytes.Buffer), recordBytes([]byte("value"), 2, "key"))
		f.Add(bytes.Clone(out), int8(codec.code))
	}
	f.Fuzz(func(t *testing.T, src []byte, code int8) {
		u := newUnpacker()
		if _, err := u.Decompress(src, kgo.CompressionCodecType(code)); err != nil && u.room.used.Load() != 0 {
			t.Errorf("%v: %d of room are left", err, u.room.used.Load())
		}
	})
}
