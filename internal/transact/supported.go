package transact

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Supported returns an error unless the cluster's transactions are those of Kafka 4.0
// (KIP-890): the ones before it let a late request of one transaction fall into the
// next. It asks until somebody answers.
func Supported(ctx context.Context, client *kgo.Client, log zerolog.Logger) error {
	const feature, least = "transaction.version", 2
	for backoff := backoffMin; ; backoff = min(2*backoff, backoffMax) {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "delayd", "1"
		resp, err := req.RequestWith(ctx, client)
		if err == nil {
			level := int16(0)
			for _, f := range resp.FinalizedFeatures {
				if f.Name == feature {
					level = f.MaxVersionLevel
				}
			}
			if level < least {
				return fmt.Errorf("exactly-once delivery needs Kafka 4.0 or later with %s %d, and the cluster has %d: "+
					"raise it with kafka-features.sh upgrade --feature %[1]s=%[2]d, or run with --delivery at-least-once", feature, least, level)
			}
			return nil
		}
		log.Warn().Err(err).Msg("asking for the cluster's features: retried")
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
