package bench

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// copyFetchBytes is what the copy fetches of a partition at once, four times franz-go's
	// default.
	copyFetchBytes = 4 << 20
	// copyBuffered is how many records the copy has unacknowledged at most, ten times
	// franz-go's default.
	copyBuffered = 100_000
	// copyCommitWithin bounds the commit at its end.
	copyCommitWithin = 5 * time.Second
)

// runCopy is the bare copy loop: what any service that reads one topic and
// writes another costs at least. It delays nothing, bounds nothing, does not compress,
// and commits once, when it ends.
func runCopy(ctx context.Context, cfg YardstickConfig) error {
	client, err := newClient(cfg.Opts, append(groupOf(cfg),
		kgo.FetchMaxPartitionBytes(copyFetchBytes), kgo.MaxBufferedRecords(copyBuffered),
		kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()))...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), copyCommitWithin)
		defer cancel()
		if client.Flush(ctx) == nil {
			_ = client.CommitUncommittedOffsets(ctx) // nobody reads them: it is what it costs
		}
	}()
	acknowledged := func(_ *kgo.Record, err error) {
		if err != nil {
			fail(err)
		}
	}
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		if err := fetchFault(ctx, fetches); err != nil {
			return err
		}
		out := make([]kgo.Record, fetches.NumRecords()) // one allocation for all
		i := 0
		fetches.EachRecord(func(rec *kgo.Record) {
			out[i] = kgo.Record{Topic: cfg.To, Key: rec.Key, Value: rec.Value, Headers: rec.Headers}
			client.Produce(ctx, &out[i], acknowledged)
			i++
		})
	}
	return context.Cause(ctx)
}
