package offsets

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
)

// StableCommit is what a group has committed in a partition.
type StableCommit struct {
	Offset   int64
	Epoch    int32 // of the leader when the record before was read; -1: not known
	Metadata string
}

// UnstableFor is how long offsets may be pending before it is taken for a broker that
// has not marked the end of a transaction: one that another process has left open is
// ended by the broker some seconds later.
const UnstableFor = 5 * time.Second

// Stable reads what group has committed in partitions, by topic. Partitions without a
// commit are left out. While a transaction that commits there has not ended, to the
// last marker, it is an error that can be tried again (UNSTABLE_OFFSET_COMMIT).
//
// The partitions are named in the request. Kafka answers one that asks for all with
// those that have a commit, so that the first one is missing while it is under way.
func Stable(ctx context.Context, client *kgo.Client, group string, partitions map[string][]int32) (map[Partition]StableCommit, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.RequireStable = group, true
	for topic, ns := range partitions {
		t := kmsg.NewOffsetFetchRequestTopic()
		t.Topic, t.Partitions = topic, ns
		req.Topics = append(req.Topics, t)
	}
	fault := func(err error) error { return fmt.Errorf("read what group %s has committed: %w", group, err) }
	resp, err := req.RequestWith(ctx, client)
	if err != nil { // franz-go returns what is wrong with the group here
		return nil, fault(connect.GrantGroup(err, connect.Describe, group))
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, fault(connect.GrantGroup(err, connect.Describe, group))
	}
	commits := make(map[Partition]StableCommit)
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fault(fmt.Errorf("%s/%d: %w", t.Topic, p.Partition, connect.GrantTopic(err, connect.Describe, t.Topic)))
			}
			if p.Offset < 0 {
				continue
			}
			c := StableCommit{Offset: p.Offset, Epoch: p.LeaderEpoch}
			if p.Metadata != nil {
				c.Metadata = *p.Metadata
			}
			commits[Partition{t.Topic, p.Partition}] = c
		}
	}
	return commits, nil
}
