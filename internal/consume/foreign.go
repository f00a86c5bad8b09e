package consume

import (
	"context"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/delayd-io/delayd/internal/offsets"
)

// foreign reports whether a commit was not made by a lane of this topic: each of those
// names the topic, where its id is known.
func (i identity) foreign(meta string) bool {
	var none kadm.TopicID
	of, _ := cutIdentity(meta)
	return i.topic != none && of.topic == none
}

// logStarts reports where new lanes start elsewhere than this group has left off: at
// offsets that another program has committed, and at the first record where there is
// no commit and something to read.
func (c *Consumer) logStarts(ctx context.Context, lanes map[partition]*lane, commits map[offsets.Partition]offsets.StableCommit) {
	set, bare := make(map[string]map[int32]int64), make(map[string]bool)
	for p, l := range lanes {
		at, ok := commits[offsets.Partition{Topic: p.topic, Partition: p.n}]
		switch {
		case !ok:
			bare[p.topic] = true
		case l.id.foreign(at.Metadata):
			if set[p.topic] == nil {
				set[p.topic] = make(map[int32]int64)
			}
			set[p.topic][p.n] = at.Offset
			l.progress.marksDirty = true // the next commit is ours
		}
	}
	for topic, at := range set {
		c.log.Warn().Str("topic", topic).Str("group", c.cfg.Group).Interface("offsets", at).
			Msg("offsets were committed by another program, by partition: starting there; records that are pending before them are not delivered, and those after them perhaps again")
	}
	if len(bare) == 0 {
		return
	}
	ends, err := c.adm.ListEndOffsets(ctx, slices.Collect(maps.Keys(bare))...)
	if err != nil {
		return
	}
	records := make(map[string]int64)
	for p, l := range lanes {
		_, ok := commits[offsets.Partition{Topic: p.topic, Partition: p.n}]
		if end, found := ends.Lookup(p.topic, p.n); !ok && found && end.Err == nil && l.next != unknownOffset && end.Offset > l.next {
			records[p.topic] += end.Offset - l.next
		}
	}
	for topic, n := range records {
		c.log.Warn().Str("topic", topic).Str("group", c.cfg.Group).Int64("records", n).
			Msg("the group has no offsets for partitions that hold records: starting at the first; what was delivered before is delivered again")
	}
}
