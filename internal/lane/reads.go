package lane

import (
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
	leader, _, err := c.client.PartitionLeader(topic, n)
	if err != nil {
		return now
	}
	c.reads.mu.Lock()
	defer c.reads.mu.Unlock()
	if at, ok := c.reads.at[leader]; ok && at.Before(now) {
		return at
	}
	return now
}
