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

// Leader returns the broker that leads a partition and the id of its topic, as a
// request needs them that goes to the leader directly. It asks the brokers, not the
// client's cache.
func Leader(ctx context.Context, cl *kgo.Client, p Partition) (broker int32, topicID [16]byte, err error) {
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &p.Topic
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl)
	if err == nil {
		broker, topicID, err = leaderIn(resp, p)
	}
	if err != nil {
		return -1, topicID, fmt.Errorf("look up the leader of %v: %w", p, connect.GrantTopic(err, connect.Describe, p.Topic))
	}
	return broker, topicID, nil
}

func leaderIn(resp *kmsg.MetadataResponse, p Partition) (broker int32, topicID [16]byte, err error) {
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return -1, topicID, err
		}
		for _, part := range t.Partitions {
			if part.Partition == p.Partition {
				return part.Leader, t.TopicID, kerr.ErrorForCode(part.ErrorCode)
			}
		}
	}
	return -1, topicID, errors.New("there is no such partition")
}
