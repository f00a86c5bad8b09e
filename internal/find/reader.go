package find

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/offsets"
)

const (
	// readPatience is how long a read waits for the next record: what it reads is there.
	readPatience = 15 * time.Second
	// together is how many partitions one client reads at a time, and partitionBytes how
	// much of each a fetch returns, beside one batch that is larger.
	together       = 64
	partitionBytes = 256 << 10
)

// chunk is a range of one partition that is to be read.
type chunk struct {
	offsets.Partition
	interval
}

// readChunks visits the committed records of chunks, those of one partition in their
// order. Each client that it makes has the options of cl. read is called with how many
// offsets are done.
func readChunks(ctx context.Context, cl *kgo.Client, chunks []chunk, read func(n int64), visit func(*kgo.Record)) error {
	for len(chunks) > 0 {
		// One chunk of a partition at a time.
		now, rest := make(map[offsets.Partition]*chunk), []chunk(nil)
		for i := range chunks {
			if c := &chunks[i]; c.len() == 0 {
				continue
			} else if now[c.Partition] == nil && len(now) < together {
				now[c.Partition] = c
				continue
			}
			rest = append(rest, chunks[i])
		}
		if err := readSome(ctx, cl, now, read, visit); err != nil {
			return err
		}
		chunks = rest
	}
	return nil
}

func readSome(ctx context.Context, cl *kgo.Client, chunks map[offsets.Partition]*chunk, read func(n int64), visit func(*kgo.Record)) error {
	if len(chunks) == 0 {
		return nil
	}
	from := make(map[string]map[int32]kgo.Offset)
	next := make(map[offsets.Partition]int64)
	for p, c := range chunks {
		if from[p.Topic] == nil {
			from[p.Topic] = make(map[int32]kgo.Offset)
		}
		from[p.Topic][p.Partition] = kgo.NewOffset().At(c.from)
		next[p] = c.from
	}
	own, err := kgo.NewClient(append(cl.Opts()[:len(cl.Opts()):len(cl.Opts())],
		kgo.ConsumePartitions(from),
		kgo.FetchMaxPartitionBytes(partitionBytes),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the last one may be the end of a transaction
	)...)
	if err != nil {
		return fmt.Errorf("read records: %w", err)
	}
	defer own.Close()
	for len(next) > 0 {
		wait, cancel := context.WithTimeoutCause(ctx, readPatience, fmt.Errorf("nothing came for %v", readPatience))
		fetches := own.PollFetches(wait)
		err := context.Cause(wait)
		cancel()
		if err == nil {
			err = fetches.Err()
		}
		if err != nil {
			for p, at := range next {
				return fmt.Errorf("read %v from offset %d: %w", p, at, connect.GrantTopic(err, connect.Read, p.Topic))
			}
		}
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			p := offsets.Partition{Topic: f.Topic, Partition: f.Partition}
			at, ok := next[p]
			if !ok {
				return // read to its end
			}
			c := chunks[p]
			for _, rec := range f.Records {
				if rec.Offset >= c.to {
					at = c.to
					break
				}
				at = rec.Offset + 1
				if !rec.Attrs.IsControl() {
					visit(rec)
				}
			}
			read(min(at, c.to) - next[p])
			if next[p] = at; at >= c.to {
				delete(next, p)
				own.PauseFetchPartitions(map[string][]int32{p.Topic: {p.Partition}})
			}
		})
	}
	return nil
}
