package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/internal/scan"
	"github.com/delayd-io/delayd/levels"
)

// Contents is one record of a topic of the service, as whole as was asked for.
type Contents struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Time      time.Time `json:"time"` // when it got there
	// Level and Due are set on the topic of a level: when it is to be delivered.
	Level   string     `json:"level,omitempty"`
	Due     *time.Time `json:"due,omitempty"`
	Key     *Preview   `json:"key"`
	Headers []Header   `json:"headers"`
	Value   *Preview   `json:"value"`
	// Retried is what it says of its retries; nil for nothing.
	Retried *Retried `json:"retried,omitempty"`
}

// ErrNoRecord says that there is no record at a place.
var ErrNoRecord = scan.ErrNoRecord

// ReadRecord reads the record at a place on one of the service's own topics. Of its key,
// value and each header it returns at most "most" bytes, and the length of the whole.
func ReadRecord(ctx context.Context, cl *kgo.Client, names levels.Names, at Place, most int) (*Contents, error) {
	if !names.Owns(at.Topic) {
		return nil, fmt.Errorf("%v: %s is no topic of this delay service", at, at.Topic)
	}
	rec, err := scan.At(ctx, cl, offsets.Partition{Topic: at.Topic, Partition: at.Partition}, at.Offset)
	if errors.Is(err, ErrNoRecord) {
		err = fmt.Errorf("%v: %w", at, err)
	}
	if err != nil {
		return nil, err
	}
	return NewContents(names, rec, most), nil
}

// NewContents returns the contents of a record that was read from one of the service's own
// topics. Of its key, value and each header it keeps at most "most" bytes.
func NewContents(names levels.Names, rec *kgo.Record, most int) *Contents {
	c := &Contents{
		Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Time: rec.Timestamp.UTC(),
		Retried: NewRetried(rec), Key: NewPreview(rec.Key, most), Headers: NewHeaders(rec.Headers, most), Value: NewPreview(rec.Value, most),
	}
	if delay, ok := names.LevelDelay(rec.Topic); ok {
		due := dueAt(rec, delay).UTC()
		c.Level, c.Due = levels.FormatDelay(delay), &due
	}
	return c
}
