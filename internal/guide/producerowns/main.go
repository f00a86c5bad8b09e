// Reminds customers of their baskets. It owns the delay: it writes to the levels and
// delivers from them, and nothing else is deployed.
//
//	go run . kafka:9092
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := zerolog.New(zerolog.NewConsoleWriter()).Level(zerolog.InfoLevel).With().Timestamp().Logger()
	if err := run(ctx, log, kgo.SeedBrokers(os.Args[1:]...)); err != nil {
		log.Fatal().Err(err).Send()
	}
}

func run(ctx context.Context, log zerolog.Logger, opts ...kgo.Opt) error {
	if err := provision(ctx, opts...); err != nil {
		return err
	}
	cfg := forwarder.DefaultConfig()
	cfg.Instance = "shop-1" // the same after a restart, another in every replica
	cfg.Log = log
	f, err := forwarder.New(cfg, opts...)
	if err != nil {
		return err
	}
	p, err := router.NewProducer(router.ProducerConfig{Log: log}, opts...)
	if err != nil {
		return err
	}
	forwarded := make(chan error, 1)
	go func() { forwarded <- f.Run(ctx) }()

	rec := &kgo.Record{Topic: "reminders", Key: []byte("order-1"), Value: []byte("still in your basket")}
	if _, err := p.Send(ctx, rec, 10*time.Second); err != nil {
		log.Error().Err(err).Msg("cannot send the reminder")
	}

	err = <-forwarded // until SIGTERM
	closing, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(err, p.Close(closing))
}

// provision creates the topics of the levels that are missing.
func provision(ctx context.Context, opts ...kgo.Opt) error {
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	_, err = admin.Ensure(ctx, cl, admin.Spec{Ladder: levels.Default(), Names: levels.Names{Prefix: levels.DefaultPrefix}})
	return err
}
