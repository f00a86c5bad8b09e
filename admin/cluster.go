package admin

import (
	"context"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/describe"
)

// cluster is what is known of the brokers.
type cluster struct {
	describe.Brokers
	maxMessage int64 // bytes that a topic takes by default
	replicas   int   // that a new topic of ours gets; 0 is unknown
}

// metadata is [describe.Topics], for a cluster of which more is filled in.
func metadata(ctx context.Context, cl *kgo.Client, names ...string) (cluster, map[string]describe.Topic, error) {
	brokers, topics, err := describe.Topics(ctx, cl, names...)
	return cluster{Brokers: brokers}, topics, err
}

// defaults fills in what a new topic gets on this cluster, as far as we are
// allowed to know. The error says why the brokers' own settings are unknown;
// those of the profile count then.
func (c *cluster) defaults(ctx context.Context, cl *kgo.Client, spec Spec) error {
	c.maxMessage = spec.Profile.rules().maxMessage
	node := strconv.Itoa(int(c.Node))
	described, err := describe.Configs(ctx, cl, kmsg.ConfigResourceTypeBroker, node)
	if err == nil {
		err = described[node].Err
		if n, err := strconv.ParseInt(described[node].Values["message.max.bytes"], 10, 64); err == nil {
			c.maxMessage = n
		}
		if n, err := strconv.Atoi(described[node].Values["default.replication.factor"]); err == nil {
			c.replicas = min(n, c.Count) // more cannot be had; the embedded broker says 3
		}
	}
	if spec.Replicas > 0 {
		c.replicas = int(spec.Replicas)
	}
	return err
}

// follow makes what the inbox takes the least that the others have to: someone
// may have raised its limit.
func (c *cluster) follow(inbox describe.Config) {
	c.maxMessage = max(c.maxMessage, number(inbox.Values, maxMessage, 0))
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
