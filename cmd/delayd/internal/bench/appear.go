package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// appearWait is how long the brokers may take until all of them know a new
	// topic.
	appearWait = 30 * time.Second
	// appearEvery is the pause between two looks.
	appearEvery = 20 * time.Millisecond
)

// appear waits until every broker knows the leaders of new topics. Kafka answers
// as soon as one of them does, and a contender may ask another.
func (b *bench) appear(ctx context.Context, topics []string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, appearWait, fmt.Errorf("the brokers do not show the topics %v after %v", topics, appearWait))
	defer cancel()
	for _, broker := range b.client.DiscoveredBrokers() {
		for {
			shown, err := shows(ctx, broker, topics)
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("look up topics %v: %w", topics, err)
			}
			if shown {
				break
			}
			if err := pause(ctx, appearEvery); err != nil {
				return err
			}
		}
	}
	return nil
}

// shows reports whether a broker knows the leaders of all partitions of topics.
func shows(ctx context.Context, broker *kgo.Broker, topics []string) (bool, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
	}
	answer, err := broker.RetriableRequest(ctx, req)
	if err != nil {
		return false, err
	}
	for _, t := range answer.(*kmsg.MetadataResponse).Topics {
		leaderless := slices.ContainsFunc(t.Partitions, func(p kmsg.MetadataResponseTopicPartition) bool { return p.Leader < 0 })
		if t.ErrorCode != 0 || len(t.Partitions) == 0 || leaderless {
			return false, nil
		}
	}
	return true, nil
}
