package admin

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
)

// cluster is what is known of the brokers.
type cluster struct {
	brokers    int
	node       int32 // one of them
	maxMessage int64 // bytes that a topic takes by default
	replicas   int   // that a new topic of ours gets; 0 is unknown
}

// found is what the brokers know of a topic.
type found struct {
	err        error // why it cannot be described; nil also where it does not exist
	partitions int32 // 0: it does not exist
	replicas   int   // of the partition that has the fewest
	inSync     int   // replicas that are in sync, of the partition that has the fewest
	led        bool  // every partition has a leader
}

func (f found) exists() bool { return f.partitions > 0 }

// metadata looks topics up at the brokers, past the client's cache, which may be
// as old as a topic that was just created. With no names it finds all topics
// that there are.
func metadata(ctx context.Context, cl *kgo.Client, names ...string) (cluster, map[string]found, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	for _, name := range names {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return cluster{}, nil, fmt.Errorf("look up the topics: %w", err)
	}
	c := cluster{brokers: len(resp.Brokers)}
	if len(resp.Brokers) > 0 {
		c.node = resp.Brokers[0].NodeID
	}
	topics := make(map[string]found, len(resp.Topics))
	for _, t := range resp.Topics {
		if t.Topic == nil {
			continue
		}
		f := found{led: true, partitions: int32(len(t.Partitions))}
		switch err := kerr.ErrorForCode(t.ErrorCode); err {
		case nil, kerr.UnknownTopicOrPartition:
		case kerr.LeaderNotAvailable: // there, and so new that nobody leads it
			f.led, f.partitions = false, max(1, f.partitions)
		default:
			f.err = fmt.Errorf("topic %s: %w", *t.Topic, connect.GrantTopic(err, connect.Describe, *t.Topic))
		}
		for i, p := range t.Partitions {
			if i == 0 || len(p.Replicas) < f.replicas {
				f.replicas = len(p.Replicas)
			}
			if i == 0 || len(p.ISR) < f.inSync {
				f.inSync = len(p.ISR)
			}
			f.led = f.led && p.Leader >= 0
		}
		topics[*t.Topic] = f
	}
	return c, topics, nil
}

// defaults fills in what a new topic gets on this cluster, as far as we are
// allowed to know. The error says why the brokers' own settings cannot be told;
// those of the profile count then.
func (c *cluster) defaults(ctx context.Context, cl *kgo.Client, spec Spec) error {
	c.maxMessage = spec.Profile.rules().maxMessage
	node := strconv.Itoa(int(c.node))
	described, err := describe(ctx, cl, kmsg.ConfigResourceTypeBroker, node)
	if err == nil {
		err = described[node].err
		if n, err := strconv.ParseInt(described[node].values["message.max.bytes"], 10, 64); err == nil {
			c.maxMessage = n
		}
		if n, err := strconv.Atoi(described[node].values["default.replication.factor"]); err == nil {
			c.replicas = min(n, c.brokers) // more cannot be had; the embedded broker says 3
		}
	}
	if spec.Replicas > 0 {
		c.replicas = int(spec.Replicas)
	}
	return err
}

// follow makes what the inbox takes the least that the others have to: someone
// may have raised its limit.
func (c *cluster) follow(inbox described) {
	c.maxMessage = max(c.maxMessage, number(inbox.values, maxMessage, 0))
}

// described is the configuration of a topic or a broker.
type described struct {
	values map[string]string
	err    error // why it cannot be told
}

// describe reads configurations, by the name of the topic or broker.
func describe(ctx context.Context, cl *kgo.Client, what kmsg.ConfigResourceType, names ...string) (map[string]described, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, name := range names {
		resource := kmsg.NewDescribeConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = what, name
		req.Resources = append(req.Resources, resource)
	}
	all := make(map[string]described, len(names))
	for _, shard := range cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, fmt.Errorf("describe settings: %w", shard.Err)
		}
		for _, r := range shard.Resp.(*kmsg.DescribeConfigsResponse).Resources {
			d := described{err: brokersError(r.ErrorCode, r.ErrorMessage), values: make(map[string]string, len(r.Configs))}
			for _, c := range r.Configs {
				if c.Value != nil {
					d.values[c.Name] = *c.Value
				}
			}
			all[r.ResourceName] = d
		}
	}
	return all, nil
}

// brokersError is a broker's refusal with the sentence that it gave, nil for
// none.
func brokersError(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err == nil || message == nil || *message == "" {
		return err
	}
	return fmt.Errorf("%w (the broker says: %s)", err, strings.TrimSpace(*message))
}

// pause waits between two looks at the cluster; it is false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
