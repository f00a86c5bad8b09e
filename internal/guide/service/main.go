// Sends reminders through a delayd that somebody runs on the cluster.
//
//	go run . kafka:9092
package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/router"
)

func main() {
	log := zerolog.New(zerolog.NewConsoleWriter()).Level(zerolog.InfoLevel).With().Timestamp().Logger()
	if err := run(context.Background(), log, kgo.SeedBrokers(os.Args[1:]...)); err != nil {
		log.Fatal().Err(err).Send()
	}
}

func run(ctx context.Context, log zerolog.Logger, opts ...kgo.Opt) error {
	// The policy is that of the service: set Ladder and Names.Prefix where it was
	// started with --levels and --prefix.
	p, err := router.NewProducer(router.ProducerConfig{Log: log}, opts...)
	if err != nil {
		return err
	}
	sending, cancel := context.WithTimeout(ctx, 10*time.Second) // it waits for brokers as long as it may
	defer cancel()
	rec := &kgo.Record{Topic: "reminders", Key: []byte("order-1"), Value: []byte("still in your basket")}
	_, err = p.Send(sending, rec, time.Hour)
	if refusal := new(router.Refusal); errors.As(err, &refusal) {
		log.Error().Str("code", string(refusal.Code)).Msg("the policy refuses it: sending it again does not help")
	}
	return errors.Join(err, p.Close(sending))
}
