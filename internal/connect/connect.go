// Package connect holds the settings that every client of ours shares: how it
// finds the brokers, how fast it tries again, and where its log lines go.
//
// franz-go's defaults suit throughput. A delay service wants the next attempt
// soon, so the waiting times here are shorter; each constant says what it costs.
package connect

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// MetadataMinAge is the least time between two metadata requests of one
	// client. A produce that meets a moved leader waits for the next one: with
	// franz-go's 5 s a single such answer makes records 5 s late, with 100 ms
	// it is 0.1 s. Too low and a sick cluster is asked all the time.
	MetadataMinAge = 100 * time.Millisecond

	// MetadataMaxAge is how old metadata gets before it is asked for again
	// without a reason, and so how long added partitions go unnoticed. Every
	// client costs the cluster one small request in this time.
	MetadataMaxAge = 30 * time.Second

	// ConnIdleTimeout is how long a connection may be idle before the client
	// closes it. Brokers close theirs after ten minutes unless configured; just
	// below that, a delivery after a quiet spell pays for no new connection.
	ConnIdleTimeout = 9 * time.Minute

	// RetryBackoffMin and RetryBackoffMax bound the wait before a request is
	// sent again. It doubles from the one to the other.
	RetryBackoffMin = 20 * time.Millisecond
	RetryBackoffMax = 2 * time.Second
)

// EmbeddedClusterID is the cluster id that the embedded broker gives itself.
// It is the one thing by which a client can tell it from Apache Kafka.
const EmbeddedClusterID = "delayd-embedded"

// Options are the options of every client: the brokers to ask first, the name
// that the client shows to them, its log, and the waiting times above. Options
// that follow these in a list override them.
func Options(brokers []string, clientID string, log zerolog.Logger) []kgo.Opt {
	return append(Timing(),
		kgo.SeedBrokers(brokers...),
		kgo.ClientID(clientID),
		kgo.WithLogger(NewLogger(log.With().Str("client", clientID).Logger())),
	)
}

// Timing is the waiting times alone, for clients whose other options come from a
// program that embeds delayd.
func Timing() []kgo.Opt {
	return []kgo.Opt{
		kgo.MetadataMinAge(MetadataMinAge),
		kgo.MetadataMaxAge(MetadataMaxAge),
		kgo.ConnIdleTimeout(ConnIdleTimeout),
		kgo.RetryBackoffFn(retryBackoff),
	}
}

// Serving are Timing and what suits clients that go on for as long as the service
// does. A broker that starts, stops or is cut off can close a connection before it
// has said anything; franz-go takes that for wrong settings, and never again fetches
// a partition that meets it, unless it is configured to retry.
func Serving() []kgo.Opt { return append(Timing(), kgo.AlwaysRetryEOF()) }

// retryBackoff is the wait before attempt number tries+1. It is spread over the
// upper half of the doubling wait, so that clients that lost the same broker do
// not come back all at once.
func retryBackoff(tries int) time.Duration {
	wait := RetryBackoffMin
	for range tries - 1 {
		if wait *= 2; wait >= RetryBackoffMax {
			wait = RetryBackoffMax
			break
		}
	}
	return wait/2 + rand.N(wait/2)
}

// IsEmbedded reports whether the brokers of cl are the embedded broker, whose
// log must never be purged: its offsets would start again at zero after a kill.
// It asks once; an error means that no broker answered, and says nothing either
// way.
func IsEmbedded(ctx context.Context, cl *kgo.Client) (bool, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // none; nil would ask for all
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return false, fmt.Errorf("ask the brokers for their cluster id: %w", err)
	}
	return resp.ClusterID != nil && *resp.ClusterID == EmbeddedClusterID, nil
}
