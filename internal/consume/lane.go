package consume

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
)

// sendBatch is how many due works a lane takes at once: one look at the clock, the
// lease and the locks serves them all. What is allocated for a batch stays below
// 32 KiB, above which Go's allocator is slower.
const sendBatch = 64

// lane is one assigned partition.
type lane struct {
	c         *Consumer
	topic     *Topic
	partition int32
	member    string // whom the group has assigned it to
	id        identity
	purge     purgeState

	clock   atomic.Pointer[clock] // the leader's; nil until a record was read
	epoch   atomic.Int32          // in which it leads
	former  clock                 // as former leaders' stamps say
	stamped atomic.Bool           // the last record was, by a broker

	suspended atomic.Bool // by Consumer.Suspend
	doubted   atomic.Bool // the topic may be gone: nothing is committed (see Consumer.doubt)
	gone      atomic.Bool // the topic is

	live   atomic.Bool     // false once the partition is revoked or lost
	ready  chan struct{}   // closed when the lane may start (see Consumer.prime)
	wake   chan struct{}   // has room for one: something changed
	halt   context.Context // ends when nothing more may be sent
	stop   context.CancelFunc
	halted chan struct{}   // closed when run has returned
	tenure context.Context // ends when the partition is given up, with the cause; see Work.Context
	resign context.CancelCauseFunc

	mu       sync.Mutex
	queue    dueQueue
	progress progress
	usage    usage
	moved    time.Time  // when a work was last done, or came to an empty lane
	next     int64      // the offset behind the last that was fetched
	looked   int64      // next when it was found below the log's start; -1: it was not
	open     open       // transactions whose end has not been read
	marks    []seenMark // from the previous owner's commit
	unread   time.Time  // before which nothing is due that has not been fetched; zero: not before queue.lastDue
	fetched  time.Time  // from when it is, where it is
	caughtUp bool       // the last fetch reached the end, and the next was not held back
	stalled  *stall     // not read on; nil: it is
	read     bool       // something was fetched
	empty    int        // batches in a row of which no record could be decoded
	placed   bool       // franz-go knows where to start
	moves    bool       // it starts elsewhere than at its commit
}

// lockedLane is a lane whose lock is held. What needs the lock is a method of it.
type lockedLane lane

func (l *lane) lock() *lockedLane {
	l.mu.Lock()
	return (*lockedLane)(l)
}

func (l *lockedLane) unlock() { l.mu.Unlock() }

// push appends what was received at now, and says whether the broker has more.
// Called from the poll loop only, so it never overlaps with a hand-over.
func (l *lane) push(p kgo.FetchPartition, now time.Time) (more bool) {
	var bytes int64
	locked := l.lock()
	lost, start := missed(l.next, &p)
	if l.progress.committed.Offset == unknownOffset {
		l.progress.committed.Offset = start
	}
	if lost > 0 || p.Records[0].Offset < l.next {
		l.open = nil // a marker may be among what is missing
	}
	l.read, l.empty = true, 0
	locked.heal(now)
	l.next = p.Records[len(p.Records)-1].Offset + 1
	tail := l.caughtUp // what comes now was appended just now
	l.caughtUp = p.Records[len(p.Records)-1].Offset+1 >= p.HighWatermark
	if len(l.queue.works) == 0 {
		l.moved = now
	}
	raised := l.observe(p.Records[len(p.Records)-1], now, tail && l.caughtUp)
	theirs := l.now(now)
	idle := !l.queue.waits()
	works := make([]Work, len(p.Records))
	var unpacked int64
	var aborted openTransaction // of all
	var dropped int
	for i, rec := range p.Records {
		w := &works[i]
		w.set(l, rec)
		if rec.Attrs.CompressionType() != 0 {
			unpacked += w.bytes
		}
		if covered := l.progress.ahead.covers(rec); covered || rec.Attrs.IsControl() || l.topic.Aside && probing(rec) {
			w.told = covered
			l.queue.addDone(w) // the marker of a transaction, or of a probe, or handled by the previous owner
			if t, ok := l.open.end(rec); ok {
				n, taken := l.queue.abort(rec.ProducerID, t.first)
				aborted, dropped, bytes = openTransaction{t.first, aborted.records + t.records}, dropped+n, bytes-taken
			}
			continue
		}
		if rec.Attrs.IsTransactional() {
			l.open.note(rec)
		}
		if record.Stamped(rec) {
			w.Due, w.free = l.topic.Handler.Due(rec, theirs)
		} else {
			w.seen, l.progress.unstamped = firstSeen(l.marks, rec.Offset, theirs), rec.Offset
			w.Due, w.free = l.topic.Handler.Due(rec, w.seen)
			if l.topic.Wait > 0 {
				l.progress.marksDirty = true
				signal(l.c.some)
			}
		}
		bytes += w.bytes
		l.queue.push(w)
		if l.unread = (time.Time{}); w.free || l.queue.exact.first() != nil {
			l.unread = rec.Timestamp.Add(l.topic.Wait - l.topic.Slack)
		}
	}
	l.usage.add(bytes)
	news := idle || len(l.queue.early) > 0 || len(l.queue.exact) > 0 // else run sleeps until the same record
	more = !l.caughtUp
	locked.unlock()
	l.c.lose(l.topic.Name, l.partition, lost, start)
	if aborted.records > 0 {
		l.c.log.Error().Str("topic", l.topic.Name).Int32("partition", l.partition).Int64("offset", aborted.first).
			Int("left_out", dropped).Int("sent", aborted.records-dropped).
			Msg("the broker gave out records of an aborted transaction as committed ones; those that were not sent yet are left out")
	}
	l.usage.pool.bytes.Add(bytes)
	unpacking.Give(unpacked)
	if news {
		l.nudge()
	}
	l.c.wakeLanes(raised)
	return more
}

// nudge has run look at the queue again.
func (l *lane) nudge() { signal(l.wake) }

// run sleeps until the next work is due, then sends all that is due, until the
// lane is halted.
func (l *lane) run() {
	defer close(l.halted)
	ctx := l.halt
	select {
	case <-l.ready:
	case <-ctx.Done():
		return
	}
	timer := time.NewTimer(surely)
	defer timer.Stop()
	var precise sleeper
	defer precise.close()
	room := sendBatch
	if l.topic.OneByOne {
		room = 1
	}
	batch := make([]*Work, 0, room)
	for ctx.Err() == nil {
		var sleep time.Duration
		batch, sleep = l.due(batch[:0], time.Now())
		if len(batch) > 0 {
			if !l.send(ctx, batch) {
				return
			}
			continue
		}
		if sleep <= lastStretch {
			precise.sleep(sleep)
			continue
		}
		timer.Reset(sleep - lastStretch)
		select {
		case <-timer.C:
		case <-l.wake:
		case <-ctx.Done():
		}
	}
}

// due takes the works that are due into batch; when none is, it says how long to
// sleep.
func (l *lane) due(batch []*Work, now time.Time) ([]*Work, time.Duration) {
	if l.suspended.Load() {
		return batch, time.Hour // until it is resumed
	}
	now = l.now(now)
	locked := l.lock()
	defer locked.unlock()
	for len(batch) < cap(batch) {
		w := l.queue.peek(true)
		if w == nil {
			return batch, time.Hour // until something comes
		}
		blocked := w != l.queue.works[l.queue.next] && !(l.usage.pool.mayOvertake() && l.progress.mayOvertake(&l.queue, w, l.c.metadataLimit.bits()))
		if blocked {
			w = l.queue.peek(false)
		}
		if wait := w.Due.Sub(now); wait > CommitInterval && blocked {
			return batch, CommitInterval // a commit may have made room
		} else if wait > surely {
			return batch, wait / 2
		} else if wait > 0 {
			if l.topic.Screen != nil {
				l.topic.Screen.Soon()
			}
			return batch, wait
		}
		if l.topic.Screen != nil {
			dropped, ok := locked.screened(w)
			if !ok {
				return batch, screenAgain
			}
			if dropped {
				continue
			}
		}
		if l.queue.take(w) {
			l.usage.pool.overtaking.Add(1)
		}
		w.overdue = !w.Due.IsZero() && now.Sub(w.Due) > overdueAfter
		batch = append(batch, w)
	}
	return batch, 0
}

// send hands batch to the handler, as soon as the lease and the bound on
// uncommitted work allow. It returns false when the lane ended before.
func (l *lane) send(ctx context.Context, batch []*Work) bool {
	if !l.claim(ctx, batch) {
		return false
	}
	for len(batch) > 0 && l.c.lease.wait(ctx) {
		l.topic.Handler.Handle(batch)
		batch = nil
	}
	// What is left has not gone out: its next owner delivers it.
	l.mu.Lock()
	l.usage.unfinished -= len(batch)
	l.mu.Unlock()
	return len(batch) == 0
}

func (l *lane) finish(w *Work, now time.Time) {
	l.mu.Lock()
	if w.state == done {
		l.mu.Unlock()
		panic("lane: work done twice")
	}
	w.state = done
	w.Record = nil
	bytes := w.bytes
	live := l.live.Load()
	if live {
		l.usage.add(-bytes)
	}
	l.usage.unfinished--
	l.progress.finished++
	l.moved = now
	emptied := l.usage.emptied()
	l.mu.Unlock()
	if emptied {
		signal(l.c.eased)
	}
	if live {
		l.usage.pool.give(bytes)
		l.c.handledOne()
	}
}

// leave counts a work as no longer under way: its next owner handles it.
func (l *lane) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.usage.unfinished--
}

// end takes the lane out of service: what it holds goes back to its pool, and
// what it has sent and not finished is its next owner's.
func (l *lane) end() {
	l.stop()
	if l.c.stopping() {
		l.resign(ErrStopped)
	} else {
		l.resign(ErrRevoked)
	}
	l.mu.Lock()
	l.live.Store(false)
	for _, w := range l.queue.works {
		if w.overtook && !w.told {
			l.usage.pool.overtaking.Add(-1)
		}
	}
	bytes, held, overdue := l.usage.clear()
	l.queue = dueQueue{}
	l.mu.Unlock()
	l.usage.pool.release(held, overdue)
	l.usage.pool.give(bytes)
}

// idle reports whether nothing in flight is worth waiting for at a hand-over. In
// transactions records set aside are dropped: none of them is delivered then.
func (l *lane) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.usage.unfinished == 0 || l.c.cfg.Transactional && l.topic.Aside
}

// stuck returns how long the first record has been overdue, when it is and
// nothing has moved.
func (l *lane) stuck(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.queue.handled()
	if l.suspended.Load() || n == len(l.queue.works) || now.Sub(l.moved) < stuckAfter {
		return 0
	}
	overdue := min(l.now(now).Sub(l.queue.works[n].Due), now.Sub(l.moved))
	if overdue > stuckAfter {
		return overdue
	}
	return 0
}
