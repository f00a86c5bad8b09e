package deadletter

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/scan"
	"github.com/delayd-io/delayd/internal/truncate"
	"github.com/delayd-io/delayd/levels"
)

// Deletion is the beginning of the dead letters' topic, to be deleted. Kafka
// deletes records only from the beginning of a partition on: letters cannot be picked
// by code or target.
type Deletion struct {
	Topic string `json:"topic"`
	// Letters is how many there are, and Summary of what and for whom.
	Letters    int                    `json:"letters"`
	Summary    []Summary              `json:"summary"`
	Partitions []admin.PurgePartition `json:"partitions"`
}

// NewDeletion finds the dead letters that stand before the first one that died at
// or after until; zero is no bound. through, unless it is nil, is the offset of the last
// one instead. It deletes nothing, and what dies later stays.
func NewDeletion(ctx context.Context, cl *kgo.Client, names levels.Names, until time.Time, through *int64) (*Deletion, error) {
	all, err := readSendings(ctx, cl, names)
	if err != nil {
		return nil, err
	}
	spans, err := letterSpans(ctx, cl, names)
	if err != nil {
		return nil, err
	}
	if through != nil && len(spans) > 1 {
		return nil, fmt.Errorf("topic %s has %d partitions, so that an offset does not say which letters are meant; name a time", names.Dead(), len(spans))
	}
	d := &Deletion{Topic: names.Dead()}
	var t tally
	for _, s := range spans {
		if through != nil {
			if *through < s.From || *through >= s.To {
				return nil, &MissingError{d.Topic, []int64{*through}}
			}
			s.To = *through + 1
		}
		to := s.To
		err := s.Read(ctx, cl, func(rec *kgo.Record) error {
			l := newLetter(rec)
			if !until.IsZero() && !l.Died.Before(until) {
				to = rec.Offset
				return scan.ErrEnough
			}
			l.tell(all)
			t.add(l)
			d.Letters++
			return nil
		})
		if err != nil {
			return nil, err
		}
		d.Partitions = append(d.Partitions, admin.PurgePartition{Partition: s.Partition.Partition, From: s.From, To: to})
	}
	d.Summary = t.summaries()
	return d, nil
}

// Do deletes what NewDeletion found. There is no way back.
func (d *Deletion) Do(ctx context.Context, cl *kgo.Client) error {
	if err := truncate.Allowed(ctx, cl); err != nil {
		return err
	}
	var upTo kadm.Offsets
	for _, part := range d.Partitions {
		if part.Records() > 0 {
			upTo.AddOffset(d.Topic, part.Partition, part.To, -1)
		}
	}
	return truncate.Records(ctx, cl, d.Topic, upTo)
}
