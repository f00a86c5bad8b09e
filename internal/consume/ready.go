package consume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/unpack"
)

// fetchError handles an error that franz-go does not retry by itself. Only being
// fenced ends the process. What is about a partition stalls that partition.
func (c *Consumer) fetchError(topic string, n int32, err error) {
	var loss *kgo.ErrDataLoss
	var session *kgo.ErrGroupSession
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed):
	case errors.Is(err, kerr.FencedInstanceID):
		c.fenced()
	case errors.As(err, &session):
		err = refusedSession(c.denied(session.Err))
		if before := c.unjoined.Swap(&err); before == nil || (*before).Error() != err.Error() {
			c.tries.Error().Err(err).Msg("joining the group: retried")
		}
	case errors.As(err, &loss):
		c.cfg.Metrics.DataLoss.Inc()
		c.log.Error().Str("topic", loss.Topic).Int32("partition", loss.Partition).
			Int64("consumed_to", loss.ConsumedTo).Int64("reset_to", loss.ResetTo).
			Msg("records were lost by the broker before they were delivered")
	case topic == "" && c.asked.Err() != nil: // the context's deadline, or its cause
	case topic == "":
		c.log.Error().Err(err).Msg("fetch")
	case errors.Is(err, unpack.ErrNoRoom):
		unpacking.Reset() // of what franz-go has dropped; it would stand for ever
		c.stall(topic, n, err)
	case unknown(err):
		c.doubt(topic)
		c.stall(topic, n, err)
	case n < 0:
		c.tries.Warn().Err(err).Str("topic", topic).Msg("looking up a topic: retried")
	default:
		c.stall(topic, n, err)
	}
}

// refusedSession adds to a refusal of our session what the operator can do about it.
func refusedSession(err error) error {
	if !errors.Is(err, kerr.InvalidSessionTimeout) {
		return err
	}
	return fmt.Errorf("%w; the brokers have to allow a session of %v: set group.min.session.timeout.ms to %d or less there, and group.max.session.timeout.ms to no less",
		err, SessionTimeout, SessionTimeout.Milliseconds())
}

// fenced ends everything: the group knows another member by our instance id.
func (c *Consumer) fenced() {
	c.lease.lose()
	for _, l := range c.each() { // before Run is to end: the other process has the partitions now
		l.resign(ErrRevoked)
	}
	err := ErrFenced
	if joined := c.joined.Load(); joined == nil || *joined != c.member() {
		err = errFencedJoining
	}
	c.fail(fmt.Errorf("group %s, instance %q: %w", c.cfg.Group, c.cfg.Instance, err))
}

// Ready returns nil when the group is joined and no lane is stuck. Works of a topic that
// is aside end when others allow it, so that only reading and committing count there.
func (c *Consumer) Ready() error {
	select {
	case <-c.opened:
	default:
		return fmt.Errorf("group %s: not started", c.cfg.Group)
	}
	if err := c.nonexistent(); err != nil {
		return fmt.Errorf("group %s: %w", c.cfg.Group, err)
	}
	if _, generation := c.client.GroupMetadata(); generation < 0 {
		if err := c.unjoined.Load(); err != nil {
			return fmt.Errorf("group %s: not joined yet: %w", c.cfg.Group, *err)
		}
		return fmt.Errorf("group %s: not joined yet", c.cfg.Group)
	}
	if c.absent.Load() { // with no lane there is no lease to miss, and the generation stays
		return fmt.Errorf("group %s: the membership is lost, and joining again has not succeeded", c.cfg.Group)
	}
	if !c.taken.Load() { // ready now would be unready again with the first lanes, until a commit
		return fmt.Errorf("group %s: joined, and its partitions are not taken over yet", c.cfg.Group)
	}
	lanes := c.each()
	now := time.Now()
	if err := c.missing(now); err != nil {
		return err
	}
	if age := c.lease.age(now); len(lanes) > 0 && !c.lease.held(now) && (age == 0 || age > SessionTimeout) {
		return fmt.Errorf("group %s: the lease is lost: no commit succeeded for %v", c.cfg.Group, age.Round(time.Millisecond))
	}
	if err := stalls(lanes, now); err != nil {
		return err
	}
	for _, l := range lanes {
		if err := l.refusedFor(now); err != nil {
			return err
		}
		if d := l.stuck(now); d > 0 && !l.topic.Aside {
			return fmt.Errorf("%s/%d: overdue by %v and not moving", l.topic.Name, l.partition, d.Round(time.Second))
		}
		if err := c.unread(l, now); err != nil {
			return err
		}
	}
	return nil
}
