package consume

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// anySeen draws what waits in a lane of a CreateTime topic: offsets with gaps,
// and fetches of several records each, some of them in the same millisecond.
func anySeen() *rapid.Generator[[]*Work] {
	return rapid.Custom(func(t *rapid.T) []*Work {
		n := rapid.IntRange(1, 5*maxMarks).Draw(t, "works")
		offset := rapid.Int64Range(0, 1<<62).Draw(t, "first offset")
		seen := epoch
		works := make([]*Work, n)
		for i := range works {
			if rapid.Bool().Draw(t, "new fetch") {
				seen = seen.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "later")))
			}
			works[i] = &Work{offset: offset, seen: seen}
			offset += rapid.Int64Range(1, 3).Draw(t, "gap")
		}
		return works
	})
}

// afterAll is a moment after all of works were seen.
func afterAll(works []*Work) time.Time { return works[len(works)-1].seen.Add(time.Hour) }

// TestMarksRoundTrip: what is read back is true, begins and ends with what waits,
// and is short enough for a commit.
func TestMarksRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		works := anySeen().Draw(t, "works")
		meta := formatMarks(works)
		if len(meta) > 1024 {
			t.Fatalf("%d bytes of metadata: %s", len(meta), meta)
		}
		marks := parseMarks(meta)
		if len(marks) > maxMarks || len(marks) < min(len(works), maxMarks/2) {
			t.Fatalf("%d marks for %d works", len(marks), len(works))
		}
		if marks[0].offset != works[0].offset || marks[len(marks)-1].offset != works[len(works)-1].offset {
			t.Fatalf("marks from %d to %d, want %d to %d",
				marks[0].offset, marks[len(marks)-1].offset, works[0].offset, works[len(works)-1].offset)
		}
		if !slices.IsSortedFunc(marks, func(a, b seenMark) int { return int(a.offset - b.offset) }) {
			t.Fatalf("marks out of order: %s", meta)
		}
		for _, m := range marks {
			i := slices.IndexFunc(works, func(w *Work) bool { return w.offset == m.offset })
			if i < 0 || m.seen.UnixMilli() != works[i].seen.UnixMilli() {
				t.Fatalf("mark %d@%v is of no work", m.offset, m.seen)
			}
		}
	})
}

// TestFirstSeenIsNeverEarly follows works over restarts. Seen too early, a record
// would be delivered before its delay is over; seen after now, it would wait
// longer than without marks. Commits carry whole milliseconds.
func TestFirstSeenIsNeverEarly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		works := anySeen().Draw(t, "works")
		truth := make(map[int64]time.Time)
		for _, w := range works {
			truth[w.offset] = time.UnixMilli(w.seen.UnixMilli())
		}
		now := afterAll(works)
		for range rapid.IntRange(1, 3).Draw(t, "restarts") {
			marks := parseMarks(formatMarks(works))
			first, last := works[0].offset, works[len(works)-1].offset
			for _, w := range works {
				got := firstSeen(marks, w.offset, now)
				if got.After(now) || got.Before(truth[w.offset]) {
					t.Fatalf("offset %d was first seen at %v, now %v, truly %v", w.offset, got, now, truth[w.offset])
				}
				if w.offset == first && got.UnixMilli() != w.seen.UnixMilli() {
					t.Fatalf("the first was seen at %v, and at %v before the restart", got, w.seen)
				}
				if got.Equal(now) {
					t.Fatalf("offset %d begins its wait again", w.offset)
				}
				w.seen = got
			}
			if got := firstSeen(marks, last+1, now); !got.Equal(now) {
				t.Fatalf("what was never fetched was seen at %v, now %v", got, now)
			}
			works = works[rapid.IntRange(0, len(works)-1).Draw(t, "delivered"):]
			now = now.Add(time.Minute)
		}
	})
}

// TestFirstSeenClockSetBack: a mark that lies ahead of this machine's clock must
// not make a record wait until then.
func TestFirstSeenClockSetBack(t *testing.T) {
	marks := []seenMark{{10, seconds(5)}, {20, seconds(7)}}
	for _, c := range []struct {
		offset, now, want int
	}{
		{10, 9, 5},
		{11, 9, 7},
		{20, 9, 7},
		{21, 9, 9},
		{10, 6, 5},
		{11, 6, 6},
		{10, 5, 5},
		{10, 1, 1},
		{20, 1, 1},
	} {
		if got := firstSeen(marks, int64(c.offset), seconds(c.now)); !got.Equal(seconds(c.want)) {
			t.Errorf("offset %d at +%ds: first seen at +%v, want +%ds", c.offset, c.now, got.Sub(epoch), c.want)
		}
	}
	if got := firstSeen(nil, 0, seconds(3)); !got.Equal(seconds(3)) {
		t.Errorf("without marks: first seen at %v, want now", got)
	}
}

func TestFormatMarks(t *testing.T) {
	for _, c := range []struct {
		works []*Work
		want  string
	}{
		{nil, ""},
		{[]*Work{{offset: 7}}, ""}, // stamped by the broker
		{[]*Work{{offset: 7, seen: epoch}}, "seen 7@1700000000000"},
		{[]*Work{{offset: 7, seen: epoch}, {offset: 9, seen: seconds(1)}}, "seen 7@1700000000000 9@1700000001000"},
	} {
		if got := formatMarks(c.works); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestParseMarks(t *testing.T) {
	for _, c := range []struct {
		meta string
		want []seenMark
	}{
		{"seen 7@1700000000000 9@1700000001000", []seenMark{{7, epoch}, {9, seconds(1)}}},
		{"seen", nil},
		{"", nil},
		{"  ", nil},
		{"7@1700000000000", nil},            // of no client that we know
		{"consumer-1 7@1700000000000", nil}, // of another one
		{"seen 7", nil},
		{"seen 7@", nil},
		{"seen @1700000000000", nil},
		{"seen 7@soon", nil},
		{"seen 7@1700000000000 9@17000000010x0", nil}, // half is not believed either
		{"seen 7@99999999999999999999", nil},
	} {
		if diff := cmp.Diff(c.want, parseMarks(c.meta), cmp.AllowUnexported(seenMark{})); diff != "" {
			t.Errorf("%q (- want, + got):\n%s", c.meta, diff)
		}
	}
}

// FuzzParseMarks: metadata is whatever someone has committed for the group. It is
// taken whole or not at all, and can never make a record wait from later than now.
func FuzzParseMarks(f *testing.F) {
	f.Add("seen 7@1700000000000 9@1700000001000", int64(8))
	f.Add("seen 7@1700000000000 9@", int64(0))
	f.Add("seen -1@-62135596800000", int64(-1))
	f.Add("seen 9223372036854775807@9223372036854775807", int64(1))
	f.Add("seen  +1@+1\t2@2\n", int64(2))
	f.Add("", int64(0))
	f.Fuzz(func(t *testing.T, meta string, offset int64) {
		marks := parseMarks(meta)
		words := strings.Fields(meta)
		if len(marks) != 0 && (words[0] != marksPrefix || len(marks) != len(words)-1) {
			t.Fatalf("%q has %d marks", meta, len(marks))
		}
		again := []string{marksPrefix}
		for _, m := range marks {
			again = append(again, strconv.FormatInt(m.offset, 10)+"@"+strconv.FormatInt(m.seen.UnixMilli(), 10))
		}
		if diff := cmp.Diff(marks, parseMarks(strings.Join(again, " ")), cmp.AllowUnexported(seenMark{})); diff != "" {
			t.Fatalf("%q is not what it says (- read, + read again):\n%s", meta, diff)
		}
		if got := firstSeen(marks, offset, epoch); got.After(epoch) {
			t.Fatalf("offset %d was first seen at %v, which is after now", offset, got)
		}
	})
}
