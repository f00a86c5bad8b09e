package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/offsets"
)

// readPatience is how long a span waits for the next record before it gives up: what
// it reads is there already.
const readPatience = 15 * time.Second

// span is what there is to be read of one partition: from the first offset up to
// before the last one.
type span struct {
	offsets.Partition
	from, to int64
}

// readable finds what can be read of a topic, partition by partition: not what
// belongs to transactions that have not ended. It is nothing where the topic does
// not exist.
func readable(ctx context.Context, cl *kgo.Client, name string) ([]span, error) {
	_, seen, err := metadata(ctx, cl, name)
	if err != nil {
		return nil, err
	}
	f := seen[name]
	if connect.Denied(f.err) { // DESCRIBE is enough to find it, and not to read it
		return nil, fmt.Errorf("topic %s: %w", name, connect.GrantTopic(kerr.TopicAuthorizationFailed, connect.Read, name))
	}
	if f.err != nil || !f.exists() {
		return nil, f.err
	}
	parts := (&counting{TopicStatus: TopicStatus{Topic: name, Partitions: int(f.partitions)}}).partitions()
	at := make(map[offsets.Partition]int64, len(parts))
	for _, p := range parts {
		at[p] = offsets.Start
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
	spans := make([]span, len(parts))
	for i, p := range parts {
		end, ok := ends.Lookup(p.Topic, p.Partition)
		if !ok {
			return nil, fmt.Errorf("list the last stable offset of %v: the brokers left it out of their answer", p)
		}
		spans[i] = span{p, starts[p].Offset, end.Offset}
	}
	return spans, nil
}

// errEnough ends the reading of a span before its end.
var errEnough = errors.New("enough")

// read visits the records of the span in their order, with a client of its own that
// has the options of cl. What was aborted is left out. An error of visit ends it, and
// is returned unless it is errEnough.
func (s span) read(ctx context.Context, cl *kgo.Client, visit func(*kgo.Record) error) error {
	if s.from >= s.to {
		return nil
	}
	own, err := kgo.NewClient(append(cl.Opts()[:len(cl.Opts()):len(cl.Opts())],
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			s.Topic: {s.Partition.Partition: kgo.NewOffset().At(s.from)},
		}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the last one may be the end of a transaction
	)...)
	if err != nil {
		return fmt.Errorf("read %v: %w", s.Partition, err)
	}
	defer own.Close()
	for next := s.from; next < s.to; {
		wait, cancel := context.WithTimeoutCause(ctx, readPatience,
			fmt.Errorf("nothing came for %v at offset %d, and it ends at %d", readPatience, next, s.to))
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
			if next = rec.Offset + 1; next > s.to {
				break
			}
			if rec.Attrs.IsControl() {
				continue
			}
			if err := visit(rec); errors.Is(err, errEnough) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}
