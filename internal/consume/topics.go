package consume

import (
	"context"
	"maps"
	"slices"
	"time"
)

const (
	// discoverEvery is how often an instance searches for retired topics: another instance
	// may have a ladder of its own while they are restarted one by one. It asks for
	// all topics of the cluster. What comes to a topic that this instance does not
	// know is the others' until then.
	discoverEvery = time.Minute
	// discoverWithin bounds the first look, which the group is joined after.
	discoverWithin = 5 * time.Second
)

// keepDiscovering looks for retired topics until ctx ends.
func (c *Consumer) keepDiscovering(ctx context.Context) {
	tick := time.NewTicker(discoverEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if added := c.discover(ctx); len(added) > 0 {
			c.client.AddConsumeTopics(added...)
		}
	}
}

// discover adds the retired topics that have come to be, and returns their names.
func (c *Consumer) discover(ctx context.Context) (added []string) {
	if c.cfg.Discover == nil {
		return nil
	}
	look, cancel := context.WithTimeout(ctx, discoverWithin)
	defer cancel()
	found, err := c.cfg.Discover(look, c.adm)
	if err != nil {
		if ctx.Err() == nil {
			c.log.Warn().Err(err).Dur("again_in_ms", discoverEvery).Msg("looking for retired topics: tried again")
		}
		return nil
	}
	c.mu.Lock()
	for i := range found {
		t := &found[i]
		if c.topics[t.Name] == nil && c.gone[t.Name] == nil {
			c.topics[t.Name] = t
			added = append(added, t.Name)
		}
	}
	c.mu.Unlock()
	if len(added) > 0 {
		c.log.Info().Strs("topics", added).Msg("retired topics are read until they are empty")
	}
	return added
}

// topic returns a topic that is read, nil for any other.
func (c *Consumer) topic(name string) *Topic {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.topics[name]
}

// reading returns the topics that are read.
func (c *Consumer) reading() []*Topic {
	c.mu.Lock()
	defer c.mu.Unlock()
	topics := make([]*Topic, 0, len(c.topics))
	for _, t := range c.topics {
		topics = append(topics, t)
	}
	return topics
}

// names returns the names of the topics that are read.
func (c *Consumer) names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.topics))
}

// Owned returns the partitions of a topic that are assigned to it.
func (c *Consumer) Owned(topic string) []int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var owned []int32
	for p := range c.lanes {
		if p.topic == topic {
			owned = append(owned, p.n)
		}
	}
	return owned
}
