package bench

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// runCopy is the bare copy loop: what any service that reads one topic and
// writes another costs at least. It delays nothing, bounds nothing and commits
// nothing; all settings are franz-go's own.
func runCopy(ctx context.Context, cfg YardstickConfig) error {
	client, err := newClient(cfg.Opts, groupOf(cfg)...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
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
