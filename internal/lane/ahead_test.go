package lane

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// TestAheadRoundTrip: the next owner of a lane passes what the one before has
// handled, and nothing else, also when it has read only a part of it before it hands
// the lane on.
func TestAheadRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "records")
		recs := make([]*kgo.Record, n)
		offset := rapid.Int64Range(0, 1<<40).Draw(t, "first offset")
		for i := range recs {
			recs[i] = record(offset, epoch, created)
			recs[i].LeaderEpoch = int32(i / 20)
			offset += rapid.Int64Range(1, 3).Draw(t, "gap")
		}
		handled := make([]bool, n)
		committed, meta := recs[0].Offset, ""
		for range rapid.IntRange(1, 4).Draw(t, "owners") {
			l := handedOver(committed, meta)
			read := rapid.IntRange(1, n).Draw(t, "read")
			for _, rec := range recs[:read] {
				if rec.Offset >= committed {
					l.push(fetched(rec), epoch)
				}
			}
			for _, w := range l.ring.works {
				i := index(recs, w.offset)
				if (w.state == done) != handled[i] {
					t.Fatalf("offset %d is taken for handled: %t, want %t; metadata %q", w.offset, w.state == done, handled[i], meta)
				}
				if w.state != done && rapid.Bool().Draw(t, "handle") {
					w.state, handled[i] = done, true
				}
			}
			p := l.prefix()
			committed, meta = p.at.Offset, p.meta
			if len(meta) > 4096 {
				t.Fatalf("%d bytes of metadata", len(meta))
			}
		}
	})
}

// handedOver is a lane that starts where another one has committed, and is handed
// over itself.
func handedOver(committed int64, meta string) *lane {
	l := newTestLane()
	l.committed, l.marks, l.ahead = kgo.EpochOffset{Offset: committed}, parseMarks(meta), parseAhead(meta, committed)
	var stop context.CancelFunc
	l.halt, stop = context.WithCancel(context.Background())
	stop()
	return l
}

func index(recs []*kgo.Record, offset int64) int {
	for i, rec := range recs {
		if rec.Offset == offset {
			return i
		}
	}
	panic("no such offset")
}

// TestAheadOfALogThatWasCutOff: another record at an offset that was handled is not
// passed, which would lose it.
func TestAheadOfALogThatWasCutOff(t *testing.T) {
	before := ahead{from: 10}
	before.add(12, 3)
	after := parseAhead(before.format(), 10)
	rec := record(12, epoch, created)
	for _, tc := range []struct {
		epoch int32
		want  bool
	}{{2, true}, {3, true}, {4, false}} {
		if rec.LeaderEpoch = tc.epoch; after.covers(rec) != tc.want {
			t.Errorf("written under leader epoch %d: passed %t, want %t", tc.epoch, !tc.want, tc.want)
		}
	}
}

// TestAheadFits: however much was handled, the metadata is short enough for a commit.
func TestAheadFits(t *testing.T) {
	l := handedOver(0, "")
	for i := range int64(2 * maxAhead) {
		l.push(fetched(record(i, epoch, created)), epoch)
		if i > 0 {
			l.ring.works[i].state = done
		}
	}
	meta := l.prefix().meta
	if len(meta) > 4096-600 { // marks may take the rest
		t.Errorf("%d bytes of metadata", len(meta))
	}
	if a := parseAhead(meta, 0); !a.has(maxAhead-1) || a.has(0) || a.has(maxAhead) {
		t.Error("want all but the first, up to the bound")
	}
}

// What was handled below an offset is counted to the offset.
func TestAheadBelow(t *testing.T) {
	a := ahead{from: 10}
	for _, o := range []int64{11, 13, 25} {
		a.add(o, 0)
	}
	for offset, want := range map[int64]int64{0: 0, 11: 0, 12: 1, 13: 1, 14: 2, 25: 2, 26: 3, 1000: 3} {
		if n := a.below(offset); n != want {
			t.Errorf("%d below %d, want %d", n, offset, want)
		}
	}
}
