package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
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
		part := PurgePartition{s.Partition.Partition, s.from, s.to}
		p.Records += part.Records()
		p.Partitions = append(p.Partitions, part)
	}
	return p, nil
}

// Do deletes what NewPurge found, and nothing that has come since. There is no way
// back.
//
// Forwarders that are running, or start later, would take it for a loss. So it is told
// to them first, as the offsets of [levels.Names.PurgedGroup]. Within ten seconds they
// forget what they have read ahead of it; what is due until then they still deliver.
func (p *Purge) Do(ctx context.Context, cl *kgo.Client) error {
	embedded, err := connect.IsEmbedded(ctx, cl)
	if err != nil {
		return err
	}
	if embedded {
		return errors.New("nothing can be deleted on the embedded broker: its offsets would start again at 0 after a kill")
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
	adm, group := kadm.NewClient(cl), p.names.PurgedGroup()
	if err := adm.CommitAllOffsets(ctx, group, told); err != nil {
		err = connect.GrantTopic(connect.GrantGroup(err, connect.Read, group), connect.Read, p.Topic)
		return fmt.Errorf("tell the forwarders by the offsets of group %s: %w; nothing was deleted", group, err)
	}
	deleted, err := adm.DeleteRecords(ctx, upTo)
	var errs []error
	deleted.Each(func(d kadm.DeleteRecordsResponse) {
		if d.Err != nil {
			errs = append(errs, fmt.Errorf("delete records of %s/%d: %w", d.Topic, d.Partition, connect.GrantTopic(d.Err, connect.Delete, d.Topic)))
		}
	})
	if err != nil && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("delete records of %s: %w", p.Topic, connect.GrantTopic(err, connect.Delete, p.Topic)))
	}
	return errors.Join(errs...)
}
