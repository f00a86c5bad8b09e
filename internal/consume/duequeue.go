package consume

import (
	"container/heap"
	"time"
)

// dueQueue is the works of one partition in the order of their offsets, from the
// first that is not committed to the last that was fetched.
//
// Due times nearly always rise with the offset, so the next work is the first
// that waits. What is due before a record in front of it (routed late, or stamped
// by another producer's clock) also stands in early. It overtakes, unless a
// record with the same key would be overtaken.
//
// Works that are free are due in any order. They stand in exact, and neither wait for
// others nor hold them up.
type dueQueue struct {
	works []*Work
	next  int // works[:next] have been sent
	line  int // the first that waits and is not free, where some that are free wait

	early     earlyHeap
	exact     earlyHeap            // the free works that wait, and some that do not any more
	overtaken int                  // works that overtook, and are not dropped
	farthest  int64                // the last of their offsets
	lastDue   time.Time            // the latest due time that was pushed
	latest    map[string]time.Time // the latest of earliest of each key that waits; nil until something is early
}

func (q *dueQueue) push(w *Work) {
	w.earliest = w.Due
	if w.free {
		heap.Push(&q.exact, w)
		q.works = append(q.works, w)
		return
	}
	switch {
	case q.inLine() == nil || !w.Due.Before(q.lastDue):
		q.lastDue = w.Due
	case q.mayOvertake(w):
		heap.Push(&q.early, w)
	default:
		w.earliest = q.lastDue
	}
	if waits := len(q.works) - q.next; len(q.latest) > 2*waits+64 {
		q.latest = make(map[string]time.Time, waits)
		for _, o := range q.works[q.next:] {
			q.note(o)
		}
	}
	if q.latest != nil {
		q.note(w)
	}
	q.works = append(q.works, w)
}

// addDone appends a work that nothing is to be done for: the commit has to pass it, or
// pending would never be zero again.
func (q *dueQueue) addDone(w *Work) {
	w.state, w.Record, w.bytes = done, nil, 0
	q.works = append(q.works, w)
}

// mayOvertake says whether w can be sent at its due time without overtaking a
// record that has its key.
func (q *dueQueue) mayOvertake(w *Work) bool {
	if q.latest == nil {
		q.latest = make(map[string]time.Time)
		for _, o := range q.works[q.next:] {
			q.note(o)
		}
	}
	return w.Record.Key == nil || !w.Due.Before(q.latest[string(w.Record.Key)])
}

func (q *dueQueue) note(w *Work) {
	if w.state == waiting && !w.free && w.Record.Key != nil && w.earliest.After(q.latest[string(w.Record.Key)]) {
		q.latest[string(w.Record.Key)] = w.earliest
	}
}

// waits says whether anything waits, and moves next past what was sent early.
func (q *dueQueue) waits() bool {
	for q.next < len(q.works) && q.works[q.next].state != waiting {
		q.next++
	}
	if q.next == len(q.works) {
		q.latest = nil // nothing is left that could be overtaken
		return false
	}
	return true
}

// inLine returns the first work that waits and is not free, nil where there is none.
func (q *dueQueue) inLine() *Work {
	if !q.waits() {
		return nil
	}
	if q.exact.first() == nil {
		q.line = q.next
		return q.works[q.next]
	}
	q.line = max(q.line, q.next)
	for q.line < len(q.works) && (q.works[q.line].state != waiting || q.works[q.line].free) {
		q.line++
	}
	if q.line == len(q.works) {
		q.latest = nil // nothing is left that may not be overtaken
		return nil
	}
	return q.works[q.line]
}

// peek returns the work that is due next, nil when none waits. Without
// mayOvertake it is the first that waits, whatever stands behind it.
func (q *dueQueue) peek(mayOvertake bool) *Work {
	if !q.waits() {
		return nil
	}
	if !mayOvertake {
		return q.works[q.next]
	}
	next := q.inLine()
	if w := q.early.first(); w != nil && w.Due.Before(next.Due) { // what is early waits in line, too
		next = w
	}
	if w := q.exact.first(); w != nil && (next == nil || before(w, next)) {
		next = w
	}
	return next
}

// take marks w, which peek returned, as sent. It says whether w overtakes.
func (q *dueQueue) take(w *Work) (overtakes bool) {
	w.state = sent
	w.overtook = w != q.works[q.next]
	if w.overtook {
		q.overtaken++
		q.farthest = max(q.farthest, w.offset)
	}
	return w.overtook
}

// handled returns how many works at the front are done.
func (q *dueQueue) handled() int {
	n := 0
	for n < len(q.works) && q.works[n].state == done {
		n++
	}
	return n
}

// drop forgets the first n works, which are committed.
func (q *dueQueue) drop(n int) {
	for _, w := range q.works[:n] {
		if w.overtook {
			q.overtaken--
		}
	}
	if q.overtaken == 0 {
		q.farthest = 0
	}
	clear(q.works[:n])
	q.works = q.works[n:]
	q.next, q.line = max(q.next-n, 0), max(q.line-n, 0)
	if len(q.works) == 0 {
		q.works = nil
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
