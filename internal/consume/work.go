package consume

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/unpack"
)

// Work is one record in its lane, from the fetch to the commit behind it.
type Work struct {
	// Record is nil once the work is done: its memory goes back.
	Record *kgo.Record
	// Due is when the record is to be handled; zero is at once.
	Due time.Time

	lane     *lane
	offset   int64
	appended int64     // when the record was, in Unix ms: Record is gone when it is asked for after undo
	bytes    int64     // what it takes of the budget while it is not done
	seen     time.Time // zero but on CreateTime topics
	earliest time.Time // that it can be sent
	epoch    int32
	state    state // guarded by lane.mu
	overtook bool  // was sent before a record that stands in front of it
	free     bool  // is handled by its due time, whatever its key; see Handler
	told     bool  // the metadata of a commit says that it is handled
	overdue  bool  // by more than overdueAfter, when it was sent
}

type state uint8

const (
	waiting state = iota
	sent
	done
)

// set makes w the work for rec.
func (w *Work) set(l *lane, rec *kgo.Record) {
	w.Record, w.lane, w.offset, w.epoch = rec, l, rec.Offset, rec.LeaderEpoch
	w.appended = rec.Timestamp.UnixMilli()
	w.bytes = unpack.Taken(rec)
}

// Done says that the record has been handled as of now, for good or as a dead
// letter: the commit may pass it. It is called exactly once, from any goroutine.
func (w *Work) Done(now time.Time) { w.lane.finish(w, now) }

// Seen returns when the record was first fetched, where the broker does not stamp it: what
// Handler.Due was given. It is zero for any other record.
func (w *Work) Seen() time.Time { return w.seen }

// Live says whether the partition is still ours. What has not been sent when it
// no longer is must not be sent: its next owner does that.
func (w *Work) Live() bool { return w.lane.live.Load() }

// Halted is closed when no more may be sent: a handler that waits to try again
// gives up then, and leaves the record to its next owner.
func (w *Work) Halted() <-chan struct{} { return w.lane.halt.Done() }

// Await waits until the record may be handled: the lease is held. It returns false when
// no more may be sent, and the record is to be left.
func (w *Work) Await() bool { return w.lane.c.lease.wait(w.lane.halt) }

// Leave gives the record up: its next owner handles it. It takes the place of Done once
// no more may be sent, so that a hand-over does not wait for the record.
func (w *Work) Leave() { w.lane.leave() }

// Context is the lane's. It ends when the partition is given up, after HandOver or
// DrainTimeout where that is not at once; the cause is ErrRevoked or ErrStopped.
func (w *Work) Context() context.Context { return w.lane.tenure }

// Place is a record of a topic, wherever in the process it is read.
type Place struct {
	topic     kadm.TopicID
	reader    *Consumer // where the topic's id is not known; else nil
	name      string    // the same
	partition int32
	offset    int64
}

// Place returns where the record stands.
func (w *Work) Place() Place {
	l := w.lane
	p := Place{topic: l.id.topic, partition: l.partition, offset: w.offset}
	if p.topic == (kadm.TopicID{}) {
		p.reader, p.name = l.c, l.topic.Name
	}
	return p
}

// Clock returns now by the clock that due times follow, that of the broker which the
// record came from. It is never later than that clock shows.
func (w *Work) Clock(now time.Time) time.Time { return w.lane.now(now) }

// Stamp returns now by the broker's clock where that is known well, to write a record
// with; else now.
func (w *Work) Stamp(now time.Time) time.Time { return w.lane.stamp(now) }
