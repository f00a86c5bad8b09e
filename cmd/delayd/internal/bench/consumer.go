package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

const (
	// consumerWait is how long a broker may hold a fetch with nothing to give.
	// It answers at once when something comes, so that this costs no lateness.
	consumerWait = 5 * time.Second
	// consumerTick is how long a poll waits before it looks at whether the run
	// is over.
	consumerTick = 100 * time.Millisecond
	// settle is how long a finished run is watched for duplicates.
	settle = time.Second
)

// consumer reads the targets and tallies what arrives: the bench's own consumer,
// the same for every contender.
type consumer struct {
	client     *kgo.Client
	partitions int32
	tallies    map[string]*tally // by topic
	progress   Progress
	seen       time.Time // when a record arrived last, or when the consumer began
}

// reading are the options of the bench's consumer.
func (b *bench) reading() []kgo.Opt {
	if b.Delivery != levels.ExactlyOnce {
		return b.Opts
	}
	return append(b.Opts[:len(b.Opts):len(b.Opts)], kgo.FetchIsolationLevel(kgo.ReadCommitted()))
}

// newConsumer returns a consumer that knows what to do with the topics.
func newConsumer(opts []kgo.Opt, partitions int32, tallies map[string]*tally, progress Progress) (*consumer, error) {
	client, err := newClient(opts, kgo.FetchMaxWait(consumerWait), kgo.FetchMinBytes(1))
	if err != nil {
		return nil, err
	}
	return &consumer{client: client, partitions: partitions, tallies: tallies, progress: progress, seen: time.Now()}, nil
}

// read reads topics, every partition from its start.
func (c *consumer) read(topics ...string) {
	starts := make(map[string]map[int32]kgo.Offset)
	for _, topic := range topics {
		starts[topic] = make(map[int32]kgo.Offset)
		for p := range c.partitions {
			starts[topic][p] = kgo.NewOffset().AtStart()
		}
	}
	c.client.AddConsumePartitions(starts)
}

// until reads until over says so, which is asked between polls.
func (c *consumer) until(ctx context.Context, over func() (bool, error)) error {
	for {
		if done, err := over(); done || err != nil {
			return err
		}
		if err := c.poll(ctx); err != nil {
			return err
		}
	}
}

// settle reads on for a moment: what comes behind the last record is a duplicate.
// It fails where something came that was never sent.
func (c *consumer) settle(ctx context.Context) error {
	end := time.Now().Add(settle)
	if err := c.until(ctx, func() (bool, error) { return time.Now().After(end), nil }); err != nil {
		return err
	}
	for topic, t := range c.tallies {
		if t.strange > 0 {
			return fmt.Errorf("%d records came to %s that the bench had not sent; run it where nobody else writes there", t.strange, topic)
		}
	}
	return nil
}

func (c *consumer) poll(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, consumerTick)
	defer cancel()
	fetches := c.client.PollFetches(wait)
	now := time.Now()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) {
			return fmt.Errorf("read %s: %w", e.Topic, e.Err)
		}
	}
	n := int64(0)
	fetches.EachTopic(func(topic kgo.FetchTopic) {
		t := c.tallies[topic.Topic]
		if t == nil { // what franz-go tells an error with
			return
		}
		before := t.delivered.Load()
		topic.EachRecord(func(rec *kgo.Record) { t.observe(rec, now) })
		n += t.delivered.Load() - before
	})
	if n > 0 {
		c.seen = now
		c.progress.Add(n)
	}
	return nil
}

// silent reports whether nothing has arrived for that long.
func (c *consumer) silent(patience time.Duration) bool { return time.Since(c.seen) > patience }
