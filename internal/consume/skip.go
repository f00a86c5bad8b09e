package consume

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/offsets"
)

// skipWord begins the metadata of a commit in Config.SkippedGroup. The offset where
// the partition stalled follows.
const skipWord = "skip"

// skip is what an operator has given up of a partition: the offsets from from to
// below to.
type skip struct{ from, to int64 }

// covers reports whether a lane that would fetch offset next goes on at s.to.
func (s skip) covers(offset int64) bool { return s.from <= offset && offset < s.to }

// parseSkip reads a commit of the group of what is skipped. Other metadata skips
// nothing.
func parseSkip(c offsets.StableCommit) (skip, bool) {
	word, from, _ := strings.Cut(c.Metadata, " ")
	at, err := strconv.ParseInt(from, 10, 64)
	return skip{at, c.Offset}, word == skipWord && err == nil
}

// skips reads what an operator has skipped in partitions.
func (c *Consumer) skips(ctx context.Context, parts map[string][]int32) map[partition]skip {
	if c.cfg.SkippedGroup == "" || len(parts) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, purgedWithin)
	defer cancel()
	commits, err := offsets.Stable(ctx, c.client, c.cfg.SkippedGroup, parts)
	if err != nil && ctx.Err() == nil && !errors.Is(err, kerr.GroupIDNotFound) { // nothing was ever skipped
		c.tries.Warn().Err(err).Msg("cannot read what an operator has skipped: retried")
	}
	found := make(map[partition]skip)
	for p, commit := range commits {
		if s, ok := parseSkip(commit); ok {
			found[partition{p.Topic, p.Partition}] = s
		}
	}
	return found
}

// skipStalled moves stalled partitions behind what an operator has skipped.
func (c *Consumer) skipStalled(ctx context.Context) {
	stalled := make(map[string][]int32)
	for _, l := range c.each() {
		l.mu.Lock()
		if l.stalled != nil {
			stalled[l.topic.Name] = append(stalled[l.topic.Name], l.partition)
		}
		l.mu.Unlock()
	}
	at, on := make(map[string]map[int32]kgo.EpochOffset), make(map[string][]int32)
	for p, s := range c.skips(ctx, stalled) {
		if l := c.lane(p.topic, p.n); l != nil && l.skipTo(s) {
			setOffset(at, l, s.to)
			on[p.topic] = append(on[p.topic], p.n)
			c.logSkip(p, s)
		}
	}
	if len(on) > 0 {
		c.client.SetOffsets(at)
		lc := c.lock()
		lc.resume(on)
		lc.unlock()
		signal(c.some)
	}
}

func (c *Consumer) logSkip(p partition, s skip) {
	c.log.Warn().Str("topic", p.topic).Int32("partition", p.n).Int64("from", s.from).Int64("to", s.to).
		Msg("an operator has skipped what cannot be read (delayd admin skip): reading on behind it")
}

// skipTo ends the lane's stall if s covers it. The commit passes what is skipped once
// everything before it is handled, as it passes the markers of transactions.
func (l *lane) skipTo(s skip) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stalled == nil || !s.covers(l.next) || !l.live.Load() {
		return false
	}
	l.queue.addDone(&Work{lane: l, offset: s.to - 1, epoch: -1})
	l.next, l.looked, l.caughtUp, l.open = s.to, -1, false, nil
	l.stalled = nil
	return true
}
