package main

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/scan"
)

const (
	// readerMetadataAge is how soon a reader knows of a new partition.
	readerMetadataAge = time.Second
	// readerUnpacks is the largest batch that a reader unpacks, in bytes.
	readerUnpacks = 64 << 20
)

// read tells the history of all that comes to topics, from their beginning and as
// a consumer sees it that honours transactions. It returns when ctx ends.
func read(ctx context.Context, h *history, brokers, topics []string, log zerolog.Logger) error {
	cl, err := kgo.NewClient(append(connect.Options(brokers, "torture-reader", log),
		kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(250*time.Millisecond),
		kgo.MetadataMaxAge(readerMetadataAge),
		kgo.MaxDecompressBatchBytes(readerUnpacks),
	)...)
	if err != nil {
		return err
	}
	defer cl.Close()
	p := newPasser(h)
	for {
		fetches := p.poll(ctx, cl)
		if ctx.Err() != nil {
			return nil
		}
		fetches.EachRecord(h.observe)
		fetches.EachError(func(topic string, partition int32, err error) {
			if errors.Is(err, kerr.UnknownTopicID) {
				// It was deleted and made again: what is read from now on is another.
				cl.PurgeTopicsFromConsuming(topic)
				cl.AddConsumeTopics(topic)
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				log.Warn().Err(err).Str("topic", topic).Int32("partition", partition).Msg("read")
			}
		})
	}
}

// readAll visits all that is on a topic now and is committed.
func (w *world) readAll(ctx context.Context, topic string, visit func(*kgo.Record)) error {
	spans, err := scan.Readable(ctx, w.client, topic)
	for _, s := range spans {
		err = errors.Join(err, s.Read(ctx, w.client, func(rec *kgo.Record) error { visit(rec); return nil }))
	}
	return err
}

// passer reads on behind batches that clients cannot read. It goes by what does not
// move: a client whose offset is set on one partition may drop the error of another.
type passer struct {
	history *history
	begun   time.Time
	patient bool                 // as long as any partition moves, none is stuck
	latest  time.Time            // when anything has been read
	next    map[string]int64     // by partition: behind what has been read
	moved   map[string]time.Time // by partition: when that was
}

const (
	// pollFor is how long a passer waits for records at a time.
	pollFor = 500 * time.Millisecond
	// stuckFor is how long a partition does not move that has come to such a batch.
	stuckFor = 3 * time.Second
)

func newPasser(h *history) *passer {
	return &passer{history: h, begun: time.Now(), next: make(map[string]int64), moved: make(map[string]time.Time)}
}

// poll returns what there is to read, and sees to it that there is more.
func (p *passer) poll(ctx context.Context, cl *kgo.Client) kgo.Fetches {
	polling, cancel := context.WithTimeout(ctx, pollFor)
	defer cancel()
	fetches := cl.PollFetches(polling)
	fetches.EachRecord(func(rec *kgo.Record) {
		at := partitionOf(rec)
		p.latest = time.Now()
		p.next[at], p.moved[at] = rec.Offset+1, p.latest
	})
	behind := make(map[string]map[int32]kgo.EpochOffset)
	for _, at := range p.history.spots() {
		name := partitionName(at.topic, at.partition)
		moved, ok := p.moved[name]
		if !ok {
			moved = p.begun
		}
		if p.patient && p.latest.After(moved) {
			moved = p.latest
		}
		if p.next[name] >= at.next || time.Since(moved) < stuckFor {
			continue
		}
		p.next[name], p.moved[name] = at.next, time.Now()
		if behind[at.topic] == nil {
			behind[at.topic] = make(map[int32]kgo.EpochOffset)
		}
		behind[at.topic][at.partition] = kgo.EpochOffset{Epoch: -1, Offset: at.next}
	}
	if len(behind) > 0 {
		cl.SetOffsets(behind)
	}
	return fetches
}
