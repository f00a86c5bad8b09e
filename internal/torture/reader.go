package main

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
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
	next := make(map[string]int64)          // by partition: behind what has been read
	failed := make(map[topicPartition]bool) // they are not read on until somebody says from where
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			next[partitionOf(rec)] = rec.Offset + 1
			h.observe(rec)
		})
		fetches.EachError(func(topic string, partition int32, err error) {
			if errors.Is(err, kerr.UnknownTopicID) {
				// It was deleted and made again: what is read from now on is another.
				cl.PurgeTopicsFromConsuming(topic)
				cl.AddConsumeTopics(topic)
			} else {
				failed[topicPartition{topic, partition}] = true
			}
			log.Warn().Err(err).Str("topic", topic).Int32("partition", partition).Msg("read")
		})
		for at := range failed {
			name := partitionName(at.topic, at.partition)
			if behind, ok := h.behind(at.topic, at.partition, next[name]); ok {
				next[name] = behind
				cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{at.topic: {at.partition: {Epoch: -1, Offset: behind}}})
				delete(failed, at)
			}
		}
	}
}

type topicPartition struct {
	topic     string
	partition int32
}
