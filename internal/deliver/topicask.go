package deliver

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/record"
)

// askTopics asks the cluster for topics: one metadata request, and for those that
// exist their settings. Where create is set, missing topics are created if the broker
// allows that. refused are topics to which nothing may be written, by topic. denied is
// called for topics whose settings may not be read.
func askTopics(
	ctx context.Context, cl kmsg.Requestor, create bool, topics []string, refused map[string]error, denied func(topic string, err error),
) (map[string]topicInfo, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = create
	for _, topic := range topics {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	infos := make(map[string]topicInfo, len(topics))
	var exist []string
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if t.Topic == nil {
			continue
		}
		info := topicInfo{id: t.TopicID, partitions: int32(len(t.Partitions))}
		if err := kerr.ErrorForCode(t.ErrorCode); final(err) {
			info = topicInfo{err: err}
		} else if err := refused[*t.Topic]; err != nil {
			info = topicInfo{err: err}
		} else {
			exist = append(exist, *t.Topic)
		}
		infos[*t.Topic] = info
	}
	describeTopics(ctx, cl, exist, infos, denied)
	return infos, nil
}

// final reports whether a metadata error says that nothing can be written to the
// topic. After any other, such as a missing leader, the topic exists.
func final(err error) bool {
	for _, of := range []error{kerr.UnknownTopicOrPartition, kerr.TopicAuthorizationFailed, kerr.InvalidTopicException} {
		if errors.Is(err, of) {
			return true
		}
	}
	return false
}

// The settings of a topic that delivery needs.
const (
	maxMessageBytes = "max.message.bytes"
	cleanupPolicy   = "cleanup.policy"
)

// describeTopics adds the settings of topics to infos, where they can be read.
func describeTopics(
	ctx context.Context, cl kmsg.Requestor, topics []string, infos map[string]topicInfo, denied func(string, error),
) {
	if len(topics) == 0 {
		return
	}
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, topic := range topics {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
		r.ConfigNames = []string{maxMessageBytes, cleanupPolicy}
		req.Resources = append(req.Resources, r)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return // what was known stays
	}
	for i := range resp.Resources {
		r := &resp.Resources[i]
		info, ok := infos[r.ResourceName]
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil || !ok {
			if err != nil {
				denied(r.ResourceName, err)
			}
			continue
		}
		for _, c := range r.Configs {
			switch {
			case c.Value == nil:
			case c.Name == maxMessageBytes:
				if n, err := strconv.ParseInt(*c.Value, 10, 64); err == nil {
					info.limit = int32(min(max(n, record.MinBatchBytes), record.MaxBatchBytes))
				}
			case c.Name == cleanupPolicy:
				info.compacted = strings.Contains(*c.Value, "compact")
			}
		}
		infos[r.ResourceName] = info
	}
}

// mayCreate reports whether cl may create topics.
func mayCreate(cl *kgo.Client) bool {
	create, _ := cl.OptValue(kgo.AllowAutoTopicCreation).(bool)
	return create
}
