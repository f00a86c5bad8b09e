package deliver

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/delayd-io/delayd/internal/produce"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

const (
	// maxRecords bounds the records of a batch.
	maxRecords = 10_000
	// loweredFor is how long the size that a topic refused is remembered; then larger
	// batches are tried again.
	loweredFor = time.Minute
	// maxRecordBytes bounds one record before compression: brokers take requests up
	// to 100 MiB (socket.request.max.bytes), and we have to hold it several times.
	maxRecordBytes = record.MaxBatchBytes
	// keylessFor is how long records without a key are sent alone after one was
	// refused: a compacted topic takes none, and refuses with each what is in its batch.
	keylessFor = time.Second
)

// line is the records on their way to one partition, guarded by its queue's mu.
type line struct {
	items   []*item        // in order; the first n are in batch
	batch   *produce.Batch // in flight, or to be sent again; nil: none
	n       int
	bytes   int64 // of the batch, before compression
	sending bool  // the producer has the batch

	most int // records of the next batch, after a refusal; 0: as many as fit

	retry   time.Time // not sent again before
	backoff time.Duration
}

// wait has the line's batch sent again after a while, longer each time.
func (l *line) wait(now time.Time) {
	l.backoff = min(max(2*l.backoff, backoffMin), backoffMax)
	l.retry = now.Add(l.backoff/2 + rand.N(l.backoff/2))
}

// take takes n records off the front, and with them the batch, which has ended.
func (l *line) take(n int) []*item {
	items := l.items[:n]
	l.items = l.items[n:]
	if len(l.items) == 0 {
		l.items = nil
	}
	l.drop()
	return items
}

// pick takes the records of the batch with the given indices out of the line.
func (l *line) pick(indices []int) (picked []*item) {
	faulty := make(map[int]bool, len(indices))
	for _, i := range indices {
		faulty[i] = true
	}
	kept := make([]*item, 0, len(l.items))
	for i, it := range l.items {
		if i < l.n && faulty[i] {
			picked = append(picked, it)
		} else {
			kept = append(kept, it)
		}
	}
	l.items = kept
	l.drop()
	return picked
}

// fail notes why the batch was not written.
func (l *line) fail(err error, now time.Time) {
	for _, it := range l.items[:l.n] {
		it.err = err
		if it.since.IsZero() {
			it.since = now
		}
	}
}

// drop forgets the batch, which the broker has answered.
func (l *line) drop() { l.batch, l.n, l.sending = nil, 0, false }

// abandon forgets the batch of a line whose answer is not known, or may not be the
// last. It may be written all the same.
func (q *lockedQueue) abandon(n int32) {
	l := &q.lines[n]
	if l.batch == nil {
		return
	}
	q.o.producer.Abandon(q.topic, n, l.batch)
	if l.sending {
		q.inFlight -= l.n
	}
	l.drop()
}

// same reports whether the batch of a line can be sent again as it is: all its
// records are still ours to deliver.
func (q *lockedQueue) same(l *line, now time.Time) bool {
	return l.batch != nil && !slices.ContainsFunc(l.items[:l.n], func(it *item) bool { return q.unwanted(it, now) })
}

// unwanted reports whether it is not to be sent: its partition is another
// instance's, or it is too late for its target.
func (q *lockedQueue) unwanted(it *item, now time.Time) bool {
	return !it.owner.Live() || q.self().tooLate(it, now) != nil
}

// fill makes the next batch of a line, if there is anything to send.
func (q *lockedQueue) fill(l *line, now time.Time) {
	if now.Sub(q.lowered) >= loweredFor {
		q.room = defaultBatchBytes
	}
	b := produce.NewBatch()
	if b.Compressor = q.o.compressor; q.kind == own {
		b.Compressor = q.o.ownCompressor
	}
	for {
		l.n, l.bytes = 0, 0
		b.Records, b.Small = b.Records[:0], false
		if q.gather(l, b, now) {
			break
		}
		q.cull(l, now)
	}
	if l.n == 0 {
		b.Free()
		return
	}
	l.batch = b
}

// gather fills b with the first records of a line. It returns false where it meets
// one that has to go first.
func (q *lockedQueue) gather(l *line, b *produce.Batch, now time.Time) bool {
	for _, it := range l.items {
		size := record.BatchBytes(it.rec)
		if q.unwanted(it, now) || size > maxRecordBytes {
			return false
		}
		if q.withdrawn(it) {
			it.withdrawn = true
			return false
		}
		if l.n > 0 {
			size = record.AddedBytes(size)
		}
		alone := it.alone || it.small || it.rec.Key == nil && now.Sub(q.keyless) < keylessFor
		if l.n > 0 && (alone || l.bytes+size > q.room || l.n == l.most || l.n == maxRecords) {
			return true
		}
		// A former attempt has written its place into the record.
		it.rec.Partition, it.rec.Timestamp = ByKey, stamp(it.owner, now)
		b.Records = append(b.Records, it.rec)
		l.n++
		l.bytes += size
		if alone {
			b.Small = it.small
			return true
		}
	}
	return true
}

// fits reports whether a broker can be asked at all whether it takes the record.
func (q *queue) fits(it *item) bool { return record.BatchBytes(it.rec) <= maxRecordBytes }

// cull takes out of a line what is not to be sent.
func (q *lockedQueue) cull(l *line, now time.Time) {
	l.items = slices.DeleteFunc(l.items, func(it *item) bool {
		switch {
		case !it.owner.Live():
			q.o.dropped(it)
		case q.expired(it, now):
		case it.withdrawn:
			it.owner.Done(now)
		case q.self().fits(it):
			return false
		case it.code != "":
			return !q.o.shrink(it)
		default:
			it.err = fmt.Errorf("%w: more than %d bytes before compression", kerr.MessageTooLarge, int64(maxRecordBytes))
			q.deadLetter(it, levels.TooLarge)
		}
		q.held--
		return true
	})
}

// errNotAcknowledged says that no broker has answered for so long.
func errNotAcknowledged(d time.Duration) error {
	return fmt.Errorf("not acknowledged for %v", d.Round(time.Second))
}
