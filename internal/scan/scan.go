// Package scan reads the records that are on a topic now, once and in order, and ends there.
package scan

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/describe"
	"github.com/delayd-io/delayd/internal/offsets"
)

// readPatience is how long a span waits for the next record before it gives up: what
// it reads is there already.
const readPatience = 15 * time.Second

// Span is what there is to be read of one partition: from the first offset up to
// before the last one.
type Span struct {
	offsets.Partition
	From, To int64
}

// Readable finds what can be read of a topic, partition by partition: not what
// belongs to transactions that have not ended. It is nothing where the topic does
// not exist.
func Readable(ctx context.Context, cl *kgo.Client, name string) ([]Span, error) {
	_, seen, err := describe.Topics(ctx, cl, name)
	if err != nil {
		return nil, err
	}
	f := seen[name]
	if connect.Denied(f.Err) { // DESCRIBE is enough to find it, and not to read it
		return nil, fmt.Errorf("topic %s: %w", name, connect.GrantTopic(kerr.TopicAuthorizationFailed, connect.Read, name))
	}
	if f.Err != nil || !f.Exists() {
		return nil, f.Err
	}
	parts := make([]offsets.Partition, f.Partitions)
	at := make(map[offsets.Partition]int64, len(parts))
	for i := range parts {
		parts[i] = offsets.Partition{Topic: name, Partition: int32(i)}
		at[parts[i]] = offsets.Start
	}
	// Ends before starts: what is deleted in between leaves nothing to be read, and
	// not less than nothing.
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, name)
	if err = offsets.ListFault(ends, err); err != nil {
		return nil, fmt.Errorf("list the last stable offsets: %w", err)
	}
	starts, err := offsets.List(ctx, cl, at)
	if err != nil {
		return nil, err
	}
	spans := make([]Span, len(parts))
	for i, p := range parts {
		end, ok := ends.Lookup(p.Topic, p.Partition)
		if !ok {
			return nil, fmt.Errorf("list the last stable offset of %v: the brokers left it out of their answer", p)
		}
		spans[i] = Span{p, starts[p].Offset, end.Offset}
	}
	return spans, nil
}

// ErrEnough ends the reading of a span before its end.
var ErrEnough = errors.New("enough")

// Read visits the records of the span in their order, with a client of its own that
// has the options of cl. What was aborted is left out. An error of visit ends it, and
// is returned unless it is ErrEnough.
func (s Span) Read(ctx context.Context, cl *kgo.Client, visit func(*kgo.Record) error) error {
	if s.From >= s.To {
		return nil
	}
	own, err := kgo.NewClient(append(cl.Opts()[:len(cl.Opts()):len(cl.Opts())],
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			s.Topic: {s.Partition.Partition: kgo.NewOffset().At(s.From)},
		}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the last one may be the end of a transaction
	)...)
	if err != nil {
		return fmt.Errorf("read %v: %w", s.Partition, err)
	}
	defer own.Close()
	for next := s.From; next < s.To; {
		wait, cancel := context.WithTimeoutCause(ctx, readPatience,
			fmt.Errorf("nothing came for %v at offset %d, and it ends at %d", readPatience, next, s.To))
		fetches := own.PollFetches(wait)
		if err := context.Cause(wait); err != nil {
			cancel()
			return fmt.Errorf("read %v: %w", s.Partition, err)
		}
		cancel()
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %v: %w", s.Partition, connect.GrantTopic(err, connect.Read, s.Topic))
		}
		for rec := range fetches.RecordsAll() {
			if next = rec.Offset + 1; next > s.To {
				break
			}
			if rec.Attrs.IsControl() {
				continue
			}
			if err := visit(rec); errors.Is(err, ErrEnough) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// ErrNoRecord says that there is no record at a place.
var ErrNoRecord = errors.New("no record is there: it was deleted, or is the end of a transaction")

// At reads the record at an offset of a partition, or returns [ErrNoRecord].
func At(ctx context.Context, cl *kgo.Client, p offsets.Partition, offset int64) (*kgo.Record, error) {
	spans, err := Readable(ctx, cl, p.Topic)
	if err != nil {
		return nil, err
	}
	for _, s := range spans {
		if s.Partition != p || offset < s.From || offset >= s.To {
			continue
		}
		s.From, s.To = offset, offset+1
		var at *kgo.Record
		err := s.Read(ctx, cl, func(rec *kgo.Record) error {
			if rec.Offset == offset {
				at = rec
			}
			return ErrEnough
		})
		if err != nil || at != nil {
			return at, err
		}
	}
	return nil, ErrNoRecord
}
