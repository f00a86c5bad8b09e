// Package truncate deletes records from the beginning of partitions on.
package truncate

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
)

// Allowed is an error on the embedded broker.
func Allowed(ctx context.Context, cl *kgo.Client) error {
	embedded, err := connect.IsEmbedded(ctx, cl)
	if embedded {
		err = errors.New("nothing can be deleted on the embedded broker: its offsets would start again at 0 after a kill")
	}
	return err
}

// Records deletes what is before some offsets of a topic, and makes sure that it
// is gone.
func Records(ctx context.Context, cl *kgo.Client, topic string, upTo kadm.Offsets) error {
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
