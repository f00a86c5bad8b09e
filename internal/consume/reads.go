package consume

import (
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// reads is when each broker last answered a fetch. What was fetched may lie in the
// client until it is polled; that time is not the clocks' difference.
type reads struct {
	mu sync.Mutex
	at map[int32]time.Time
}

var _ kgo.HookBrokerRead = new(reads)

// OnBrokerRead is called by franz-go when it has read an answer.
func (r *reads) OnBrokerRead(meta kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key != kmsg.Fetch.Int16() || err != nil {
		return
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == nil {
		r.at = make(map[int32]time.Time)
	}
	r.at[meta.NodeID] = now
}

// received is when what has just been polled of a partition had been received: no
// later than now, and no earlier than it was.
func (c *Consumer) received(topic string, n int32, now time.Time) time.Time {
	leader, epoch, err := c.client.PartitionLeader(topic, n)
	if err != nil {
		return now
	}
	if l := c.lane(topic, n); l != nil {
		l.led(c.clocks.broker(leader), epoch)
	}
	c.reads.mu.Lock()
	defer c.reads.mu.Unlock()
	if at, ok := c.reads.at[leader]; ok && at.Before(now) {
		return at
	}
	return now
}

// answered reports whether the lane's leader has answered a fetch after a time.
func (c *Consumer) answered(l *lane, after time.Time) bool {
	leader, _, err := c.client.PartitionLeader(l.topic.Name, l.partition)
	if err != nil {
		return false
	}
	c.reads.mu.Lock()
	defer c.reads.mu.Unlock()
	return c.reads.at[leader].After(after)
}

// unread says that nothing can be known of a lane, what is overdue on it least of all:
// it is to be fetched, and its leader has not answered for stuckAfter.
func (c *Consumer) unread(l *lane, now time.Time) error {
	l.mu.Lock()
	paused, since := l.usage.paused || l.stalled != nil, l.fetched
	l.mu.Unlock()
	if paused {
		return nil
	}
	leader, _, err := c.client.PartitionLeader(l.topic.Name, l.partition)
	if err == nil {
		c.reads.mu.Lock()
		if at := c.reads.at[leader]; at.After(since) {
			since = at
		}
		c.reads.mu.Unlock()
	}
	wait := c.client.OptValue(kgo.FetchMaxWait).(time.Duration) // for a record to come
	silent := now.Sub(since)
	switch {
	case silent <= stuckAfter+wait:
		return nil
	case err != nil:
		return fmt.Errorf("%s/%d: no leader to read it from for %v: %w", l.topic.Name, l.partition, silent.Round(time.Second), err)
	}
	return fmt.Errorf("%s/%d: its leader, broker %d, has answered no fetch for %v", l.topic.Name, l.partition, leader, silent.Round(time.Second))
}
