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

// LetterDeletion is the beginning of the dead letters' topic, to be deleted. Kafka
// deletes records only from the beginning of a partition on: letters cannot be picked
// by code or target.
type LetterDeletion struct {
	Topic string `json:"topic"`
	// Letters is how many there are, and Summary of what and for whom.
	Letters    int              `json:"letters"`
	Summary    []LetterSummary  `json:"summary"`
	Partitions []PurgePartition `json:"partitions"`
}

// NewLetterDeletion finds the dead letters that stand before the first one that died at
// or after until; zero is no bound. through, unless it is nil, is the offset of the last
// one instead. It deletes nothing, and what dies later stays.
func NewLetterDeletion(ctx context.Context, cl *kgo.Client, names levels.Names, until time.Time, through *int64) (*LetterDeletion, error) {
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
	d := &LetterDeletion{Topic: names.Dead()}
	var t tally
	for _, s := range spans {
		if through != nil {
			if *through < s.from || *through >= s.to {
				return nil, &MissingLettersError{d.Topic, []int64{*through}}
			}
			s.to = *through + 1
		}
		to := s.to
		err := s.read(ctx, cl, func(rec *kgo.Record) error {
			l := newLetter(rec)
			if !until.IsZero() && !l.Died.Before(until) {
				to = rec.Offset
				return errEnough
			}
			l.tell(all)
			t.add(l)
			d.Letters++
			return nil
		})
		if err != nil {
			return nil, err
		}
		d.Partitions = append(d.Partitions, PurgePartition{s.Partition.Partition, s.from, to})
	}
	d.Summary = t.summaries()
	return d, nil
}

// Do deletes what NewLetterDeletion found. There is no way back.
func (d *LetterDeletion) Do(ctx context.Context, cl *kgo.Client) error {
	if err := deletable(ctx, cl); err != nil {
		return err
	}
	var upTo kadm.Offsets
	for _, part := range d.Partitions {
		if part.Records() > 0 {
			upTo.AddOffset(d.Topic, part.Partition, part.To, -1)
		}
	}
	return deleteRecords(ctx, cl, d.Topic, upTo)
}

// deletable is an error on the embedded broker.
func deletable(ctx context.Context, cl *kgo.Client) error {
	embedded, err := connect.IsEmbedded(ctx, cl)
	if embedded {
		err = errors.New("nothing can be deleted on the embedded broker: its offsets would start again at 0 after a kill")
	}
	return err
}

// deleteRecords deletes what is before some offsets of a topic, and makes sure that it
// is gone.
func deleteRecords(ctx context.Context, cl *kgo.Client, topic string, upTo kadm.Offsets) error {
	if len(upTo) == 0 {
		return nil
	}
	deleted, err := kadm.NewClient(cl).DeleteRecords(ctx, upTo)
	var errs []error
	deleted.Each(func(d kadm.DeleteRecordsResponse) {
		err := connect.GrantTopic(d.Err, connect.Delete, d.Topic)
		if at, _ := upTo.Lookup(d.Topic, d.Partition); err == nil && d.LowWatermark < at.At {
			err = fmt.Errorf("the broker says that they begin at %d, and not at %d", d.LowWatermark, at.At)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("delete records of %s/%d: %w", d.Topic, d.Partition, err))
		}
	})
	if err != nil && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("delete records of %s: %w", topic, connect.GrantTopic(err, connect.Delete, topic)))
	}
	return errors.Join(errs...)
}
