package admin

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/truncate"
	"github.com/delayd-io/delayd/levels"
)

// Purge is what is pending on a level at one time, to be deleted.
type Purge struct {
	Level string `json:"level"`
	Topic string `json:"topic"`
	// Records is how many there are: the sum of those of the partitions. The end of a
	// producer's transaction counts as a record.
	Records    int64            `json:"records"`
	Partitions []PurgePartition `json:"partitions"`

	names levels.Names
}

// PurgePartition is the part of a Purge on one partition: the offsets from From up to
// before To.
type PurgePartition struct {
	Partition int32 `json:"partition"`
	From      int64 `json:"from"`
	To        int64 `json:"to"`
}

// Records is how many there are.
func (p PurgePartition) Records() int64 { return max(0, p.To-p.From) }

// NewPurge finds what is pending on a level. What belongs to transactions that have
// not ended is not among it. It deletes nothing.
func NewPurge(ctx context.Context, cl *kgo.Client, names levels.Names, delay time.Duration) (*Purge, error) {
	p := &Purge{Level: levels.FormatDelay(delay), Topic: levelTopic(names, delay), names: names}
	spans, err := pendingOn(ctx, cl, names, p.Topic)
	if err != nil {
		return nil, err
	}
	for _, s := range spans {
		part := PurgePartition{s.Partition.Partition, s.From, s.To}
		p.Records += part.Records()
		p.Partitions = append(p.Partitions, part)
	}
	return p, nil
}

// Do deletes what NewPurge found, and nothing that has come since. There is no way
// back.
//
// Forwarders that are running, or start later, would take it for a loss. So Do announces it
// to them first, as the offsets of [levels.Names.PurgedGroup]. Within ten seconds they
// forget what they have read ahead of it; what is due until then they still deliver.
func (p *Purge) Do(ctx context.Context, cl *kgo.Client) error {
	if err := truncate.Allowed(ctx, cl); err != nil {
		return err
	}
	var upTo, told kadm.Offsets
	for _, part := range p.Partitions {
		if part.Records() > 0 {
			upTo.AddOffset(p.Topic, part.Partition, part.To, -1)
			told.Add(kadm.Offset{Topic: p.Topic, Partition: part.Partition, At: part.To, LeaderEpoch: -1, Metadata: "deleted by delayd admin purge"})
		}
	}
	if len(upTo) == 0 {
		return nil
	}
	group := p.names.PurgedGroup()
	if err := kadm.NewClient(cl).CommitAllOffsets(ctx, group, told); err != nil {
		err = connect.GrantTopic(connect.GrantGroup(err, connect.Read, group), connect.Read, p.Topic)
		return fmt.Errorf("commit the purge for group %s: %w; nothing was deleted", group, err)
	}
	return truncate.Records(ctx, cl, p.Topic, upTo)
}
