package bench

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/delayd-io/delayd/levels"
)

func drawDeck(t *rapid.T) deck {
	d := deck{keys: rapid.IntRange(1, 20).Draw(t, "keys"), targets: rapid.IntRange(1, 4).Draw(t, "targets")}
	for i := range rapid.IntRange(1, 5).Draw(t, "levels") {
		d.levels = append(d.levels, levels.Level{Number: i + 1, Delay: time.Duration(i+1) * time.Second})
	}
	return d
}

// Exact delays are those of the number, and within their bounds.
func TestDeckDelaysExactly(t *testing.T) {
	t.Parallel()
	d := deck{levels: []levels.Level{{Number: 1, Delay: time.Minute}}, keys: 10, targets: 1, exact: time.Minute}
	seen := make(map[time.Duration]bool)
	for id := range int64(10_000) {
		delay := d.delay(id)
		if delay != d.delay(id) || delay < exactFrom || delay > d.exact || delay%time.Millisecond != 0 {
			t.Fatalf("record %d waits %v", id, delay)
		}
		seen[delay] = true
	}
	if len(seen) < 8000 {
		t.Errorf("%d different delays of 10,000", len(seen))
	}
	d.from = 30 * time.Second
	for id := range int64(10_000) {
		if delay := d.delay(id); delay < d.from || delay > d.exact {
			t.Fatalf("record %d waits %v", id, delay)
		}
	}
	if d.exact = 0; d.delay(7) != time.Minute {
		t.Errorf("without exact it waits %v", d.delay(7))
	}
}

// Each key is on every level alike, and always for the same target.
func TestDeckDealsEvenly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := drawDeck(t)
		rounds := rapid.IntRange(1, 3).Draw(t, "rounds")
		dealt := make(map[int]int)
		for id := range int64(rounds * d.lanes()) {
			dealt[d.lane(id)]++
			if want := d.key(id) % d.targets; d.target(id) != want {
				t.Fatalf("record %d of key %d is for target %d", id, d.key(id), d.target(id))
			}
		}
		if len(dealt) != d.lanes() {
			t.Fatalf("%d of %d keys on levels got a record", len(dealt), d.lanes())
		}
		for lane, n := range dealt {
			if n != rounds {
				t.Fatalf("lane %d got %d records, want %d", lane, n, rounds)
			}
		}
	})
}

func TestMakerMakesTheSameEveryTime(t *testing.T) {
	t.Parallel()
	d := deck{levels: []levels.Level{level(time.Second)}, keys: 3, targets: 1}
	to := func(int64) (string, []kgo.RecordHeader) { return "topic", nil }
	one, other := newMaker(d, 200, to), newMaker(d, 200, to)
	for id := range int64(5) {
		a, b := one.record(id), other.record(id)
		if !bytes.Equal(a.Value, b.Value) || !bytes.Equal(a.Key, b.Key) {
			t.Fatalf("record %d is not the same twice", id)
		}
		if len(a.Value) != 200 || binary.BigEndian.Uint64(a.Value) != uint64(id) {
			t.Errorf("record %d: a value of %d bytes that begins with %x", id, len(a.Value), a.Value[:idSize])
		}
	}
	if got := string(one.record(4).Key); got != "key-00001" {
		t.Errorf("key %q", got)
	}
	if got := len(newMaker(d, idSize, to).record(0).Value); got != idSize {
		t.Errorf("the smallest value has %d bytes", got)
	}
}

func TestKillsAreEvenlySpread(t *testing.T) {
	t.Parallel()
	for before, want := range []int64{250, 500, 750} {
		if got := killAt(1000, before, 3); got != want {
			t.Errorf("kill %d after %d, want %d", before+1, got, want)
		}
	}
}
