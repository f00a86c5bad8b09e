// Package describe asks the brokers what topics there are and how topics and brokers are
// configured. Each answer is fresh: nothing comes from a client's cache.
package describe

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
)

const (
	// MaxMessage is the setting of a topic that bounds a batch, in bytes.
	MaxMessage = "max.message.bytes"
	// KafkaMaxMessage is Kafka's default of message.max.bytes, for clusters
	// whose setting we may not read.
	KafkaMaxMessage = 1048588
)

// Brokers is what the metadata say of the cluster.
type Brokers struct {
	Count int   // how many there are
	Node  int32 // the id of one of them
}

// Topic is what the brokers know of a topic.
type Topic struct {
	Err        error // why it cannot be described; nil also where it does not exist
	Partitions int32 // 0: it does not exist
	Replicas   int   // of the partition that has the fewest
	InSync     int   // replicas that are in sync, of the partition that has the fewest
	Led        bool  // every partition has a leader
}

// Exists reports whether there is such a topic.
func (f Topic) Exists() bool { return f.Partitions > 0 }

// Topics looks topics up at the brokers, past the client's cache, which may be
// as old as a topic that was just created. With no names it finds all topics
// that there are.
func Topics(ctx context.Context, cl *kgo.Client, names ...string) (Brokers, map[string]Topic, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	for _, name := range names {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return Brokers{}, nil, fmt.Errorf("look up the topics: %w", err)
	}
	b := Brokers{Count: len(resp.Brokers)}
	if len(resp.Brokers) > 0 {
		b.Node = resp.Brokers[0].NodeID
	}
	topics := make(map[string]Topic, len(resp.Topics))
	for _, t := range resp.Topics {
		if t.Topic == nil {
			continue
		}
		f := Topic{Led: true, Partitions: int32(len(t.Partitions))}
		switch err := kerr.ErrorForCode(t.ErrorCode); err {
		case nil, kerr.UnknownTopicOrPartition:
		case kerr.LeaderNotAvailable: // there, and so new that nobody leads it
			f.Led, f.Partitions = false, max(1, f.Partitions)
		default:
			f.Err = fmt.Errorf("topic %s: %w", *t.Topic, connect.GrantTopic(err, connect.Describe, *t.Topic))
		}
		for i, p := range t.Partitions {
			if i == 0 || len(p.Replicas) < f.Replicas {
				f.Replicas = len(p.Replicas)
			}
			if i == 0 || len(p.ISR) < f.InSync {
				f.InSync = len(p.ISR)
			}
			f.Led = f.Led && p.Leader >= 0
		}
		topics[*t.Topic] = f
	}
	return b, topics, nil
}

// Config is the configuration of a topic or a broker.
type Config struct {
	Values map[string]string
	Err    error // why it is unknown
}

// Configs reads configurations, by the name of the topic or broker.
func Configs(ctx context.Context, cl *kgo.Client, what kmsg.ConfigResourceType, names ...string) (map[string]Config, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, name := range names {
		resource := kmsg.NewDescribeConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = what, name
		req.Resources = append(req.Resources, resource)
	}
	all := make(map[string]Config, len(names))
	for _, shard := range cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, fmt.Errorf("describe settings: %w", shard.Err)
		}
		for _, r := range shard.Resp.(*kmsg.DescribeConfigsResponse).Resources {
			d := Config{Err: Refusal(r.ErrorCode, r.ErrorMessage), Values: make(map[string]string, len(r.Configs))}
			for _, c := range r.Configs {
				if c.Value != nil {
					d.Values[c.Name] = *c.Value
				}
			}
			all[r.ResourceName] = d
		}
	}
	return all, nil
}

// Refusal is a broker's refusal with the sentence that it gave, nil for
// none.
func Refusal(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err == nil || message == nil || *message == "" {
		return err
	}
	return fmt.Errorf("%w (the broker says: %s)", err, strings.TrimSpace(*message))
}
