package deliver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/target"
	"github.com/delayd-io/delayd/internal/unpack"
)

const (
	// watchEvery is how often queues and gates are checked; reopenEvery the
	// same while a gate is about to open, when records wait for it.
	watchEvery  = 250 * time.Millisecond
	reopenEvery = 50 * time.Millisecond
	// idleEvery is how often when nothing is on its way.
	idleEvery = time.Second
	// parkedReadTimeout is how long the next parked records are waited for when
	// gates are closed, before the next check whether there are any.
	parkedReadTimeout = 10 * time.Second
)

// gate keeps records from a target while older ones for it are parked: they
// would be overtaken. It is guarded by its queue's mu.
//
// The instance that parks a record need not be the one that delivers it, so the
// gate goes by what everyone can see: it opens when the forwarder group's commit
// has passed the last record that was parked.
type gate struct {
	unavailable bool // counted as such: closed, and not by a pause
	parked      parkedOffsets
	placement   placement // where what is set aside goes
}

// parkedOffsets is what is known of the records parked for one target. It has a
// lock of its own because the queue of the parked topic reports to it.
type parkedOffsets struct {
	mu       sync.Mutex
	underway int         // on their way to the parked topic
	last     lastOffsets // there
}

// lastOffsets are the last offsets of the partitions of a topic.
type lastOffsets map[int32]int64

// note notes that rec is on the topic.
func (o *lastOffsets) note(rec *kgo.Record) {
	if *o == nil {
		*o = make(lastOffsets)
	}
	(*o)[rec.Partition] = max((*o)[rec.Partition], rec.Offset)
}

func (p *parkedOffsets) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.underway++
}

// end notes that a record is on the parked topic, or with nil that it will never
// be.
func (p *parkedOffsets) end(rec *kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.underway--
	if rec != nil {
		p.last.note(rec)
	}
}

// seen notes that a record was found on the parked topic.
func (p *parkedOffsets) seen(rec *kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last.note(rec)
}

// behind is how many offsets were parked that are not committed.
func (p *parkedOffsets) lag(committed func(partition int32) int64) (lag int64, underway bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, last := range p.last {
		lag += max(0, last+1-committed(n))
	}
	return lag, p.underway > 0
}

// closeGate has records parked from now on, on the parked partition where there are some
// already, or on any (ByKey), and parks what the queue holds: what comes now would be
// parked in front of it. why is nil unless the target takes no records.
func (q *lockedQueue) closeGate(partition int32, why error) {
	if !q.target.Park() {
		return
	}
	q.gate.placement.partitions = q.o.parkedPartitions.take(q.topic, partition, q.o.owned())
	q.countUnavailable()
	switch {
	case q.target.Paused(): // whoever follows what is paused logs it
	case why == nil:
		q.o.targetLog.Info().Str("topic", q.topic).Msg("records are parked for the target: later ones are parked behind them")
	default:
		q.o.targetLog.Warn().Err(connect.GrantWrite(why, q.topic)).Str("topic", q.topic).
			Msg("target unavailable: its records are parked and retried in order")
	}
	if q.o.cfg.TransactionalID == "" { // in transactions the loop has them, in order
		q.parkAll()
	}
}

// countUnavailable counts the target as unavailable, or no more.
func (q *lockedQueue) countUnavailable() {
	unavailable := q.target.Unavailable()
	switch {
	case unavailable && !q.gate.unavailable:
		q.o.cfg.Metrics.Unavailable.Inc()
	case !unavailable && q.gate.unavailable:
		q.o.cfg.Metrics.Unavailable.Dec()
	}
	q.gate.unavailable = unavailable
}

// park sets it aside until its target takes records again.
func (q *lockedQueue) park(it *item) {
	if it.since.IsZero() {
		it.since = time.Now()
	}
	it.facts.Since = it.since.UnixMilli()
	q.gate.parked.start()
	q.o.parkedQueue.send(&item{
		owner: it.owner, src: it.src, facts: it.facts, rec: record.Parked(it.src, q.o.parked, it.facts),
		parkedBy: q.self(), parkedOn: q.gate.placement.partition(it.src),
	}, time.Now())
}

// look opens the gate, or decides whether it is about to open, by what is
// committed of the parked topic. It says whether records wait for it.
func (q *queue) look(committed kadm.OffsetResponses, now time.Time) (reopening bool) {
	lq := q.lock()
	defer lq.unlock()
	if !q.target.Unavailable() {
		return false
	}
	lag, underway := q.gate.parked.lag(func(n int32) int64 {
		c, _ := committed.Lookup(q.o.parked, n)
		return max(0, c.At)
	})
	switch q.target.Look(now, lag, underway) {
	case target.Send:
		q.o.parkedPartitions.give(q.gate.placement.partitions)
		q.gate.placement = placement{}
		lq.countUnavailable()
		q.o.targetLog.Info().Str("topic", q.topic).Msg("nothing is parked for the target any more") // delivered, or dead
		lq.releaseWaiting()
	case target.Park:
		lq.releaseWaiting()
	}
	return q.target.State() == target.HalfOpen
}

// watch finds targets that hang without an error, and opens gates.
func (o *Outbox) watch() {
	timer := time.NewTimer(watchEvery)
	defer timer.Stop()
	for {
		select {
		case <-o.ctx.Done():
			return
		case <-timer.C:
		}
		next := idleEvery
		if o.tick(time.Now()) {
			next = watchEvery
		}
		if o.openGates() {
			next = reopenEvery
		}
		o.forgetIdle(time.Now())
		o.deaths.flush(time.Now())
		o.targetLog.flush(time.Now())
		timer.Reset(next)
	}
}

// tick finds queues that make no progress. It returns whether anything is on its way
// or parked.
func (o *Outbox) tick(now time.Time) (busy bool) {
	for _, q := range o.all() {
		busy = q.tick(now) || busy
	}
	return busy
}

func (o *Outbox) openGates() (reopening bool) {
	var closed []*queue
	for _, q := range o.all() {
		lq := q.lock()
		if q.target.Parked() {
			closed = append(closed, q)
		}
		lq.unlock()
	}
	if len(closed) == 0 {
		return false
	}
	committed, err := o.parkedCommits(o.ctx)
	if err != nil {
		o.lookErrors.Warn().Err(err).Msg("looking for parked records: retried")
		return false
	}
	for _, q := range closed {
		reopening = q.look(committed, time.Now()) || reopening
	}
	return reopening
}

// parkedCommits returns up to where parked records are delivered. What was committed for a
// former topic of the name says nothing about this one.
func (o *Outbox) parkedCommits(ctx context.Context) (kadm.OffsetResponses, error) {
	group := o.cfg.Names.ForwarderGroup()
	commits, err := o.adm.FetchOffsetsForTopics(ctx, group, o.parked)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil // no forwarder has run yet: nothing is committed
	}
	if err = offsets.CommitFault(group, commits, err); err != nil {
		return nil, fmt.Errorf("read the commits of %s: %w", o.parked, err)
	}
	meta, err := o.adm.Metadata(ctx, o.parked)
	if err != nil {
		return nil, fmt.Errorf("look up the id of %s: %w", o.parked, err)
	}
	commits.DeleteFunc(func(c kadm.OffsetResponse) bool {
		return consume.Outdated(c.Metadata, meta.Topics[o.parked].ID, meta.Cluster)
	})
	return commits, nil
}

// CloseGates closes the gates of all targets that have parked records. It is
// called before new lanes start: their former owner may have parked what stood
// in front of what they hold.
func (o *Outbox) CloseGates(ctx context.Context) error {
	starts, err := o.adm.ListStartOffsets(ctx, o.parked)
	err = offsets.ListFault(starts, err)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil // nothing was ever parked
	}
	ends := starts
	if err == nil {
		ends, err = o.adm.ListEndOffsets(ctx, o.parked)
		err = offsets.ListFault(ends, err)
	}
	if err != nil {
		return fmt.Errorf("read where %s starts and ends: %w", o.parked, err)
	}
	commits, err := o.parkedCommits(ctx)
	if err != nil {
		return err
	}
	o.parkedPartitions.count(int32(len(ends[o.parked])))
	o.scans.Lock()
	defer o.scans.Unlock()
	from, upTo := make(map[int32]kgo.Offset), make(map[int32]int64)
	ends.Each(func(end kadm.ListedOffset) {
		c, _ := commits.Lookup(end.Topic, end.Partition)
		start, _ := starts.Lookup(end.Topic, end.Partition)
		if at := o.scans.from(end.Partition, max(start.Offset, c.At), end.Offset); at < end.Offset {
			from[end.Partition], upTo[end.Partition] = kgo.NewOffset().At(at), end.Offset
		}
	})
	if len(from) == 0 {
		return nil
	}
	var room unpack.Room
	client, err := kgo.NewClient(append(o.opts[:len(o.opts):len(o.opts)],
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.parked: from}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.KeepControlRecords(),
		kgo.WithDecompressor(unpack.New(&room, nil)),
	)...)
	if err != nil {
		return err
	}
	defer client.Close()
	for len(upTo) > 0 {
		// What is left may be delivered and purged meanwhile: then nothing comes.
		ctx, cancel := context.WithTimeout(ctx, parkedReadTimeout)
		fetches := client.PollFetches(ctx)
		cancel()
		fetches.EachRecord(func(rec *kgo.Record) {
			o.scans.to(rec)
			if rec.Offset >= upTo[rec.Partition]-1 {
				delete(upTo, rec.Partition)
			}
			if !rec.Attrs.IsControl() {
				o.closeGateFor(rec)
			}
		})
		room.Reset()
		for _, f := range fetches.Errors() {
			if errors.Is(f.Err, unpack.ErrNoRoom) {
				continue // fetched again
			}
			if f.Topic != o.parked || !undecodable(f.Err) {
				return fmt.Errorf("read %s: %w", o.parked, connect.GrantTopic(f.Err, connect.Read, o.parked))
			}
			if _, wanted := upTo[f.Partition]; wanted {
				o.log.Error().Err(f.Err).Str("topic", f.Topic).Int32("partition", f.Partition).
					Msg("cannot read which targets have parked records on this partition: they may get later records first")
			}
			delete(upTo, f.Partition)
			client.PauseFetchPartitions(map[string][]int32{f.Topic: {f.Partition}})
		}
	}
	return nil
}

// undecodable reports whether a fetch failed because of what is on the partition. All
// other partitions go on; the forwarder that reads the partition is unready and names
// the place.
func undecodable(err error) bool {
	_, kafka := errors.AsType[*kerr.Error](err)
	_, loss := errors.AsType[*kgo.ErrDataLoss](err)
	return !kafka && !loss && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// closeGateFor closes the gate of the target that rec, parked, is for.
func (o *Outbox) closeGateFor(rec *kgo.Record) {
	if len(rec.Key) == 0 {
		return // nothing that Parked made: it will be a dead letter
	}
	q := o.queue(string(rec.Key), direct, time.Now())
	lq := q.lock()
	defer lq.unlock()
	lq.closeGate(rec.Partition, nil)
	if topic, partition, ok := record.ParkedSource(rec); ok {
		from := source{topic, partition}
		q.o.parkedPartitions.found(&q.gate.placement, from, rec.Partition)
	}
	q.gate.parked.seen(rec)
}
