package consume

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// TestAheadRoundTrip: the next owner of a lane passes what the one before has
// handled, and nothing else. That also holds when it has read only a part of it
// before it hands the lane on.
func TestAheadRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "records")
		recs := make([]*kgo.Record, n)
		offset := rapid.Int64Range(0, 1<<40).Draw(t, "first offset")
		for i := range recs {
			recs[i] = newRecord(offset, epoch, created)
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
			for _, w := range l.queue.works {
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
	l.progress.committed, l.marks, l.progress.ahead = kgo.EpochOffset{Offset: committed}, parseMarks(meta), parseAhead(meta, committed)
	var stop context.CancelFunc
	l.halt, stop = context.WithCancel(context.Background())
	stop()
	return l
}

// format writes a where there is as much room as there can be.
func format(a *ahead) string {
	text, _ := a.format(aheadBits)
	return text
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
	after := parseAhead(format(&before), 10)
	rec := newRecord(12, epoch, created)
	for _, tc := range []struct {
		epoch int32
		want  bool
	}{{2, true}, {3, true}, {4, false}} {
		if rec.LeaderEpoch = tc.epoch; after.covers(rec) != tc.want {
			t.Errorf("written under leader epoch %d: passed %t, want %t", tc.epoch, !tc.want, tc.want)
		}
	}
}

// TestAheadFits: however much was handled, the metadata is short enough for a commit,
// and tells of the first.
func TestAheadFits(t *testing.T) {
	for _, every := range []int64{1, 2, 3, 10, 1000} {
		const from = 1 << 62
		l := handedOver(from, "")
		l.id = identity{kadm.TopicID{1}, "a-cluster-of-some-name-"}
		for i := range int64(2 * aheadBits) {
			rec := newRecord(from+i*every, epoch, created)
			rec.LeaderEpoch = math.MaxInt32
			l.push(fetched(rec), epoch)
			if i > 0 {
				l.queue.works[i].state = done
			}
		}
		meta := l.prefix().meta
		if len(meta) > 4096 || len(parseMarks(meta)) != maxMarks {
			t.Errorf("every %d: %d bytes of metadata with %d marks", every, len(meta), len(parseMarks(meta)))
		}
		a := parseAhead(meta, from)
		told := int64(len(a.handled))
		if told < 1000 || a.handled[0] != from+every || a.handled[told-1] != from+told*every {
			t.Errorf("every %d: %d told, from %d to %d", every, told, a.handled[0]-from, a.handled[told-1]-from)
		}
	}
}

// TestAheadOfFormerVersions: what was written as a bitmap is read, and what fits into one
// of the usual size is written as one where that is as short.
func TestAheadOfFormerVersions(t *testing.T) {
	const bitmap = "ahead 3 lmA" // 10010110 01100000
	a := parseAhead(bitmap, 100)
	if want := []int64{101, 102, 104, 107, 113, 114}; !slices.Equal(a.handled, want) || a.epoch != 3 {
		t.Errorf("read %v of epoch %d, want %v of epoch 3", a.handled, a.epoch, want)
	}
	if got := format(&a); got != bitmap {
		t.Errorf("written as %q, want %q", got, bitmap)
	}
}

// FuzzParseAhead: any metadata gives offsets in order, none before the commit.
func FuzzParseAhead(f *testing.F) {
	for _, meta := range []string{"ahead 3 lmA", "ahead 3/9 lmA", "ahead 1/40 ////////", "ahead 1/99 lmA", "ahead 1/-1 lmA", "ahead x lmA", "ahead"} {
		f.Add(meta)
	}
	f.Fuzz(func(t *testing.T, meta string) {
		const committed = 1 << 40
		last := int64(committed - 1)
		for _, offset := range parseAhead(meta, committed).handled {
			if offset <= last {
				t.Fatalf("offset %d behind %d", offset, last)
			}
			last = offset
		}
	})
}

// TestAllThatOvertakesIsTold: a lane lets nothing overtake that it could not tell the
// next owner of the partition, wherever that stands.
func TestAllThatOvertakesIsTold(t *testing.T) {
	for name, pattern := range map[string]struct {
		records int64
		early   func(i int64) bool
		least   int // that overtake
	}{
		"fifty far behind":       {50_000, func(i int64) bool { return i >= 49_950 }, 50},
		"every second":           {60_000, func(i int64) bool { return i%2 == 1 }, 9_000},
		"every fourth":           {60_000, func(i int64) bool { return i%4 == 1 }, 5_500},
		"every hundredth":        {60_000, func(i int64) bool { return i%100 == 1 }, 600},
		"all but the first":      {30_000, func(i int64) bool { return i > 0 }, maxOvertaking},
		"runs with gaps between": {60_000, func(i int64) bool { return i%5000 > 4000 }, 4_000},
	} {
		t.Run(name, func(t *testing.T) {
			l := handedOver(0, "")
			l.topic.Wait = 0
			l.topic.Handler = dueAt{}
			recs := make([]*kgo.Record, pattern.records)
			for i := range pattern.records {
				due := epoch.Add(time.Hour)
				if pattern.early(i) {
					due = epoch
				}
				recs[i] = newRecord(i, due, created)
			}
			l.push(fetched(recs...), epoch)
			var handled []int64
			for batch := make([]*Work, 0, sendBatch); ; {
				if batch, _ = l.due(batch[:0], epoch.Add(time.Minute)); len(batch) == 0 {
					break
				}
				for _, w := range batch {
					w.state = done
					handled = append(handled, w.offset)
				}
			}
			if len(handled) < pattern.least {
				t.Errorf("%d overtake, want %d or more", len(handled), pattern.least)
			}
			slices.Sort(handled)
			if told := parseAhead(l.prefix().meta, 0).handled; !slices.Equal(told, handled) {
				t.Errorf("%d overtook, and %d are told", len(handled), len(told))
			}
		})
	}
}

// dueAt is a Handler whose records are due at their timestamps.
type dueAt struct{}

func (dueAt) Due(rec *kgo.Record, _ time.Time) (time.Time, bool) { return rec.Timestamp, false }
func (dueAt) Handle([]*Work)                                     {}

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
