package consume

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestAbortedAsCommitted: records of an aborted transaction that a broker gave out are left
// out when its marker comes, with the same fetch or later, and nobody else's are.
func TestAbortedAsCommitted(t *testing.T) {
	of := func(producer, offset int64, attrs kgo.RecordAttrsOpts, key ...byte) *kgo.Record {
		rec := newRecord(offset, epoch, attrs)
		rec.ProducerID, rec.Key = producer, key
		return rec
	}
	data, marks := kgo.RecordAttrsOpts{Transactional: true}, kgo.RecordAttrsOpts{Transactional: true, Control: true}
	commit, abort := []byte{0, 0, 0, 1}, []byte{0, 0, 0, 0}
	recs := []*kgo.Record{
		of(1, 0, data), of(1, 1, marks, commit...), // stays
		of(1, 2, data), of(2, 3, data), of(1, 4, created), of(1, 5, data),
		of(1, 6, marks, abort...), // 2 and 5
		of(3, 7, marks, abort...), // of nothing that was read
		of(2, 8, marks, commit...),
		of(2, 9, data), of(2, 10, marks, abort...), // 9
		of(1, 11, data), // its end is not read yet
	}
	want := []int64{0, 3, 4, 11}
	for cut := range len(recs) { // in one fetch, or two
		l := newTestLane()
		if cut > 0 {
			l.push(fetched(recs[:cut]...), epoch)
		}
		l.push(fetched(recs[cut:]...), epoch)
		var waits []int64
		var bytes int64
		for _, w := range l.queue.works {
			if w.state == waiting {
				waits, bytes = append(waits, w.offset), bytes+w.bytes
			}
		}
		if !slices.Equal(waits, want) {
			t.Errorf("cut at %d: %v wait, want %v", cut, waits, want)
		}
		if l.usage.bytes != bytes || l.usage.pool.bytes.Load() != bytes {
			t.Errorf("cut at %d: %d bytes are counted, %d in the pool, want %d", cut, l.usage.bytes, l.usage.pool.bytes.Load(), bytes)
		}
		if len(l.open) != 1 {
			t.Errorf("cut at %d: %d transactions are open, want 1", cut, len(l.open))
		}
	}
}
