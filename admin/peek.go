package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/scan"
	"github.com/delayd-io/delayd/levels"
)

// Pending is a record that waits on a level.
type Pending struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	// Due is when it is to be delivered, of an exact time the end of its walk. On a topic that keeps its producers' times
	// it may be due earlier than that, as the service bounds the wait.
	Due time.Time `json:"due"`
	// Target is what it asks for; nil where it leaves that to the default.
	Target *string `json:"target"`
	// Retried is what it says of its retries; nil for nothing.
	Retried *Retried `json:"retried,omitempty"`
	// ID is the delay-id that it is delivered with.
	ID      string   `json:"id"`
	Key     *Preview `json:"key"`
	Headers []Header `json:"headers"`
	Value   *Preview `json:"value"`
}

// Peek shows the next n records that wait on a level, by when they are due. Peek
// searches the first n of each partition: due times rise with the offset but for
// what was routed late. What was delivered and is not committed yet is among them.
func Peek(ctx context.Context, cl *kgo.Client, names levels.Names, delay time.Duration, n int) ([]*Pending, error) {
	spans, err := pendingOn(ctx, cl, names, levelTopic(names, delay))
	if err != nil {
		return nil, err
	}
	var list []*Pending
	for _, s := range spans {
		seen := 0
		err := s.Read(ctx, cl, func(rec *kgo.Record) error {
			list = append(list, newPending(rec, delay))
			if seen++; seen == n {
				return scan.ErrEnough
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(list, func(a, b *Pending) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return list[:min(n, len(list))], nil
}

func levelTopic(names levels.Names, delay time.Duration) string {
	return names.Level(levels.Level{Delay: delay})
}

// pendingOn is what the forwarders have not committed of a topic that has to exist,
// partition by partition.
func pendingOn(ctx context.Context, cl *kgo.Client, names levels.Names, topic string) ([]scan.Span, error) {
	// Commits before ends: nothing comes out below zero.
	committed, err := offsets.Committed(ctx, kadm.NewClient(cl), names.ForwarderGroup())
	if err != nil {
		return nil, err
	}
	spans, err := scan.Readable(ctx, cl, topic)
	if err == nil && len(spans) == 0 {
		err = fmt.Errorf("topic %s does not exist; delayd admin status shows those that do", topic)
	}
	for i := range spans {
		spans[i].From = max(spans[i].From, committed[spans[i].Partition])
	}
	return spans, err
}

func newPending(rec *kgo.Record, delay time.Duration) *Pending {
	p := &Pending{
		Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Due: dueAt(rec, delay).UTC(),
		Key: newPreview(rec.Key), Headers: newHeaders(record.WithoutHop(rec.Headers, 0)), Value: newPreview(rec.Value),
		Retried: NewRetried(rec),
	}
	if target, given := record.Last(rec.Headers, levels.HeaderTarget); given {
		s := string(target)
		p.Target = &s
	}
	// As it is delivered, wherever that is to.
	facts, routed := record.ReadHop(rec.Headers)
	if !routed {
		facts = levels.Facts{Accepted: rec.Timestamp.UnixMilli()}
	}
	id, _ := record.Last(record.Final(rec, facts).Headers, levels.HeaderID)
	p.ID = string(id)
	return p
}

// dueAt is when a record of a level is due.
func dueAt(rec *kgo.Record, delay time.Duration) time.Time {
	due, _ := record.DueOn(rec, delay)
	return due
}
