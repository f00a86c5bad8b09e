package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// naiveSleep is how long the naive service sleeps when the head is not due.
const naiveSleep = time.Second

// runNaive is the service that people write first, and there is nothing foolish
// in it. It reads a level's topic as a member of a group; when a record is not
// due it sleeps a second and looks again; a record that is due is written, and it
// goes on to the next one when the broker has it. What was polled is committed
// when all of it is written, so that a crash loses nothing.
//
// Such a service is right, short and easy to operate. It is late by what it
// oversleeps, half a second in the middle, and it writes as many records a
// second as there are round trips in one.
func runNaive(ctx context.Context, cfg YardstickConfig) error {
	g, ctx := errgroup.WithContext(ctx)
	for i, topic := range cfg.From {
		one := cfg
		one.From, one.Group = []string{topic}, fmt.Sprintf("%s-%d", cfg.Group, i)
		one.Ready = func() {}
		if i == 0 {
			one.Ready = cfg.Ready
		}
		g.Go(func() error { return naiveLevel(ctx, one, cfg.Delays[i]) })
	}
	return g.Wait()
}

// naiveLevel serves one level.
func naiveLevel(ctx context.Context, cfg YardstickConfig, delay time.Duration) error {
	client, err := newClient(cfg.Opts, groupOf(cfg)...)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, rec := range fetches.Records() {
			for time.Now().Before(rec.Timestamp.Add(delay + laneMargin)) {
				select {
				case <-time.After(naiveSleep):
				case <-ctx.Done():
					return nil
				}
			}
			out := &kgo.Record{Topic: cfg.To, Key: rec.Key, Value: rec.Value, Headers: withAccepted(rec)}
			if err := client.ProduceSync(ctx, out).FirstErr(); err != nil {
				return err
			}
		}
		if err := client.CommitUncommittedOffsets(ctx); err != nil {
			return err
		}
	}
}
