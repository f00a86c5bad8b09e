package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
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
	// Letter is what the record says as a dead letter; nil on other topics.
	Letter *Letter `json:"letter,omitempty"`
}

// ErrNoRecord says that there is no record at a place.
var ErrNoRecord = errors.New("no record is there: it was deleted, or is the end of a transaction")

// ReadRecord reads the record at a place on one of the service's own topics. Of its key,
// value and each header it returns at most "most" bytes, and the length of the whole.
func ReadRecord(ctx context.Context, cl *kgo.Client, names levels.Names, at Place, most int) (*Contents, error) {
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
		if at.Topic == names.Dead() {
			all, err := readSendings(ctx, cl, names)
			if err != nil {
				return nil, err
			}
			c.Letter.tell(all)
		}
		return c, nil
	}
	return nil, fmt.Errorf("%v: %w", at, ErrNoRecord)
}

func newContents(names levels.Names, rec *kgo.Record, most int) *Contents {
	c := &Contents{
		Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Time: rec.Timestamp.UTC(),
		Key: cutPreview(rec.Key, most), Value: cutPreview(rec.Value, most), Headers: make([]Header, len(rec.Headers)),
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

// ParkedTarget is what is parked for one target.
type ParkedTarget struct {
	// Target is nil for records that leave it to the default.
	Target *string `json:"target"`
	// Records is how many of those that were read are for it, and Oldest since when the
	// first of them has been parked.
	Records int       `json:"records"`
	Oldest  time.Time `json:"oldest"`
}

// ParkedTargets reads the first "most" parked records of each partition and returns
// whom they are for, the most first, and whether there are more.
func ParkedTargets(ctx context.Context, cl *kgo.Client, names levels.Names, most int64) (list []ParkedTarget, more bool, err error) {
	spans, err := pendingOn(ctx, cl, names, names.Parked())
	if err != nil {
		return nil, false, err
	}
	type key struct {
		topic string
		named bool
	}
	found := make(map[key]*ParkedTarget)
	for _, s := range spans {
		if s.to-s.from > most {
			s.to, more = s.from+most, true
		}
		err := s.read(ctx, cl, func(rec *kgo.Record) error {
			value, named := record.Last(rec.Headers, levels.HeaderTarget)
			k := key{string(value), named}
			t := found[k]
			if t == nil {
				t = &ParkedTarget{Oldest: rec.Timestamp.UTC()}
				if named {
					t.Target = &k.topic
				}
				found[k] = t
			}
			t.Records++
			if rec.Timestamp.Before(t.Oldest) {
				t.Oldest = rec.Timestamp.UTC()
			}
			return nil
		})
		if err != nil {
			return nil, more, err
		}
	}
	for _, t := range found {
		list = append(list, *t)
	}
	slices.SortFunc(list, func(a, b ParkedTarget) int {
		name := func(t ParkedTarget) string {
			if t.Target == nil {
				return ""
			}
			return *t.Target
		}
		return cmp.Or(cmp.Compare(b.Records, a.Records), cmp.Compare(name(a), name(b)))
	})
	return list, more, nil
}
