package admin

import (
	"context"
	"encoding/json"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/offsets"
)

const (
	// newest asks for the record of a partition that has the highest timestamp
	// (KIP-734, Kafka 3.0 and later).
	newest int64 = -3
	// newestAge is how old the newest record may be to say anything of the clocks.
	newestAge = time.Minute
	// clusterLog is the topic that the controllers keep the cluster on.
	clusterLog = "__cluster_metadata"
)

// Clock is by how much this machine's clock is ahead of the cluster's; below zero it
// is behind. What is due is judged by the brokers' clocks, and counted here by this
// machine's.
type Clock struct {
	// Least and Most are what it lies between; Least is nil where it has no bound.
	Least *time.Duration
	Most  time.Duration
	Source
}

// Source is whose clock was compared.
type Source string

const (
	// SourceController: the active controller tells its time when it is asked for the state
	// of its quorum, so that the difference is known to within the time that the
	// answer took. It needs KRaft and the right DESCRIBE on the cluster.
	SourceController Source = "controller"
	// SourceNewestRecord: a broker stamped it before the count, so this machine is ahead
	// by the record's age at most. It is behind if by its clock the record is not written
	// yet. On a topic with the producers' timestamps it says nothing.
	SourceNewestRecord Source = "newest record"
)

// MarshalJSON writes the bounds in seconds, null for none, and the source.
func (c Clock) MarshalJSON() ([]byte, error) {
	out := struct {
		Least  *float64 `json:"ahead_least_seconds"`
		Most   float64  `json:"ahead_most_seconds"`
		Source Source   `json:"source"`
	}{Most: c.Most.Seconds(), Source: c.Source}
	if c.Least != nil {
		least := c.Least.Seconds()
		out.Least = &least
	}
	return json.Marshal(out)
}

// clock looks at the clocks without writing anything; nil where neither source says
// anything.
func (list countings) clock(ctx context.Context, cl *kgo.Client) *Clock {
	if c := controllerClock(ctx, cl); c != nil {
		return c
	}
	return list.newestClock(ctx, cl)
}

// controllerClock asks the active controller, which calls itself caught up in the
// millisecond in which it answers.
func controllerClock(ctx context.Context, cl *kgo.Client) *Clock {
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = clusterLog, []kmsg.DescribeQuorumRequestTopicPartition{{Partition: 0}}
	req.Topics = append(req.Topics, topic)
	sent := time.Now()
	resp, err := req.RequestWith(ctx, cl)
	received := time.Now()
	if err != nil {
		return nil // an older Kafka
	}
	return quorumClock(resp, sent, received)
}

// quorumClock goes by the controller's own entry; nil without the right to see it.
func quorumClock(resp *kmsg.DescribeQuorumResponse, sent, received time.Time) *Clock {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			for _, voter := range p.CurrentVoters {
				if voter.ReplicaID != p.LeaderID || voter.LastCaughtUpTimestamp <= 0 {
					continue
				}
				theirs := time.UnixMilli(voter.LastCaughtUpTimestamp) // and up to a millisecond more
				least := sent.Sub(theirs) - time.Millisecond
				return &Clock{Least: &least, Most: received.Sub(theirs), Source: SourceController}
			}
		}
	}
	return nil
}

// newestClock goes by the newest record that waits or has waited.
func (list countings) newestClock(ctx context.Context, cl *kgo.Client) *Clock {
	found, err := list.look(ctx, cl, func(c *counting) (int64, bool) { return newest, c.kind != dead })
	received := time.Now()
	if err != nil {
		return nil // an older Kafka
	}
	var clock *Clock
	for _, f := range found {
		if f.Offset == offsets.None || f.Timestamp < 0 {
			continue
		}
		if most := received.Sub(time.UnixMilli(f.Timestamp)); most < newestAge && (clock == nil || most < clock.Most) {
			clock = &Clock{Most: most, Source: SourceNewestRecord}
		}
	}
	return clock
}
