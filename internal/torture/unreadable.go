package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/harness"
	"github.com/delayd-io/delayd/internal/rawbatch"
)

const (
	// unreadablePartitions are more than the batches that a topic gets that cannot be
	// read, each on a partition of its own: the others have to stay on time.
	unreadablePartitions = 6
	// maxMarkers bounds the markers of transactions in a row before a bad batch.
	maxMarkers = 10
	// namedWait is how long it may take until /readyz says what cannot be read, and
	// skippedWait until a delayd goes on behind what has been skipped.
	namedWait   = 45 * time.Second
	skippedWait = 75 * time.Second
	// skipWait is how long one command may take.
	skipWait = 30 * time.Second
)

// unreadableRows send batches that brokers take and delayd cannot read: WRITE on the
// inbox is enough for that. No other partition may feel it.
var unreadableRows = []row{
	unreadableRow("undecodable", "batches of each codec that brokers take and clients cannot decode, on the inbox and a level, until they are skipped", true,
		undecodable(kgo.CodecGzip), undecodable(kgo.CodecSnappy), undecodable(kgo.CodecLz4), undecodable(kgo.CodecZstd)),
	unreadableRow("bomb", "batches of some KB that unpack to 300 MB, 1.2 GB, ten million empty headers and a million empty records, on the inbox and a level", false,
		rawbatch.Bomb(kgo.CodecZstd, 300<<20), rawbatch.Bomb(kgo.CodecZstd, 1200<<20), rawbatch.Bomb(kgo.CodecGzip, 300<<20),
		rawbatch.HeaderFlood(kgo.CodecZstd, 10_000_000), crowd(1_000_000)),
}

// unreadableRow sends batches to the inbox and to a level, each to a partition of its
// own. always says that each of them has to be named and skipped: otherwise delayd may
// get past it by itself.
func unreadableRow(name, about string, always bool, batches ...*kmsg.RecordBatch) row {
	return row{
		name: name, about: about,
		deliveries: bothDeliveries,
		confined:   true,
		partitions: unreadablePartitions,
		least:      45 * time.Second,
		// Records with an id of their own wait while cancels of them may stand behind the batch
		// on the inbox, and others behind those on their level: docs/cancel.md.
		load:   func(m *mix) { m.alter = func(c *recipe, _ *rand.Rand) { c.ownID = false } },
		limits: limits{worst: 2 * time.Second, drain: skippedWait},
		run: func(ctx context.Context, w *world) error {
			if !w.whileLoad(ctx, warmUp) {
				return errLoadOver
			}
			end := w.faults.begin(name)
			var spots []spot
			for _, topic := range []string{w.names.Inbox(), w.names.Level(w.history.mix.levels[1])} {
				for p, b := range batches {
					at, err := w.sendRaw(ctx, topic, int32(p), b)
					if err != nil {
						return err
					}
					spots = append(spots, at)
				}
			}
			stand, err := w.named(ctx, "one", spots, always)
			if err != nil {
				return err
			}
			for _, at := range stand {
				w.skip(ctx, at)
			}
			end()
			return w.passed(ctx, spots)
		},
		after: func(_ context.Context, w *world) error {
			for _, at := range w.history.spots() {
				if n := w.history.lettersOf(at); n == 0 {
					w.violated("no dead letter says what became of %v", at)
				}
			}
			return nil
		},
	}
}

// crowd is a batch of n empty records, each some bytes to a broker and many to a client.
func crowd(n int) *kmsg.RecordBatch {
	return rawbatch.New(kgo.CodecZstd, slices.Repeat([]*kgo.Record{{}}, n)...)
}

// undecodable is a batch of one record that brokers take and clients cannot decode. The
// record is whole. What follows it is read by clients only, or checked by them only.
func undecodable(codec kgo.CompressionCodecType) *kmsg.RecordBatch {
	b := rawbatch.New(codec, &kgo.Record{Value: []byte("behind this is what cannot be decoded")})
	switch codec {
	case kgo.CodecGzip: // something that is no other member
		b.Records = append(b.Records, bytes.Repeat([]byte{'x'}, 64)...)
	case kgo.CodecSnappy: // half of a length
		b.Records = append(xerial(b.Records), 0)
	case kgo.CodecZstd: // a frame to be skipped that is not there
		b.Records = append(b.Records, 0x50, 0x2a, 0x4d, 0x18, 100, 0, 0, 0)
	default: // a wrong checksum of the content
		b = rawbatch.Corrupt(b)
	}
	return b
}

// xerial frames a snappy block as Java's library does, unless it is framed already.
func xerial(block []byte) []byte {
	head := []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")
	if bytes.HasPrefix(block, head[:8]) {
		return block
	}
	return append(binary.BigEndian.AppendUint32(head, uint32(len(block))), block...)
}

// sendRaw writes a batch as it is, and tells the history that its partition sticks.
func (w *world) sendRaw(ctx context.Context, topic string, partition int32, b *kmsg.RecordBatch) (spot, error) {
	w.history.sticks(topic, partition)
	offset, err := rawbatch.Produce(ctx, w.client, topic, partition, rawbatch.Seal(b))
	at := spot{topic, partition, offset, offset + int64(b.NumRecords)}
	if err == nil {
		w.history.unreadable(at)
	}
	return at, err
}

// named waits until delayd's /readyz names each spot that it has not got past, and
// returns those. Where it has to be all of them, one that it got past is a violation.
func (w *world) named(ctx context.Context, name string, spots []spot, all bool) (stand []spot, err error) {
	i, err := w.instance(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, namedWait)
	defer cancel()
	for {
		if stand, err = w.standAt(ctx, spots); err != nil {
			return nil, err
		}
		why, missing := "", ""
		if err := harness.Ready(ctx, i.http); err != nil {
			why = err.Error()
		}
		for _, at := range stand {
			if !names(why, at) {
				missing = at.String()
			}
		}
		running, _ := i.running()
		if missing == "" && (!all || len(stand) == len(spots)) {
			w.measured("delayd %s stands at %v", name, stand)
			return stand, nil
		}
		if sleep(ctx, groupEvery) == nil && running {
			continue
		}
		w.violated("of %v, delayd %s stands at %v, and its /readyz says: %.1000s", spots, name, stand, why)
		return stand, nil
	}
}

// names reports whether delayd says where it stands: at the spot, or at the markers of
// transactions that stand right before it, which hold no record.
func names(why string, at spot) bool {
	place := regexp.MustCompile(regexp.QuoteMeta(fmt.Sprintf("admin skip %s/%d/", at.topic, at.partition)) + `(\d+)`)
	for _, found := range place.FindAllStringSubmatch(why, -1) {
		if n, err := strconv.ParseInt(found[1], 10, 64); err == nil && n <= at.offset && at.offset-n <= maxMarkers {
			return true
		}
	}
	return false
}

// standAt are the spots that delayd's groups have not got past.
func (w *world) standAt(ctx context.Context, spots []spot) ([]spot, error) {
	var stand []spot
	for _, group := range w.groups() {
		commits, err := w.admin.FetchOffsets(ctx, group)
		if err != nil {
			return nil, fmt.Errorf("fetch the offsets of group %s: %w", group, err)
		}
		for _, at := range spots {
			if of := at.topic == w.names.Inbox(); of != (group == w.names.RouterGroup()) {
				continue
			}
			if c, ok := commits.Lookup(at.topic, at.partition); !ok || c.At < at.next {
				stand = append(stand, at)
			}
		}
	}
	return stand, nil
}

// skip gets past what cannot be read, as an operator does. That it fails is a violation.
func (w *world) skip(ctx context.Context, at spot) {
	ctx, cancel := context.WithTimeout(ctx, skipWait)
	defer cancel()
	out, err := exec.CommandContext(ctx, w.program, "admin", "skip", at.String(), "--yes",
		"--brokers", strings.Join(w.cluster.Brokers(), ","), "--prefix", w.names.Prefix).CombinedOutput()
	if err != nil {
		w.violated("delayd admin skip %v: %v: %.500s", at, err, out)
	}
}

// passed waits until delayd has got past all of them.
func (w *world) passed(ctx context.Context, spots []spot) error {
	begun := time.Now()
	for {
		stand, err := w.standAt(ctx, spots)
		if err != nil {
			return err
		}
		if len(stand) == 0 {
			w.measured("delayd has gone on everywhere %v after the last was skipped", time.Since(begun).Round(100*time.Millisecond))
			return nil
		}
		if time.Since(begun) > skippedWait || w.deserted() {
			w.violated("delayd stands at %v, %v after the last was skipped", stand, time.Since(begun).Round(time.Second))
			return nil
		}
		if err := sleep(ctx, groupEvery); err != nil {
			return err
		}
	}
}
