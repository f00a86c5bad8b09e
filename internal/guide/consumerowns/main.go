// Looks half an hour after each order whether it was paid. It owns the delay: its
// handler gets the records of its levels when they are due, and there is no target.
//
//	go run . kafka:9092
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
)

// A prefix of its own: only this program reads these levels.
var names = levels.Names{Prefix: "billing"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := zerolog.New(zerolog.NewConsoleWriter()).Level(zerolog.InfoLevel).With().Timestamp().Logger()
	check := func(_ context.Context, rec *kgo.Record) error {
		log.Info().Bytes("order", rec.Key).Msg("is it paid?")
		return nil
	}
	if err := run(ctx, log, check, kgo.SeedBrokers(os.Args[1:]...)); err != nil {
		log.Fatal().Err(err).Send()
	}
}

func run(ctx context.Context, log zerolog.Logger, check forwarder.Handler, opts ...kgo.Opt) error {
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if _, err := admin.Ensure(ctx, cl, admin.Spec{Ladder: levels.Default(), Names: names}); err != nil {
		return err
	}
	cfg := forwarder.DefaultConfig()
	cfg.Names = names
	cfg.Instance = "billing-1" // the same after a restart, another in every replica
	cfg.Log = log
	cfg.Handler = check // nil commits the record; an error tries it again
	f, err := forwarder.New(cfg, opts...)
	if err != nil {
		return err
	}
	return f.Run(ctx) // until SIGTERM
}
