package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

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
	// Letter is what the record says as a dead letter; nil on other topics.
	Letter *Letter `json:"letter,omitempty"`
}

// ErrNoRecord says that there is no record at a place.
var ErrNoRecord = errors.New("no record is there: it was deleted, or is the end of a transaction")

// ReadRecord reads the record at a place on one of the service's own topics. Of its key,
// value and each header it returns at most "most" bytes, and the length of the whole. Of a
// dead letter it reads all that was sent again; see [LetterPages.Read].
func ReadRecord(ctx context.Context, cl *kgo.Client, names levels.Names, at Place, most int) (*Contents, error) {
	c, err := readRecord(ctx, cl, names, at, most)
	if err != nil || c.Letter == nil {
		return c, err
	}
	all, err := readSendings(ctx, cl, names)
	if err != nil {
		return nil, err
	}
	c.Letter.tell(all)
	return c, nil
}

// readRecord is ReadRecord without what was sent again.
func readRecord(ctx context.Context, cl *kgo.Client, names levels.Names, at Place, most int) (*Contents, error) {
	if !names.Owns(at.Topic) {
		return nil, fmt.Errorf("%v: %s is no topic of this delay service", at, at.Topic)
	}
	spans, err := readable(ctx, cl, at.Topic)
	if err != nil {
		return nil, err
	}
	for _, s := range spans {
		if s.Partition.Partition != at.Partition || at.Offset < s.from || at.Offset >= s.to {
			continue
		}
		s.from, s.to = at.Offset, at.Offset+1
		var c *Contents
		err := s.read(ctx, cl, func(rec *kgo.Record) error {
			if rec.Offset == at.Offset {
				c = newContents(names, rec, most)
			}
			return errEnough
		})
		if err != nil {
			return nil, err
		}
		if c == nil {
			break
		}
		return c, nil
	}
	return nil, fmt.Errorf("%v: %w", at, ErrNoRecord)
}

func newContents(names levels.Names, rec *kgo.Record, most int) *Contents {
	c := &Contents{
		Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Time: rec.Timestamp.UTC(),
		Retried: NewRetried(rec),
		Key:     cutPreview(rec.Key, most), Value: cutPreview(rec.Value, most), Headers: make([]Header, len(rec.Headers)),
	}
	for i, h := range rec.Headers {
		c.Headers[i] = Header{h.Key, cutPreview(h.Value, most)}
	}
	if delay, ok := names.LevelDelay(rec.Topic); ok {
		due := dueAt(rec, delay).UTC()
		c.Level, c.Due = levels.FormatDelay(delay), &due
	}
	if rec.Topic == names.Dead() {
		c.Letter = newLetter(rec)
	}
	return c
}
