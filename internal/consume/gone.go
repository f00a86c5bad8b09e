package consume

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/delayd-io/delayd/internal/connect"
)

// A topic can be deleted while it is read, and created again. Its lanes end then, so
// that nothing of the former topic is committed for the new one. As soon as there is
// a topic with that name it is read as an unknown one.

const (
	// topicCheck is how often the broker is asked for topics that may be gone, or are. Longer
	// makes a recreated topic wait.
	topicCheck = 2 * time.Second
	// topicMisses is in how many checks in a row a topic has to be missing before it
	// is taken for deleted: a broker that has just started may not know it yet.
	topicMisses = 2
)

// errRecreated says that another topic has taken the place of the one that was read.
var errRecreated = errors.New("topic was deleted and created again")

// gone is a topic that is not read because it does not exist, or cannot be described.
type gone struct {
	topic  *Topic
	err    error
	since  time.Time
	lanes  int  // that it had here
	purged bool // franz-go has forgotten it
}

// unknown reports whether err says that a topic, as it was known here, does not exist.
func unknown(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, errRecreated)
}

// doubt stops the commits for a topic that a broker does not know until watchTopics
// has found out whether it is gone.
func (c *Consumer) doubt(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topics[topic] == nil || c.absences.unseen(topic) {
		return
	}
	if _, ok := c.doubted[topic]; ok {
		return
	}
	c.doubted[topic] = 0
	for p, l := range c.lanes {
		if p.topic == topic {
			l.doubted.Store(true)
		}
	}
	signal(c.suspects)
}

// watchTopics looks up topics that are in doubt, gone or not seen yet until ctx ends.
func (c *Consumer) watchTopics(ctx context.Context) {
	tick := time.NewTicker(topicCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.suspects:
		case <-tick.C:
		}
		c.checkTopics(ctx)
	}
}

func (c *Consumer) checkTopics(ctx context.Context) {
	var names []string
	c.mu.Lock()
	for name := range c.doubted {
		names = append(names, name)
	}
	for name, g := range c.gone {
		if g.purged {
			names = append(names, name)
		}
	}
	for name := range c.absences.misses {
		names = append(names, name)
	}
	c.mu.Unlock()
	if len(names) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, discoverWithin)
	defer cancel()
	ids, found, err := c.identify(ctx, names)
	if err != nil {
		return // looked up again at the next check
	}
	if c.checkAbsent(found, time.Now()) {
		c.client.ForceMetadataRefresh() // or franz-go finds them within MetadataMaxAge
	}
	for _, name := range names {
		switch c.decide(name, found[name].Err, ids[name]) {
		case leave:
			c.abandon(name, errors.Join(found[name].Err, recreated(found[name].Err)))
		case back:
			c.reread(ctx, name)
		}
	}
}

// recreated returns what has happened to a topic of which the look-up returned err.
func recreated(err error) error {
	if err == nil {
		return errRecreated
	}
	return nil
}

type verdict uint8

const (
	wait verdict = iota
	leave
	back
)

// decide says what to do about a topic that was described, with an error or the
// identity that it has now.
func (c *Consumer) decide(name string, err error, now identity) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g := c.gone[name]; g != nil {
		if err != nil {
			return wait
		}
		return back
	}
	misses, ok := c.doubted[name]
	switch {
	case !ok:
		return wait
	case err == nil && !now.replaces(c.ids[name]):
		delete(c.doubted, name)
		for p, l := range c.lanes {
			if p.topic == name {
				l.doubted.Store(false)
			}
		}
		return wait
	case err == nil:
		return leave
	case !unknown(err):
		return wait
	}
	c.doubted[name] = misses + 1
	if misses+1 < topicMisses {
		return wait
	}
	return leave
}

// reread reads a topic that was gone.
func (c *Consumer) reread(ctx context.Context, name string) {
	// Its offsets have to be there, too, or the next assignment would wait for them.
	starts, err := c.adm.ListStartOffsets(ctx, name)
	if err != nil || starts.Error() != nil {
		return
	}
	c.mu.Lock()
	g := c.gone[name]
	if g != nil {
		delete(c.gone, name)
		c.topics[name] = g.topic
	}
	c.mu.Unlock()
	if g == nil {
		return
	}
	c.log.Warn().Str("topic", name).Dur("away_ms", time.Since(g.since)).Msg("topic is there: reading it")
	c.cfg.Metrics.Stalled.WithLabelValues(name).Set(0)
	c.client.AddConsumeTopics(name)
}

// abandon ends the lanes of a topic, of which nothing is committed any more. It is read
// again when it can be described, but for a retired topic that was deleted, which
// discover finds if it comes back.
func (c *Consumer) abandon(topic string, err error) {
	c.mu.Lock()
	t := c.topics[topic]
	if t == nil { // another of its partitions was first
		c.mu.Unlock()
		return
	}
	g := &gone{topic: t, err: err, since: time.Now()}
	ended := make(map[string][]int32)
	for p, l := range c.lanes {
		if p.topic == topic {
			l.gone.Store(true)
			ended[topic] = append(ended[topic], p.n)
		}
	}
	g.lanes = len(ended[topic])
	delete(c.topics, topic)
	c.absences.see(topic)
	delete(c.doubted, topic)
	delete(c.ids, topic)
	deleted := unknown(err)
	if !t.Retired || !deleted {
		c.gone[topic] = g
	}
	c.mu.Unlock()
	switch {
	case t.Retired && deleted:
		c.log.Info().Str("topic", topic).Msg("retired topic was deleted: it is read no more")
	case deleted:
		c.log.Error().Err(err).Str("topic", topic).
			Msg("topic was deleted: what was pending in it is gone; it is read as soon as it exists again, and all others go on")
	default:
		c.log.Error().Err(connect.GrantTopic(err, connect.Describe, topic)).Str("topic", topic).
			Msg("cannot describe the topic: retrying, and all others go on")
	}
	// Both wait: one for a commit in progress, which may wait for a broker, the other for
	// franz-go's metadata loop. The poll loop must not.
	c.asides.Go(func() {
		c.forget(ended)
		c.client.PurgeTopicsFromConsuming(topic)
		c.mu.Lock()
		g.purged = true
		c.mu.Unlock()
	})
}

// away returns the topics that have to be read and cannot be.
func (c *Consumer) away() []*gone {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.gone))
}

// missing returns why a topic that has to be read is not, nil if all are.
func (c *Consumer) missing(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, g := range c.gone {
		if g.topic.Retired {
			continue
		}
		err := connect.GrantTopic(g.err, connect.Describe, name)
		if unknown(g.err) {
			return fmt.Errorf("topic %s: not read for %v: %w; run `delayd admin provision` if it is not there, it is read as soon as it is",
				name, now.Sub(g.since).Round(time.Second), err)
		}
		return fmt.Errorf("topic %s: not read for %v: %w", name, now.Sub(g.since).Round(time.Second), err)
	}
	return nil
}

// unreadable takes out of lanes, which are new, those of topics that cannot be
// described, and returns the errors of topics that are worth another try. patient says
// that a topic that a broker does not know is.
func (c *Consumer) unreadable(lanes map[partition]*lane, found kadm.TopicDetails, patient bool) error {
	var again []error
	for name, t := range found {
		switch err := t.Err; {
		case err == nil:
		case unknown(err) && (!patient || c.retired(name)), !unknown(err) && !kerr.IsRetriable(err):
			c.abandon(name, err)
			for p := range lanes {
				if p.topic == name {
					delete(lanes, p)
				}
			}
		default:
			again = append(again, fmt.Errorf("look up topic %s: %w", name, err))
		}
	}
	return errors.Join(again...)
}

// retired reports whether a topic is, or was until just now.
func (c *Consumer) retired(name string) bool {
	t := c.topic(name)
	return t == nil || t.Retired
}
