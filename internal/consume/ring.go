package consume

import (
	"container/heap"
	"time"
)

// ring is the works of one partition in the order of their offsets, from the
// first that is not committed to the last that was fetched.
//
// Due times nearly always rise with the offset, so the next work is the first
// that waits. What is due before a record in front of it (routed late, or stamped
// by another producer's clock) also stands in early. It overtakes, unless a
// record with the same key would be overtaken.
//
// Works that are free are due in any order. They stand in exact, and neither wait for
// others nor hold them up.
type ring struct {
	works []*Work
	next  int // works[:next] have been sent
	line  int // the first that waits and is not free, where some that are free wait

	early     earlyHeap
	exact     earlyHeap            // the free works that wait, and some that do not any more
	overtaken int                  // works that overtook, and are not dropped
	farthest  int64                // the last of their offsets
	lastDue   time.Time            // the latest due time that was pushed
	latest    map[string]time.Time // the latest turn of each key that waits; nil until something is early
}

func (r *ring) push(w *Work) {
	w.turn = w.Due
	if w.free {
		heap.Push(&r.exact, w)
		r.works = append(r.works, w)
		return
	}
	switch {
	case r.inLine() == nil || !w.Due.Before(r.lastDue):
		r.lastDue = w.Due
	case r.mayOvertake(w):
		heap.Push(&r.early, w)
	default:
		w.turn = r.lastDue
	}
	if waits := len(r.works) - r.next; len(r.latest) > 2*waits+64 {
		r.latest = make(map[string]time.Time, waits)
		for _, o := range r.works[r.next:] {
			r.note(o)
		}
	}
	if r.latest != nil {
		r.note(w)
	}
	r.works = append(r.works, w)
}

// pass appends a work that nothing is to be done for: the commit has to pass it, or
// pending would never be zero again.
func (r *ring) pass(w *Work) {
	w.state, w.Record, w.bytes = done, nil, 0
	r.works = append(r.works, w)
}

// mayOvertake says whether w can be sent before its turn without overtaking a
// record that has its key.
func (r *ring) mayOvertake(w *Work) bool {
	if r.latest == nil {
		r.latest = make(map[string]time.Time)
		for _, o := range r.works[r.next:] {
			r.note(o)
		}
	}
	return w.Record.Key == nil || !w.Due.Before(r.latest[string(w.Record.Key)])
}

func (r *ring) note(w *Work) {
	if w.state == waiting && !w.free && w.Record.Key != nil && w.turn.After(r.latest[string(w.Record.Key)]) {
		r.latest[string(w.Record.Key)] = w.turn
	}
}

// waits says whether anything waits, and moves next past what was sent early.
func (r *ring) waits() bool {
	for r.next < len(r.works) && r.works[r.next].state != waiting {
		r.next++
	}
	if r.next == len(r.works) {
		r.latest = nil // nothing is left that could be overtaken
		return false
	}
	return true
}

// inLine returns the first work that waits and is not free, nil where there is none.
func (r *ring) inLine() *Work {
	if !r.waits() {
		return nil
	}
	if r.exact.first() == nil {
		r.line = r.next
		return r.works[r.next]
	}
	r.line = max(r.line, r.next)
	for r.line < len(r.works) && (r.works[r.line].state != waiting || r.works[r.line].free) {
		r.line++
	}
	if r.line == len(r.works) {
		r.latest = nil // nothing is left that may not be overtaken
		return nil
	}
	return r.works[r.line]
}

// peek returns the work that is due next, nil when none waits. Without
// mayOvertake it is the first that waits, whatever stands behind it.
func (r *ring) peek(mayOvertake bool) *Work {
	if !r.waits() {
		return nil
	}
	if !mayOvertake {
		return r.works[r.next]
	}
	next := r.inLine()
	if w := r.early.first(); w != nil && w.Due.Before(next.Due) { // what is early waits in line, too
		next = w
	}
	if w := r.exact.first(); w != nil && (next == nil || before(w, next)) {
		next = w
	}
	return next
}

// take marks w, which peek returned, as sent. It says whether w overtakes.
func (r *ring) take(w *Work) (overtakes bool) {
	w.state = sent
	w.overtook = w != r.works[r.next]
	if w.overtook {
		r.overtaken++
		r.farthest = max(r.farthest, w.offset)
	}
	return w.overtook
}

// handled returns how many works at the front are done.
func (r *ring) handled() int {
	n := 0
	for n < len(r.works) && r.works[n].state == done {
		n++
	}
	return n
}

// drop forgets the first n works, which are committed.
func (r *ring) drop(n int) {
	for _, w := range r.works[:n] {
		if w.overtook {
			r.overtaken--
		}
	}
	if r.overtaken == 0 {
		r.farthest = 0
	}
	clear(r.works[:n])
	r.works = r.works[n:]
	r.next, r.line = max(r.next-n, 0), max(r.line-n, 0)
	if len(r.works) == 0 {
		r.works = nil
	}
}

// earlyHeap orders works by due time, then offset.
type earlyHeap []*Work

func (h earlyHeap) Len() int           { return len(h) }
func (h earlyHeap) Less(i, j int) bool { return before(h[i], h[j]) }
func (h earlyHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// first returns the first work that waits, nil where none does. It forgets those before it.
func (h *earlyHeap) first() *Work {
	for len(*h) > 0 && (*h)[0].state != waiting {
		heap.Pop(h)
	}
	if len(*h) == 0 {
		return nil
	}
	return (*h)[0]
}

// before reports whether a is due before b, or at the same time and stands in front of it.
func before(a, b *Work) bool {
	if a.Due.Equal(b.Due) {
		return a.offset < b.offset
	}
	return a.Due.Before(b.Due)
}

func (h *earlyHeap) Push(x any) { *h = append(*h, x.(*Work)) }
func (h *earlyHeap) Pop() any {
	old := *h
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return w
}
