package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// laneMargin is what a lane waits longer than the delay: Kafka cuts off the
// fraction of a millisecond of its timestamps, and nothing may be early.
const laneMargin = time.Millisecond

// runLane is the bare loop: what holding a partition's records back until they
// are due costs at least. Each partition has a queue, and a goroutine that
// sleeps until the head is due and writes all that is. It has no router, no
// bounds, no commits, and of headers only the one that lateness is read from.
func runLane(ctx context.Context, cfg YardstickConfig) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	starts, err := allPartitions(ctx, cfg)
	if err != nil {
		return err
	}
	client, err := newClient(cfg.Opts, kgo.ConsumePartitions(starts), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer client.Close()

	var running sync.WaitGroup
	defer running.Wait()
	type place struct {
		topic     string
		partition int32
	}
	lanes := make(map[place]*bareLane)
	for i, topic := range cfg.From {
		for p := range starts[topic] {
			l := &bareLane{client: client, to: cfg.To, delay: cfg.Delays[i] + laneMargin, wake: make(chan struct{}, 1), fail: fail}
			lanes[place{topic, p}] = l
			running.Go(func() { l.run(ctx) })
		}
	}
	cfg.Ready()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		if err := fetchFault(ctx, fetches); err != nil {
			fail(err)
			return err
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) { lanes[place{p.Topic, p.Partition}].push(p.Records) })
	}
	return context.Cause(ctx)
}

// allPartitions are the starts of all partitions of the topics that are read.
func allPartitions(ctx context.Context, cfg YardstickConfig) (map[string]map[int32]kgo.Offset, error) {
	client, err := newClient(cfg.Opts)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	topics, err := kadm.NewClient(client).ListTopics(ctx, cfg.From...)
	if err == nil {
		err = topics.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("look up %v: %w", cfg.From, err)
	}
	starts := make(map[string]map[int32]kgo.Offset)
	for _, topic := range cfg.From {
		starts[topic] = make(map[int32]kgo.Offset)
		for p := range topics[topic].Partitions {
			starts[topic][p] = kgo.NewOffset().AtStart()
		}
	}
	return starts, nil
}

// bareLane is one partition.
type bareLane struct {
	client *kgo.Client
	to     string
	delay  time.Duration
	wake   chan struct{} // has room for one: something came
	fail   context.CancelCauseFunc

	mu    sync.Mutex
	queue []*kgo.Record // guarded by mu
}

func (l *bareLane) push(recs []*kgo.Record) {
	if len(recs) == 0 {
		return
	}
	l.mu.Lock()
	l.queue = append(l.queue, recs...)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *bareLane) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		due, sleep := l.due(time.Now())
		for _, rec := range due {
			l.send(ctx, rec)
		}
		timer.Reset(sleep)
		select {
		case <-timer.C:
		case <-l.wake:
		case <-ctx.Done():
		}
	}
}

// due takes what is due off the queue, and says how long to sleep after that.
func (l *bareLane) due(now time.Time) ([]*kgo.Record, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, rec := range l.queue {
		if wait := rec.Timestamp.Add(l.delay).Sub(now); wait > 0 {
			due := l.queue[:i]
			l.queue = l.queue[i:]
			return due, wait
		}
	}
	due := l.queue
	l.queue = nil
	return due, time.Hour // until something comes
}

func (l *bareLane) send(ctx context.Context, rec *kgo.Record) {
	l.client.Produce(ctx, &kgo.Record{Topic: l.to, Key: rec.Key, Value: rec.Value, Headers: withAccepted(rec)},
		func(_ *kgo.Record, err error) {
			if err != nil {
				l.fail(err)
			}
		})
}
