package consume

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// epoch is when the time of these tests begins.
var epoch = time.UnixMilli(1_700_000_000_000)

// seconds is a time n seconds after epoch.
func seconds(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }

// twin is a queue that looks at everything each time. It does not say which work
// has to overtake, only which may and which must not.
type twin struct {
	queue dueQueue
	works []*twinWork // all that were ever pushed and not dropped
	next  int64       // offset
	keys  map[string]int
}

// twinWork is a work as the twin knows it: it believes nothing that the queue
// writes on a Work.
type twinWork struct {
	work   *Work
	offset int64
	due    time.Time
	key    []byte
	free   bool
	state  state
}

func (w *twinWork) String() string {
	return fmt.Sprintf("offset %d, key %q, due +%v", w.offset, w.key, w.due.Sub(epoch))
}

// push fetches a record. Offsets have gaps where a topic was compacted, or where
// a transaction was aborted.
func (r *twin) push(due time.Time, key []byte, gap int64) *twinWork {
	return r.fetch(&twinWork{offset: r.next + gap, due: due, key: key})
}

// pushFree fetches a record that is free.
func (r *twin) pushFree(due time.Time, key []byte, gap int64) *twinWork {
	return r.fetch(&twinWork{offset: r.next + gap, due: due, key: key, free: true})
}

func (r *twin) fetch(w *twinWork) *twinWork {
	due, key := w.due, w.key
	w.work = &Work{Record: &kgo.Record{Key: key}, Due: due, offset: w.offset, free: w.free}
	r.next = w.offset + 1
	r.works = append(r.works, w)
	if key != nil && !w.free {
		if r.keys == nil {
			r.keys = make(map[string]int)
		}
		r.keys[string(key)]++
	}
	r.queue.push(w.work)
	return w
}

// pushMarker fetches the end of a transaction, as lane.push does.
func (r *twin) pushMarker() {
	w := &twinWork{offset: r.next, state: done}
	w.work = &Work{offset: w.offset, state: done}
	r.next++
	r.works = append(r.works, w)
	r.queue.works = append(r.queue.works, w.work)
}

func (r *twin) in(s state) []*twinWork {
	var works []*twinWork
	for _, w := range r.works {
		if w.state == s {
			works = append(works, w)
		}
	}
	return works
}

// take sends the work that is due next, and checks that it could be.
func (r *twin) take(t fataler, mayOvertake bool) *twinWork {
	got := r.queue.peek(mayOvertake)
	waits := r.in(waiting)
	if got == nil {
		if len(waits) > 0 {
			t.Fatalf("nothing is due next, but %v waits", waits[0])
		}
		return nil
	}
	i := slices.IndexFunc(waits, func(w *twinWork) bool { return w.work == got })
	if i < 0 {
		t.Fatalf("offset %d is due next, and does not wait", got.offset)
	}
	w, first := waits[i], waits[0]
	if w != first {
		if !mayOvertake {
			t.Fatalf("%v overtakes %v, which nobody allowed", w, first)
		}
		if !w.due.Before(first.due) {
			t.Fatalf("%v overtakes %v and is not due before it", w, first)
		}
	}
	for _, o := range waits[:i] {
		if o.key != nil && w.key != nil && string(o.key) == string(w.key) && !o.free && !w.free {
			t.Fatalf("%v overtakes %v", w, o)
		}
	}
	if mayOvertake {
		r.mustNotLeaveBehind(t, w, waits)
	}
	if overtakes := r.queue.take(got); overtakes != (w != first) || got.overtook != overtakes {
		t.Fatalf("%v: overtakes %t, want %t", w, overtakes, w != first)
	}
	w.state = sent
	return w
}

// mustNotLeaveBehind checks that nothing is late for no reason: a record that
// nobody can mind about, having no key or one of its own, is not due before the
// one that is chosen.
func (r *twin) mustNotLeaveBehind(t fataler, chosen *twinWork, waits []*twinWork) {
	for _, w := range waits {
		if (w.free || w.key == nil || r.keys[string(w.key)] == 1) && w.due.Before(chosen.due) {
			t.Fatalf("%v is chosen, and %v waits although it is due before", chosen, w)
		}
	}
}

// done ends one of the works that were sent.
func (r *twin) done(w *twinWork) { w.state, w.work.state, w.work.Record = done, done, nil }

// commit drops the handled prefix, or a part of it: what was done while a commit
// was under way stays for the next one.
func (r *twin) commit(t fataler, part int) {
	n := r.prefix()
	if got := r.queue.handled(); got != n {
		t.Fatalf("%d are handled, want %d", got, n)
	}
	n = min(n, part)
	r.queue.drop(n)
	r.works = r.works[n:]
	if len(r.queue.works) != len(r.works) {
		t.Fatalf("%d works are left, want %d", len(r.queue.works), len(r.works))
	}
	for i, w := range r.works {
		if r.queue.works[i] != w.work {
			t.Fatalf("work %d of the queue is offset %d, want %v", i, r.queue.works[i].offset, w)
		}
	}
}

// prefix is how many works at the front are done.
func (r *twin) prefix() int {
	n := slices.IndexFunc(r.works, func(w *twinWork) bool { return w.state != done })
	if n < 0 {
		return len(r.works)
	}
	return n
}

// fataler is what a *testing.T and a *rapid.T have in common.
type fataler interface{ Fatalf(string, ...any) }

// anyKey draws keys that often repeat. A key that is empty is one.
var anyKey = rapid.OneOf(
	rapid.Just([]byte(nil)),
	rapid.SampledFrom([][]byte{{}, []byte("a"), []byte("b")}),
	rapid.SliceOfN(rapid.Byte(), 4, 4),
)

// TestDueQueueAgainstTwin fetches, sends, ends and commits in any order.
func TestDueQueueAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r twin
		now := 0 // due times rise, and scatter around that
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if got, want := r.queue.handled(), r.prefix(); got != want {
					t.Fatalf("%d are handled, want %d", got, want)
				}
			},
			"in order": func(t *rapid.T) {
				now += rapid.IntRange(0, 2).Draw(t, "later")
				r.push(seconds(now), anyKey.Draw(t, "key"), rapid.Int64Range(0, 1).Draw(t, "gap"))
			},
			"any": func(t *rapid.T) {
				r.push(seconds(rapid.IntRange(now-10, now+10).Draw(t, "due")), anyKey.Draw(t, "key"), 0)
			},
			"at once": func(t *rapid.T) {
				w := r.push(time.Time{}, anyKey.Draw(t, "key"), 0)
				w.due = time.Time{}
			},
			"free": func(t *rapid.T) {
				r.pushFree(seconds(rapid.IntRange(now-10, now+10).Draw(t, "due")), anyKey.Draw(t, "key"), rapid.Int64Range(0, 1).Draw(t, "gap"))
			},
			"marker": func(*rapid.T) { r.pushMarker() },
			"take":   func(t *rapid.T) { r.take(t, rapid.Bool().Draw(t, "may overtake")) },
			"done": func(t *rapid.T) {
				if sent := r.in(sent); len(sent) > 0 {
					r.done(rapid.SampledFrom(sent).Draw(t, "work"))
				}
			},
			"commit": func(t *rapid.T) { r.commit(t, rapid.IntRange(0, 50).Draw(t, "part")) },
		})
		r.finish(t)
	})
}

// finish sends, ends and commits all that is left: every work once.
func (r *twin) finish(t fataler) {
	for r.take(t, true) != nil {
	}
	for _, w := range r.in(sent) {
		r.done(w)
	}
	r.commit(t, len(r.works))
	if len(r.works) != 0 {
		t.Fatalf("%d works are never committed", len(r.works))
	}
}

// TestDueQueueInOrder: without overtaking works are sent by their offsets, whatever
// their due times.
func TestDueQueueInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r twin
		for _, due := range rapid.SliceOf(rapid.IntRange(0, 20)).Draw(t, "due") {
			r.push(seconds(due), anyKey.Draw(t, "key"), 0)
		}
		for offset := range r.next {
			if w := r.take(t, false); w == nil || w.offset != offset {
				t.Fatalf("%v is sent, want offset %d", w, offset)
			}
		}
		if w := r.take(t, true); w != nil {
			t.Fatalf("%v is sent twice", w)
		}
	})
}

// TestDueQueueByDue: where no key repeats, works are sent by their due times, and
// those that are due at the same time by their offsets.
func TestDueQueueByDue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r twin
		for _, due := range rapid.SliceOf(rapid.IntRange(0, 20)).Draw(t, "due") {
			r.push(seconds(due), nil, 0)
		}
		want := slices.Clone(r.works)
		slices.SortStableFunc(want, func(a, b *twinWork) int {
			return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.offset, b.offset))
		})
		for _, w := range want {
			if got := r.take(t, true); got != w {
				t.Fatalf("%v is sent, want %v", got, w)
			}
		}
	})
}

// TestDueQueueOvertakes has the cases by name. A work is written as its key and when
// it is due, and "-" is a null key.
func TestDueQueueOvertakes(t *testing.T) {
	type in struct {
		key string
		due int
	}
	for _, c := range []struct {
		name  string
		works []in
		want  []int64 // offsets in the order in which they are sent
	}{
		{"rising: by offset", []in{{"a", 1}, {"b", 2}, {"a", 2}, {"-", 3}}, []int64{0, 1, 2, 3}},
		{"overdue: before what waits", []in{{"a", 9}, {"b", 1}}, []int64{1, 0}},
		{"overdue, without a key", []in{{"-", 9}, {"-", 1}}, []int64{1, 0}},
		{"overdue, same key: behind it", []in{{"a", 9}, {"a", 1}}, []int64{0, 1}},
		{"an empty key is one", []in{{"", 9}, {"", 1}}, []int64{0, 1}},
		{"no longer than to its own key", []in{{"a", 2}, {"-", 9}, {"a", 5}}, []int64{0, 2, 1}},
		{"behind one that has to stay behind", []in{{"a", 9}, {"a", 1}, {"a", 3}, {"b", 3}}, []int64{3, 0, 1, 2}},
		{"two that overtake, in their order", []in{{"-", 9}, {"a", 3}, {"a", 3}, {"b", 1}}, []int64{3, 1, 2, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r twin
			for _, w := range c.works {
				key := []byte(w.key)
				if w.key == "-" {
					key = nil
				}
				r.push(seconds(w.due), key, 0)
			}
			var got []int64
			for w := r.take(t, true); w != nil; w = r.take(t, true) {
				got = append(got, w.offset)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("sent in the order %v, want %v", got, c.want)
			}
		})
	}
}

// TestDueQueueFree: works that are free are sent by their due times, then their offsets, and
// records with their key neither wait for them nor hold them up.
func TestDueQueueFree(t *testing.T) {
	var r twin
	r.pushFree(seconds(9), []byte("a"), 0)
	r.push(seconds(5), []byte("a"), 0)
	r.pushFree(seconds(3), []byte("a"), 0)
	r.push(seconds(6), []byte("a"), 0)
	r.pushFree(seconds(3), nil, 0)
	r.push(seconds(4), []byte("b"), 0)
	var got []int64
	for w := r.take(t, true); w != nil; w = r.take(t, true) {
		got = append(got, w.offset)
	}
	if want := []int64{2, 4, 5, 1, 3, 0}; !slices.Equal(got, want) {
		t.Errorf("sent in the order %v, want %v", got, want)
	}
}

// TestDueQueueForgets: what has been sent is overtaken by nobody, so that a key is
// free again once nothing waits.
func TestDueQueueForgets(t *testing.T) {
	var r twin
	r.push(seconds(9), []byte("a"), 0)
	r.push(seconds(1), []byte("b"), 0)
	r.take(t, true)
	r.take(t, true)
	r.push(seconds(8), nil, 0)
	early := r.push(seconds(2), []byte("a"), 0)
	if w := r.take(t, true); w != early {
		t.Errorf("%v is sent, want %v", w, early)
	}
}

// TestDueQueueFreesMemory: a queue that has been emptied holds no works.
func TestDueQueueFreesMemory(t *testing.T) {
	var r twin
	for i := range 100 {
		r.push(seconds(i), nil, 0)
	}
	r.finish(t)
	if r.queue.works != nil {
		t.Errorf("the queue holds room for %d works", cap(r.queue.works))
	}
}
