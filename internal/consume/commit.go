package consume

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
)

// commitLoop commits CommitInterval after something was handled, at once when
// commitFrom are, and renews the lease when nothing is.
func (c *Consumer) commitLoop(ctx context.Context) {
	timer := time.NewTimer(leaseRenewal)
	defer timer.Stop()
	soon := false // the timer stands at CommitInterval
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.some:
			if !soon {
				soon = true
				timer.Reset(CommitInterval)
			}
			continue
		case <-c.full:
		case <-timer.C:
		}
		c.commit(ctx)
		soon = false
		timer.Reset(leaseRenewal)
	}
}

// handledOne counts a record towards the next commit.
func (c *Consumer) handledOne() {
	if c.cfg.Transactional {
		return // whoever handled it commits it
	}
	switch c.handled.Add(1) {
	case 1:
		signal(c.some)
	case commitFrom:
		signal(c.full)
	}
}

// chanLock is a lock for what waits for a broker. Unlike a mutex it lets virtual time
// pass (testing/synctest) while it is waited for.
type chanLock chan struct{}

// Lock waits until nobody has it.
func (l chanLock) Lock() { l <- struct{}{} }

// Unlock gives it to the next.
func (l chanLock) Unlock() { <-l }

// signal leaves a note in a channel that has room for one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// commit commits the handled prefix of every lane; with nothing new, and a lease
// that needs it, it repeats a commit.
func (c *Consumer) commit(ctx context.Context) {
	c.committing.Lock()
	defer c.committing.Unlock()
	if c.doubts > 0 {
		return
	}
	c.handled.Store(0)
	lanes := c.each()
	var prefixes []prefix
	for _, l := range lanes {
		if l.news() && !l.unwanted(time.Now()) {
			prefixes = append(prefixes, l.prefix())
		}
	}
	renewed := c.cfg.Transactional && c.lease.held(time.Now()) && c.lease.age(time.Now()) < leaseRenewal
	if len(prefixes) > 0 {
		renewed = c.write(ctx, prefixes)
		if !renewed && !c.refusedAll(prefixes) {
			return // what was wrong is not about partitions
		}
	}
	if !renewed {
		c.prove(ctx, lanes)
	}
}

// prove repeats a commit to renew the lease: that of a lane whose commits are not
// refused, as long as there is one.
func (c *Consumer) prove(ctx context.Context, lanes []*lane) {
	slices.SortStableFunc(lanes, func(a, b *lane) int { return cmp.Compare(a.refusals(), b.refusals()) })
	for _, l := range lanes {
		p := l.prefix()
		if l.doubted.Load() || l.gone.Load() || p.at.Offset == unknownOffset {
			continue
		}
		p.pad(&c.metadataLimit)
		if c.write(ctx, []prefix{p}) || !c.refusedAll([]prefix{p}) || ctx.Err() != nil {
			return
		}
	}
}

// renewLease commits until the broker has confirmed the membership.
func (c *Consumer) renewLease() {
	for c.work.Err() == nil && len(c.each()) > 0 && !c.lease.held(time.Now()) {
		c.commit(c.work)
		select {
		case <-time.After(CommitInterval / 10):
		case <-c.work.Done():
		}
	}
}

// write commits prefixes, and on success frees what they held. It reports whether
// that has renewed the lease.
func (c *Consumer) write(ctx context.Context, prefixes []prefix) (renewed bool) {
	offsets := make(map[string]map[int32]kgo.EpochOffset)
	byPart := make(map[partition]prefix, len(prefixes))
	for _, p := range prefixes {
		topic := p.lane.topic.Name
		if offsets[topic] == nil {
			offsets[topic] = make(map[int32]kgo.EpochOffset)
		}
		offsets[topic][p.lane.partition] = p.at
		byPart[partition{topic, p.lane.partition}] = p
	}
	// A commit that takes longer than the lease renews nothing, and a hand-over
	// would wait for it.
	ctx, cancel := context.WithTimeout(ctx, leaseTime)
	defer cancel()
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for _, p := range prefixes {
			if p.lane.member != req.MemberID {
				return errRejoined
			}
		}
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				part := &req.Topics[i].Partitions[j]
				meta := byPart[partition{req.Topics[i].Topic, part.Partition}].meta
				part.Metadata = &meta
			}
		}
		return nil
	})
	started := time.Now()
	c.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			c.commitError(err)
			return
		}
		for i := range resp.Topics {
			topic := &resp.Topics[i]
			for _, part := range topic.Partitions {
				p := byPart[partition{topic.Topic, part.Partition}]
				err := kerr.ErrorForCode(part.ErrorCode)
				if p.padded && c.metadataLimit.learn(err) {
					continue // without the padding it would have been taken
				}
				if err != nil {
					c.refuse(topic.Topic, part.Partition, err)
					continue
				}
				if p.lane == nil {
					continue
				}
				p.lane.commit(p)
				c.lease.renew(started)
				renewed = true
			}
		}
	})
	return renewed
}

// commitError ends the lease where the broker has said that we are no member.
// Everything else is tried again at the next tick, and the lease runs out by
// itself if that goes on.
func (c *Consumer) commitError(err error) {
	switch {
	case errors.Is(err, context.Canceled):
	case errors.Is(err, kerr.FencedInstanceID):
		c.fenced()
	case errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.UnknownMemberID), errors.Is(err, errRejoined):
		c.lease.lose()
		c.log.Debug().Err(err).Msg("commit")
	case errors.Is(err, kerr.RebalanceInProgress):
		c.log.Debug().Err(err).Msg("commit")
	default:
		c.tries.Warn().Err(c.denied(err)).Msg("commit: retried")
	}
}

// denied adds which right is missing to an error of the group's coordinator.
func (c *Consumer) denied(err error) error { return connect.GrantGroup(err, connect.Read, c.cfg.Group) }
