package consume

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// newTransactionalLane is a lane whose records are due at once and are committed in
// transactions.
func newTransactionalLane() *lane {
	l := newTestLane()
	l.c.cfg.Transactional = true
	l.topic = &Topic{Name: "t", Handler: dueAt{}}
	l.live.Store(true)
	return l
}

// Whatever is aborted and tried again, a transaction commits the records that it
// handled and no others, an ordinary commit none at all. In the end everything
// that was held has been given back.
func TestTxnCommitProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newTransactionalLane()
		l.usage.pool.maxOvertaking = int64(rapid.IntRange(0, 20).Draw(t, "may overtake"))
		delivered := make(map[int64]bool) // by transactions that were committed
		var next int64                    // offset
		var taken []*Work                 // sent and not handled, in their order
		var handled []*Work               // in the transaction under way
		committed := int64(0)
		fetch := func(t *rapid.T) {
			var recs []*kgo.Record
			for range rapid.IntRange(1, 10).Draw(t, "records") {
				next += rapid.Int64Range(0, 2).Draw(t, "gap")
				attrs := created
				if rapid.IntRange(0, 4).Draw(t, "marker") == 0 {
					attrs = marker
				}
				recs = append(recs, newRecord(next, seconds(rapid.IntRange(-1000, 0).Draw(t, "due")), attrs))
				next++
			}
			l.push(fetched(recs...), epoch)
		}
		take := func(*rapid.T) {
			batch, _ := l.due(make([]*Work, 0, 5), epoch.Add(time.Hour))
			if !l.claim(context.Background(), batch) {
				t.Fatal("a live lane got no slots")
			}
			taken = append(taken, batch...)
		}
		handle := func(t *rapid.T) {
			n := rapid.IntRange(0, len(taken)).Draw(t, "handled")
			for _, w := range taken[:n] {
				w.Done(epoch)
			}
			handled = append(handled, taken[:n]...)
			taken = taken[n:]
		}
		abort := func(*rapid.T) {
			undo(slices.Values(handled))
			taken = append(handled, taken...)
			handled = nil
		}
		commit := func(*rapid.T) {
			p, n := l.handled()
			if n != len(handled) {
				t.Fatalf("%d records would be committed, %d were handled", n, len(handled))
			}
			for _, w := range handled {
				delivered[w.offset] = true
			}
			known(t, l, p, delivered)
			l.commit(p)
			committed = max(committed, p.at.Offset)
			handled = nil
		}
		t.Repeat(map[string]func(*rapid.T){
			"fetch": fetch, "take": take, "handle": handle, "abort": abort, "commit": commit,
			"ordinary commit": func(*rapid.T) {
				p := l.prefix()
				for _, w := range l.queue.works[:p.n] {
					if !w.marker() {
						t.Fatalf("offset %d, a record, would be committed outside of a transaction", w.offset)
					}
				}
				if p.at.Offset < committed {
					t.Fatalf("%d would be committed, behind %d", p.at.Offset, committed)
				}
				if len(handled) == 0 { // else a transaction is under way, and nothing else is committed
					known(t, l, p, delivered)
				}
				l.commit(p)
				committed = p.at.Offset
			},
		})
		for l.queue.peek(false) != nil {
			take(t)
		}
		abort(t)
		for _, w := range taken {
			w.Done(epoch)
		}
		handled, taken = taken, nil
		commit(t)
		if len(l.queue.works) > 0 || l.usage.bytes != 0 || l.usage.pool.bytes.Load() != 0 || l.usage.unfinished != 0 || l.usage.slots != 0 || l.usage.overdue != 0 {
			t.Fatalf("%d works, %d and %d bytes, %d unfinished, %d unheld, %d overdue are left",
				len(l.queue.works), l.usage.bytes, l.usage.pool.bytes.Load(), l.usage.unfinished, l.usage.slots, l.usage.overdue)
		}
		if !l.usage.pool.slots.TryAcquire(2*CommitRecords) || !l.usage.pool.overdue.TryAcquire(maxOverdue(2*CommitRecords)) {
			t.Fatal("not all slots are free")
		}
	})
}

// known checks that the next owner of the lane would take for handled what was delivered,
// and nothing else.
func known(t *rapid.T, l *lane, p prefix, delivered map[int64]bool) {
	a := parseAhead(p.meta, p.at.Offset)
	for i, w := range l.queue.works {
		if known := i < p.n || a.has(w.offset); !w.marker() && known != delivered[w.offset] {
			t.Fatalf("offset %d was delivered: %t, and the next owner takes it for handled: %t", w.offset, delivered[w.offset], known)
		}
	}
}

// inbox is a Handler whose records are handled at once.
type inbox struct{ dueIn }

func (inbox) Due(*kgo.Record, time.Time) (time.Time, bool) { return time.Time{}, false }

// TestUndoneOverdue: a record that is handled at once is overdue from when it was
// appended, also when its transaction was aborted.
func TestUndoneOverdue(t *testing.T) {
	l := newTransactionalLane()
	l.topic.Handler = inbox{}
	l.push(fetched(newRecord(0, epoch, created)), epoch)
	batch, _ := l.due(make([]*Work, 0, 1), epoch)
	if len(batch) != 1 || !l.claim(context.Background(), batch) {
		t.Fatalf("%d works are due, want 1", len(batch))
	}
	batch[0].Done(epoch)
	undo(slices.Values(batch[:1]))
	var sum load
	l.measure(&sum, epoch.Add(time.Minute))
	if sum.overdue != time.Minute || sum.unfinished != 1 {
		t.Errorf("%d records overdue by %v, want 1 by a minute", sum.unfinished, sum.overdue)
	}
}
