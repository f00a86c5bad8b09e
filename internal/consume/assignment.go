package consume

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/offsets"
)

const (
	// primeRetry is the pause between looks at what a new assignment starts from.
	primeRetry = 100 * time.Millisecond
	// primePatience is how long a new assignment waits for topics that a broker does
	// not know and for partitions without a leader. Then the others start.
	primePatience = 2 * time.Second
)

// assigned makes the lanes of a new assignment. It runs before their first
// fetch and never overlaps with poll appending.
func (c *Consumer) assigned(ctx context.Context, _ *kgo.Client, added map[string][]int32) {
	c.unjoined.Store(nil)
	defer c.taken.Store(true)
	<-c.opened // franz-go joins the group before NewClient returns
	again := c.inherited()
	member := c.member()
	c.joined.Store(&member)
	c.absent.Store(false)
	lanes := make(map[partition]*lane)
	for _, parts := range []map[string][]int32{added, again} {
		for topic, ns := range parts {
			for _, n := range ns {
				if l := c.newLane(topic, n); l != nil {
					lanes[partition{topic, n}] = l
				}
			}
		}
	}
	if len(lanes) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.asked, cancel)() // poll waits for us before it ends
	begun := time.Now()
	unstable := begun
	for len(lanes) > 0 {
		err := c.prime(ctx, lanes, time.Since(begun) < primePatience)
		if err == nil {
			break
		}
		if c.cfg.Unstable != nil && errors.Is(err, kerr.UnstableOffsetCommit) && time.Since(unstable) >= offsets.UnstableFor {
			c.cfg.Unstable()
			unstable = time.Now()
		}
		select {
		case <-time.After(primeRetry):
		case <-ctx.Done():
			return
		}
	}
	ready := make(chan struct{})
	c.mu.Lock()
	for p, l := range lanes {
		l.ready = ready
		l.suspended.Store(c.suspended[l.topic.Name])
		l.halt, l.stop = context.WithCancel(c.work)
		l.tenure, l.resign = context.WithCancelCause(context.WithoutCancel(c.work)) // ended by lane.end
		go l.run()                                                                  // ended by lane.end, waited for by settle
		c.lanes[p] = l                                                              // from here on drain may end it
		c.ids[p.topic] = l.id
		c.absences.see(p.topic)
	}
	c.mu.Unlock()
	c.restart(again)
	c.log.Info().Int("partitions", len(lanes)).Int("total", len(c.each())).Msg("partitions assigned")
	go func() { // ends with c.work at the latest
		defer close(ready)
		c.prepare()
	}()
}

// newLane returns nil for a topic that was abandoned just now.
func (c *Consumer) newLane(topic string, n int32) *lane {
	t := c.topic(topic)
	if t == nil {
		return nil
	}
	l := &lane{
		c: c, topic: t, partition: n, member: c.member(), usage: usage{pool: c.main}, looked: -1, fetched: time.Now(),
		wake: make(chan struct{}, 1), halted: make(chan struct{}),
	}
	if t.Aside {
		l.usage.pool = c.aside
	}
	l.live.Store(true)
	return l
}

// prime reads where lanes start: the last commit, or the log's start where there is
// none or it was made for a topic that is no more. What was first seen when comes from
// the commit's metadata. Lanes of topics that cannot be described are taken out.
func (c *Consumer) prime(ctx context.Context, lanes map[partition]*lane, patient bool) error {
	ids, found, err := c.identify(ctx, topicsOf(lanes))
	if err == nil {
		err = c.unreadable(lanes, found, patient)
	}
	if err != nil {
		c.tries.Warn().Err(err).Msg("looking up the topics: retried")
		return err
	}
	topics := make(map[string][]int32)
	for p := range lanes {
		topics[p.topic] = append(topics[p.topic], p.n)
	}
	if len(topics) == 0 {
		return nil
	}
	// A former owner's transaction may have ended without its offsets being
	// applied yet, or not have ended at all.
	commits, err := offsets.Stable(ctx, c.client, c.cfg.Group, topics)
	if err != nil {
		c.tries.Warn().Err(err).Msg("reading the group's offsets: retried")
		return err
	}
	starts, err := c.adm.ListStartOffsets(ctx, slices.Collect(maps.Keys(topics))...)
	if err = offsets.ListFault(starts, err); err != nil {
		c.tries.Warn().Err(err).Bool("start_without", !patient).Msg("reading the topics' first offsets: retried")
		if patient {
			return err
		}
	}
	skips := c.skips(ctx, topics)
	for p, l := range lanes {
		start := int64(unknownOffset)
		if o, ok := starts.Lookup(p.topic, p.n); ok && o.Err == nil {
			start = o.Offset
		}
		l.id = ids[p.topic]
		var at *offsets.StableCommit
		if o, ok := commits[offsets.Partition{Topic: p.topic, Partition: p.n}]; ok {
			at = &o
		}
		c.begin(p, l, at, start, skips[p])
	}
	c.logStarts(ctx, lanes, commits)
	return nil
}

// begin sets where a lane starts, by the group's commit, nil where there is none, the
// log's start and what an operator has skipped.
func (c *Consumer) begin(p partition, l *lane, at *offsets.StableCommit, start int64, s skip) {
	l.progress.committed = kgo.EpochOffset{Epoch: -1, Offset: start}
	l.moves = false
	if at != nil {
		if of, _ := cutIdentity(at.Metadata); l.id.replaces(of) {
			c.logRecreated(p.topic, p.n, at.Offset, start)
			l.moves = true
		} else {
			l.progress.committed = kgo.EpochOffset{Epoch: at.Epoch, Offset: at.Offset}
			l.marks = parseMarks(at.Metadata)
			l.progress.ahead = parseAhead(at.Metadata, at.Offset)
		}
	}
	l.next = max(start, l.progress.committed.Offset)
	if start != unknownOffset {
		c.lose(p.topic, p.n, start-l.progress.committed.Offset-l.progress.ahead.below(start), start)
	}
	if s.covers(l.next) {
		c.logSkip(p, s)
		l.queue.addDone(&Work{lane: l, offset: s.to - 1, epoch: -1})
		l.next, l.moves = s.to, true
	}
}

// unknownOffset is where a partition starts that has no commit, and no leader to ask.
const unknownOffset = -1

// topicsOf returns the names of the lanes' topics.
func topicsOf(lanes map[partition]*lane) []string {
	names := make(map[string]bool)
	for p := range lanes {
		names[p.topic] = true
	}
	return slices.Collect(maps.Keys(names))
}

// prepare does what has to be done before a new lane sends its first record:
// the caller's own preparations, and a commit that proves the membership.
func (c *Consumer) prepare() {
	for c.cfg.Assigned != nil && c.work.Err() == nil {
		err := c.cfg.Assigned(c.work)
		if err == nil {
			break
		}
		c.tries.Warn().Err(err).Msg("preparing the partitions: retried")
		select {
		case <-time.After(primeRetry):
		case <-c.work.Done():
		}
	}
	c.probe(c.work)
	c.renewLease()
}

// revoked hands partitions over: no more is sent, what was sent may end, and
// what is handled is committed while the partitions are still ours.
func (c *Consumer) revoked(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	lanes := c.pick(gone)
	if len(lanes) == 0 {
		return
	}
	c.settle(lanes, HandOver)
	c.forget(gone)
	c.log.Info().Int("partitions", len(lanes)).Msg("partitions handed over")
}

// lost drops partitions that are another member's already.
func (c *Consumer) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	c.absent.Store(true)
	if len(c.pick(gone)) == 0 {
		return
	}
	c.lease.lose()
	c.forget(gone)
	c.log.Warn().Msg("partitions lost: records in flight may be delivered again")
}

func (c *Consumer) pick(parts map[string][]int32) []*lane {
	var lanes []*lane
	for topic, ns := range parts {
		for _, n := range ns {
			if l := c.lane(topic, n); l != nil {
				lanes = append(lanes, l)
			}
		}
	}
	return lanes
}

// settleEvery is how often a lane that is handed over is asked whether all is
// answered.
const settleEvery = 5 * time.Millisecond

// settle stops lanes from sending, waits for what they have sent, and commits.
func (c *Consumer) settle(lanes []*lane, within time.Duration) {
	ctx, cancel := context.WithTimeout(c.work, within)
	defer cancel()
	for _, l := range lanes {
		l.stop()
	}
	for _, l := range lanes {
		select {
		case <-l.halted:
		case <-ctx.Done():
		}
		for !l.idle() && ctx.Err() == nil {
			select {
			case <-time.After(settleEvery):
			case <-ctx.Done():
			}
		}
	}
	c.commit(c.work)
}

// forget ends lanes and takes them out of service. It waits for a commit under
// way, which may still name them.
func (c *Consumer) forget(gone map[string][]int32) {
	c.committing.Lock()
	defer c.committing.Unlock()
	for _, l := range c.pick(gone) {
		l.end()
		c.mu.Lock()
		delete(c.lanes, partition{l.topic.Name, l.partition})
		c.mu.Unlock()
	}
	// franz-go remembers a pause over a rebalance, which would stop the
	// partition in silence when it comes back.
	c.client.ResumeFetchPartitions(gone)
}

// drain is the end of the process: as a hand-over of everything.
func (c *Consumer) drain() {
	lanes := c.each()
	c.settle(lanes, DrainTimeout)
	gone := make(map[string][]int32)
	for _, l := range lanes {
		gone[l.topic.Name] = append(gone[l.topic.Name], l.partition)
	}
	c.forget(gone)
}
