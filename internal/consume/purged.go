package consume

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/delayd-io/delayd/internal/offsets"
)

// purgedWithin bounds how long is waited for what an operator has deleted. The poll
// loop waits, but only where records are gone.
const purgedWithin = 2 * time.Second

// purged reads up to where an operator has deleted what was pending, by partition.
// What cannot be read is not there: then it is reported as a loss, with the error.
func (c *Consumer) purged(ctx context.Context, parts map[string][]int32) (map[partition]int64, error) {
	if c.cfg.PurgedGroup == "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, purgedWithin)
	defer cancel()
	commits, err := offsets.Stable(ctx, c.client, c.cfg.PurgedGroup, parts)
	upTo := make(map[partition]int64, len(commits))
	for p, commit := range commits {
		upTo[partition{p.Topic, p.Partition}] = commit.Offset
	}
	return upTo, err
}

// tellPurged says that records were deleted on purpose.
func (c *Consumer) tellPurged(topic string, n int32, records int64) {
	c.log.Warn().Str("topic", topic).Int32("partition", n).Int64("offsets", records).
		Msg("an operator has deleted records that were pending (delayd admin purge): they are not delivered")
}

// dropPurged forgets what was fetched ahead and is gone from the topic since, where an
// operator has deleted it. What is gone for any other reason is delivered all the same:
// here is the last copy of it.
func (c *Consumer) dropPurged(ctx context.Context, starts kadm.ListedOffsets) {
	gone := make(map[string][]int32)
	starts.Each(func(o kadm.ListedOffset) {
		if l := c.lane(o.Topic, o.Partition); l != nil && o.Err == nil && l.waitsBelow(o.Offset) {
			gone[o.Topic] = append(gone[o.Topic], o.Partition)
		}
	})
	if len(gone) == 0 {
		return
	}
	purged, err := c.purged(ctx, gone)
	if err != nil && ctx.Err() == nil {
		c.tries.Warn().Err(err).Msg("reading what an operator has deleted: retried")
	}
	for p, upTo := range purged {
		start, _ := starts.Lookup(p.topic, p.n)
		if l := c.lane(p.topic, p.n); l != nil {
			if n := l.drop(min(upTo, start.Offset)); n > 0 {
				c.tellPurged(p.topic, p.n, n)
			}
		}
	}
}

// waitsBelow says whether something that was not sent yet stands below an offset.
func (l *lane) waitsBelow(offset int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queue.waits() && l.queue.works[l.queue.next].offset < offset
}

// drop has what waits below an offset count as handled, and says how many that were.
// They become as the markers of transactions, which no delivery commits.
func (l *lane) drop(below int64) (n int64) {
	var bytes int64
	l.mu.Lock()
	for _, w := range l.queue.works {
		if w.offset >= below {
			break
		}
		if w.state == waiting {
			bytes += w.bytes
			w.state, w.Record, w.bytes = done, nil, 0
			n++
		}
	}
	l.usage.add(-bytes)
	live := l.live.Load()
	l.mu.Unlock()
	if n == 0 || !live {
		return 0
	}
	l.usage.pool.give(bytes)
	signal(l.c.some)
	l.nudge()
	return n
}
