// Package offsets looks up where partitions begin and end, and how far consumer
// groups have come, without reading a single record.
package offsets

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
)

// Partition names one partition of a topic.
type Partition struct {
	Topic     string
	Partition int32
}

func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Partition) }

// Times with a meaning of their own in [List].
const (
	Start int64 = -2 // the log start: the first offset that is still there
	End   int64 = -1 // the high watermark: one past the last record
)

// None is the offset that [List] finds where no record is new enough.
const None int64 = -1

// Found is the answer to one look-up: the offset, and for a look-up by time the
// timestamp of the record there in Unix ms, else -1.
type Found struct {
	Offset    int64
	Timestamp int64
}

// List finds in every partition the first record whose timestamp is at or after
// a time in Unix ms, which can be another one for each, or [Start] or [End]. It
// sends one request to each broker that leads some of them.
//
// Where timestamps do not rise with the offset (a CreateTime topic) the answer
// for a time is some record at or after it, not always the first.
//
// A partition that cannot be answered is missing in the result, and the error
// says why; the other answers are good all the same.
func List(ctx context.Context, cl *kgo.Client, at map[Partition]int64) (map[Partition]Found, error) {
	found := make(map[Partition]Found, len(at))
	if len(at) == 0 {
		return found, nil
	}
	byTopic := make(map[string][]kmsg.ListOffsetsRequestTopicPartition)
	for p, t := range at {
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp = p.Partition, t
		byTopic[p.Topic] = append(byTopic[p.Topic], rp)
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1 // we are a consumer
	for topic, partitions := range byTopic {
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic, rt.Partitions = topic, partitions
		req.Topics = append(req.Topics, rt)
	}

	var errs []error
	for _, shard := range cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			errs = append(errs, fmt.Errorf("list offsets: %w", shard.Err))
			continue
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				where := Partition{t.Topic, p.Partition}
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					errs = append(errs, fmt.Errorf("list offsets of %v: %w", where, connect.GrantTopic(err, connect.Describe, t.Topic)))
					continue
				}
				found[where] = Found{Offset: p.Offset, Timestamp: p.Timestamp}
			}
		}
	}
	return found, errors.Join(errs...)
}
