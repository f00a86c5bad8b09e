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

// readerMetadataAge is how soon a reader knows of a new partition.
const readerMetadataAge = time.Second

// read tells the history of all that comes to topics, from their beginning and as
// a consumer sees it that honours transactions. It returns when ctx ends.
func read(ctx context.Context, h *history, brokers, topics []string, log zerolog.Logger) error {
	cl, err := kgo.NewClient(append(connect.Options(brokers, "torture-reader", log),
		kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(250*time.Millisecond),
		kgo.MetadataMaxAge(readerMetadataAge),
	)...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			if errors.Is(err, kerr.UnknownTopicID) {
				// It was deleted and made again: what is read from now on is another.
				cl.PurgeTopicsFromConsuming(topic)
				cl.AddConsumeTopics(topic)
			}
			log.Warn().Err(err).Str("topic", topic).Int32("partition", partition).Msg("read")
		})
		fetches.EachRecord(h.observe)
	}
}
