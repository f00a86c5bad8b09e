package lane

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/delayd-io/delayd/internal/connect"
)

const (
	// discoverEvery is how often it is looked for retired topics: another instance
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
		if c.topics[t.Name] == nil && !c.given[t.Name] {
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

// unknown says that a topic, as it was known here, does not exist.
func unknown(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID)
}

// abandon has a retired topic be read no more, by an error of reading it. Where it
// was deleted, and one with its name comes to be, it is found again.
func (c *Consumer) abandon(topic string, err error) {
	deleted := unknown(err)
	c.mu.Lock()
	t := c.topics[topic]
	if t == nil { // another of its partitions was first
		c.mu.Unlock()
		return
	}
	delete(c.topics, topic)
	c.given[topic] = !deleted
	gone := make(map[string][]int32)
	for p := range c.lanes {
		if p.topic == topic {
			gone[topic] = append(gone[topic], p.n)
		}
	}
	c.mu.Unlock()
	if deleted {
		c.log.Info().Str("topic", topic).Msg("retired topic was deleted: it is read no more")
	} else {
		c.log.Error().Err(connect.GrantTopic(err, connect.Read, topic)).Str("topic", topic).
			Msg("retired topic cannot be read: it waits; when that is mended, start again")
	}
	// Both wait: one for whoever commits, who may wait for a broker, the other for
	// franz-go's metadata loop. The poll loop must not.
	c.asides.Go(func() {
		c.forget(gone)
		c.client.PurgeTopicsFromConsuming(topic)
	})
}

// dropDeleted takes out of lanes, which are new, those of retired topics that were
// deleted meanwhile, and out of starts what was found of them.
func (c *Consumer) dropDeleted(lanes map[partition]*lane, starts kadm.ListedOffsets) {
	for p, l := range lanes {
		o, ok := starts.Lookup(p.topic, p.n)
		if l.topic.Retired && ok && unknown(o.Err) {
			delete(lanes, p)
			delete(starts[p.topic], p.n)
		}
	}
}

// topic returns a topic that is read, nil for any other.
func (c *Consumer) topic(name string) *Topic {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.topics[name]
}

// retired says whether a topic is, or was until just now.
func (c *Consumer) retired(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.topics[name]
	return t == nil && name != "" || t != nil && t.Retired
}

// names returns the topics that are read.
func (c *Consumer) names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := make([]string, 0, len(c.topics))
	for name := range c.topics {
		names = append(names, name)
	}
	return names
}
