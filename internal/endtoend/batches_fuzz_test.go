//go:build synctests

package endtoend

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/internal/rawbatch"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// shape says what is wrong with a batch, if anything.
type shape byte

const (
	shapeValid     shape = iota // n records that ask for something
	shapeCorrupt                // cannot be decoded
	shapeCut                    // the records end after n bytes
	shapeFlipped                // byte n of the records is changed by extra
	shapeClaims                 // claims n records
	shapeFlags                  // has the attributes n
	shapeTimes                  // has timestamps n, shifted by extra
	shapeProducer               // has the producer id n and the epoch extra
	shapeBomb                   // unpacks to n bytes
	shapeHeaders                // has n headers
	shapeRecords                // has n empty records
	shapePayload                // the rest of the input, compressed
	shapeRecordSet              // the rest of the input, as it is
	shapes
)

// The sizes that the input can ask for: above all bounds that there are, and bearable
// for the broker of the test.
const (
	mostBomb    = 400 << 20
	mostHeaders = 12_000_000
	mostRecords = 700_000
	mostBatches = 4
)

// Where the batches go. The good records are on other partitions.
const (
	badPartition  = 0
	goodPartition = 1
)

// Bits of the first byte of the input.
const (
	modeExactly = 1 << iota // exactly once
	modeBefore              // the batches are there before the service starts
)

// codecs is how many codecs the input can choose between: none, gzip, snappy and lz4.
// Not zstd: the client closes its decoders in a finalizer, which the runtime forbids for
// what was made on virtual time.
const codecs = 4

// batchSize is how many bytes of the input describe a batch.
const batchSize = 8

// batch is one of the input.
type batch struct {
	where, codec byte
	shape        shape
	extra        byte
	n            uint32
}

// seed is the input that has those batches.
func seed(mode byte, batches ...batch) []byte {
	out := []byte{mode}
	for _, b := range batches {
		out = append(out, b.where, b.codec, byte(b.shape), b.extra)
		out = binary.LittleEndian.AppendUint32(out, b.n)
	}
	return out
}

// readBatches is the inverse of seed. The batches share what follows the last.
func readBatches(in []byte) (mode byte, batches []batch, rest []byte) {
	if len(in) > 0 {
		mode, in = in[0], in[1:]
	}
	for len(in) >= batchSize && len(batches) < mostBatches {
		batches = append(batches, batch{in[0] % 3, in[1] % codecs, shape(in[2]) % shapes, in[3], binary.LittleEndian.Uint32(in[4:])})
		in = in[batchSize:]
	}
	return mode, batches, in
}

// large are the large batches of seeds, by what they are regardless of the topic. They are made
// before the ten seconds begin that Go gives an input: to compress 300 MB takes most of them
// where other programs have the processors.
var large = make(map[batch]kmsg.RecordBatch)

// build makes the batch.
func (b batch) build(rest []byte) *kmsg.RecordBatch {
	b.where = 0
	if made, ok := large[b]; ok {
		return &made
	}
	codec, n := kgo.CompressionCodecType(b.codec), int(b.n)
	switch b.shape {
	case shapeBomb:
		if codec == kgo.CodecNone || codec == kgo.CodecSnappy {
			n %= 1 << 20 // no more can be sent
		}
		return rawbatch.Bomb(codec, n%mostBomb)
	case shapeHeaders:
		return rawbatch.HeaderFlood(codec, n%mostHeaders)
	case shapeRecords:
		return rawbatch.New(codec, emptyRecords(n%mostRecords)...)
	}
	var recs []*kgo.Record
	for i := range 1 + n%20 {
		recs = append(recs, &kgo.Record{Key: fmt.Append(nil, i), Value: []byte(strings.Repeat("bad ", int(b.extra))), Headers: []kgo.RecordHeader{
			{Key: levels.HeaderLevel, Value: []byte("1s")}, {Key: levels.HeaderTarget, Value: []byte("bad")},
		}})
	}
	out := rawbatch.New(codec, recs...)
	switch b.shape {
	case shapeCorrupt:
		rawbatch.Corrupt(out)
	case shapeCut:
		out.Records = out.Records[:n%len(out.Records)]
	case shapeFlipped:
		out.Records[n%len(out.Records)] ^= b.extra
	case shapeClaims:
		out.NumRecords, out.LastOffsetDelta = int32(n), int32(n)-1
	case shapeFlags:
		out.Attributes = out.Attributes&rawbatch.CodecMask | int16(n)&^rawbatch.CodecMask
	case shapeTimes:
		out.FirstTimestamp, out.MaxTimestamp = int64(n)<<(b.extra%64), -int64(n)<<(b.extra%64)
	case shapeProducer:
		out.ProducerID, out.ProducerEpoch, out.FirstSequence = int64(n), int16(b.extra), 0
	case shapePayload:
		out.Records = rawbatch.Compress(codec, rest)
	case shapeRecordSet:
		out.Records = rest
	}
	return out
}

// complete reports whether b has as many records as it claims, if it can be decoded at
// all. Apache Kafka refuses what has not, and the fake broker accepts it. The client
// fetches such a batch again and again without a pause and tells nobody, so that virtual
// time stands still.
func (b batch) complete(made *kmsg.RecordBatch) bool {
	switch b.shape {
	case shapeBomb, shapeHeaders, shapeRecords:
		return true // too large to look at
	}
	rp := kmsg.NewFetchResponseTopicPartition()
	rp.RecordBatches = rawbatch.Seal(made)
	decoded := 0
	p, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{}, &rp, kgo.DefaultDecompressor(), func(m kgo.FetchBatchMetrics) { decoded = m.NumRecords })
	return p.Err != nil || decoded == int(made.NumRecords)
}

// emptyRecords are n, at least one.
func emptyRecords(n int) []*kgo.Record {
	recs := make([]*kgo.Record, max(1, n))
	for i := range recs {
		recs[i] = new(kgo.Record)
	}
	return recs
}

// FuzzBatches: whatever batch a producer gets past a broker, on whichever of the topics
// that the service reads, it costs at most that partition. The service goes on, within
// the memory that is promised, and records on other partitions arrive on time.
func FuzzBatches(f *testing.F) {
	add := func(mode byte, where, codec byte, s shape, n uint32) {
		b := batch{where, codec, s, 0, n}
		f.Add(seed(mode, b))
		b.where = 0
		large[b] = *b.build(nil)
	}
	for where := range byte(3) {
		for mode := range byte(4) {
			f.Add(seed(mode, batch{where, byte(kgo.CodecLz4), shapeCorrupt, 10, 0})) // accepted by Kafka too
		}
		add(0, where, byte(kgo.CodecGzip), shapeBomb, (300<<20)/lighter)
		add(modeBefore, where, byte(kgo.CodecGzip), shapeBomb, (300<<20)/lighter)
		add(0, where, byte(kgo.CodecGzip), shapeHeaders, 10_000_000/lighter)
		add(modeBefore, where, byte(kgo.CodecGzip), shapeHeaders, 4_500_000/lighter)
		add(0, where, byte(kgo.CodecGzip), shapeRecords, 600_000)
		f.Add(seed(modeBefore, batch{where, byte(kgo.CodecNone), shapeClaims, 1, 7}))
		f.Add(seed(0, batch{where, byte(kgo.CodecGzip), shapeCorrupt, 10, 0}, batch{where, byte(kgo.CodecSnappy), shapeCorrupt, 10, 0},
			batch{where, byte(kgo.CodecNone), shapeCorrupt, 10, 0}))
	}
	f.Add(seed(0, batch{0, 1, shapeFlipped, 7, 20}, batch{1, 2, shapeCut, 7, 20}, batch{1, 0, shapeTimes, 20, 1 << 31}, batch{2, 0, shapeProducer, 1, 9}))
	f.Add(seed(0, batch{0, 0, shapeFlags, 7, 0x40}, batch{1, 2, shapeFlags, 7, 0x18}, batch{1, 0, shapeValid, 20, 5}, batch{2, 0, shapeValid, 1, 9}))
	f.Add(append(seed(0, batch{0, 3, shapePayload, 0, 0}, batch{1, 0, shapePayload, 1, 0}, batch{2, 2, shapeRecordSet, 0, 0}), "\x10\x00\x00\x00\x01\x00\x80\x80\x80\x80\x08"...))
	f.Fuzz(func(t *testing.T, in []byte) {
		mode, batches, rest := readBatches(in)
		peak := watchMemory()
		virtual(t, "1s", []string{"orders", "bad"}, func(w *world) { w.tryBatches(mode, batches, rest) })
		// Judged without the race detector only: what it makes slow is the collector too, on the
		// one processor that it has.
		if used := peak(); lighter == 1 && used > mostMemory {
			t.Errorf("%d MiB in use at the same time, want at most %d", used>>20, mostMemory>>20)
		}
	})
}

func (w *world) tryBatches(mode byte, batches []batch, rest []byte) {
	// The fake broker can forget to wake a fetch when a transaction ends.
	w.idle = 200 * time.Millisecond
	topics := []string{w.Names.Inbox(), w.Names.LevelPrefix() + "1s", w.Names.Parked()}
	produce := func() {
		for _, b := range batches {
			made := b.build(rest)
			if !b.complete(made) {
				continue
			}
			// A broker may refuse it: then there is nothing to be seen.
			_, _ = rawbatch.Produce(context.Background(), w.Client, topics[b.where], badPartition, rawbatch.Seal(made))
		}
	}
	if mode&modeBefore != 0 {
		produce()
	}
	s := w.serve("one", func(rc *router.Config, fc *forwarder.Config) {
		if mode&modeExactly != 0 {
			rc.Delivery, fc.Delivery = forwarder.ExactlyOnce, forwarder.ExactlyOnce
		}
	})
	defer s.stop()
	time.Sleep(15 * time.Second) // a stalled partition keeps it from being ready
	if mode&modeBefore == 0 {
		produce()
	}
	orders := w.watchCommitted("orders")
	want := 0
	for i := range 3 {
		w.sendGood(i)
		want += 2
		time.Sleep(5 * time.Second)
	}
	all := orders.now()
	if len(all) != want {
		w.t.Errorf("%d records arrived from the other partitions, want %d", len(all), want)
	}
	for _, a := range all {
		if a.late() > time.Second {
			w.t.Errorf("%s was %v late", a.Value, a.late())
		}
	}
	if stuck := w.unhandled(topics); len(stuck) > 0 && s.router.Ready() == nil && s.forwarder.Ready() == nil {
		w.t.Errorf("ready, though this is not handled: %s", strings.Join(stuck, ", "))
	}
}

// unhandled says which topics have records on the partition of the batches that nobody
// has committed.
func (w *world) unhandled(topics []string) (stuck []string) {
	w.t.Helper()
	ends, err := w.Admin.ListEndOffsets(context.Background(), topics...)
	if err != nil {
		w.t.Fatal(err)
	}
	committed := make(map[offsets.Partition]int64)
	for _, group := range []string{w.Names.RouterGroup(), w.Names.ForwarderGroup()} {
		at, err := offsets.Committed(context.Background(), w.Admin, group)
		if err != nil {
			w.t.Fatal(err)
		}
		maps.Copy(committed, at)
	}
	for _, topic := range topics {
		end, _ := ends.Lookup(topic, badPartition)
		if at := committed[offsets.Partition{Topic: topic, Partition: badPartition}]; at < end.Offset {
			stuck = append(stuck, fmt.Sprintf("%s/%d from %d up to before %d", topic, badPartition, at, end.Offset))
		}
	}
	return stuck
}

// sendGood sends two records that only go through partitions without bad batches.
func (w *world) sendGood(n int) {
	inbox := w.request("1s", "orders", keyOn(goodPartition), fmt.Sprint("inbox ", n))
	level := w.direct("1s", "orders", keyOn(goodPartition), fmt.Sprint("level ", n))
	w.send(inbox, level)
}

// keyOn is a key that is on that one of two partitions.
func keyOn(partition int) string {
	p := kgo.StickyKeyPartitioner(nil).ForTopic("")
	for i := 0; ; i++ {
		if key := fmt.Sprint("key ", i); p.Partition(&kgo.Record{Key: []byte(key)}, 2) == partition {
			return key
		}
	}
}

const (
	// mostMemory is what docs/operations.md promises of an instance, and here has the
	// broker's part too.
	mostMemory = 256 << 20
	// softLimit is the limit that `delayd serve` sets.
	softLimit = 160 << 20
	// memoryEvery is how often the memory in use is sampled, by the real clock.
	memoryEvery = 2 * time.Millisecond
)

// watchMemory watches how much memory is in use, until the function is called that it
// returns, which returns the most that was.
func watchMemory() (peak func() uint64) {
	limit := debug.SetMemoryLimit(softLimit)
	runtime.GC()
	done, most := make(chan struct{}), make(chan uint64)
	go func() {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		var top uint64
		tick := time.NewTicker(memoryEvery)
		defer tick.Stop()
		for {
			metrics.Read(sample)
			top = max(top, sample[0].Value.Uint64())
			select {
			case <-done:
				most <- top
				return
			case <-tick.C:
			}
		}
	}()
	return func() uint64 {
		close(done)
		debug.SetMemoryLimit(limit)
		return <-most
	}
}
