package consume

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lossEvery is how often it is asked where partitions start, to find losses on those
// where nothing is written any more. Lower costs an idle service more requests.
const lossEvery = 10 * time.Second

// missed says how many offsets from next to what was just fetched, which begins at start,
// are gone from the topic and were never fetched: a retention that is too short, or
// somebody who deletes records. franz-go goes on at the log's start without a word.
// Offsets may be missing for other reasons (compaction, aborted records), but not below
// the log's start.
func missed(next int64, p *kgo.FetchPartition) (lost, start int64) {
	start = min(p.LogStartOffset, p.Records[0].Offset)
	if next == unknownOffset {
		return 0, start
	}
	return max(0, start-next), start
}

// passed says how many offsets below start will never be fetched, and takes them for
// reported. What was fetched and not yet polled is not lost: there has to be no
// progress from one look to the next.
func (l *lane) passed(start int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.usage.paused || start <= l.next || l.next == unknownOffset {
		l.looked = -1
		return 0
	}
	if l.looked != l.next {
		l.looked = l.next
		return 0
	}
	lost := start - l.next
	l.next, l.looked, l.open = start, -1, nil
	return lost
}

// lose counts offsets of a partition below start that are gone and were never
// delivered, and tells of them: this is the one thing that must never happen. What an
// operator has deleted does not count.
func (c *Consumer) lose(topic string, n int32, lost, start int64) {
	if lost <= 0 {
		return
	}
	purged, err := c.purged(c.work, map[string][]int32{topic: {n}})
	if wanted := lost - max(0, start-purged[partition{topic, n}]); wanted > 0 {
		c.tellPurged(topic, n, wanted)
		lost -= wanted
	}
	if lost <= 0 {
		return
	}
	c.cfg.Metrics.DataLoss.Add(float64(lost))
	c.log.Error().Err(err).Str("topic", topic).Int32("partition", n).Int64("offsets", lost).
		Msg("offsets that were never delivered are gone from the topic: check its retention, and who deletes records")
}

// watchLoss finds what is gone from partitions where nothing comes any more.
func (c *Consumer) watchLoss(ctx context.Context) {
	tick := time.NewTicker(lossEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// What cannot be asked is asked again at the next tick.
		starts, _ := c.adm.ListStartOffsets(ctx, c.names()...)
		starts.Each(func(o kadm.ListedOffset) {
			// franz-go goes on fetching a topic that was deleted, as fast as it is answered.
			if unknown(o.Err) {
				c.doubt(o.Topic)
			}
			if l := c.lane(o.Topic, o.Partition); l != nil && o.Err == nil {
				c.lose(o.Topic, o.Partition, l.passed(o.Offset), o.Offset)
			}
		})
		c.dropPurged(ctx, starts)
	}
}
