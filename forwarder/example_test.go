package forwarder_test

import (
	"context"
	"log"
	"os/signal"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// The producer owns the delay: it writes to the level topics and forwards them
// itself, and no service is deployed.
func Example_producerOwns() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	brokers := kgo.SeedBrokers("kafka:9092")

	if err := provision(ctx, levels.DefaultPrefix, brokers); err != nil {
		log.Fatal(err)
	}
	cfg := forwarder.DefaultConfig()
	cfg.Instance = "shop-1" // the same after a restart, another in every replica
	f, err := forwarder.New(cfg, brokers)
	if err != nil {
		log.Fatal(err)
	}
	forwarded := make(chan error, 1)
	go func() { forwarded <- f.Run(ctx) }()

	p, err := router.NewProducer(router.ProducerConfig{}, brokers)
	if err != nil {
		log.Fatal(err)
	}
	rec := &kgo.Record{Topic: "reminders", Key: []byte("order-1"), Value: []byte("still in your basket")}
	if _, err := p.Send(ctx, rec, time.Hour); err != nil {
		log.Print(err)
	}

	err = <-forwarded                                                            // runs until SIGTERM
	closing, cancel := context.WithTimeout(context.Background(), 10*time.Second) // also where brokers are away
	defer cancel()
	p.Close(closing)
	if err != nil {
		log.Fatal(err)
	}
}

// The consumer owns the delay: its handler gets every record that was written to
// a level topic of its prefix when it is due, and there is no target topic.
func Example_consumerOwns() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	brokers := kgo.SeedBrokers("kafka:9092")

	if err := provision(ctx, "billing", brokers); err != nil {
		log.Fatal(err)
	}
	cfg := forwarder.DefaultConfig()
	cfg.Names = levels.Names{Prefix: "billing"} // producers write to billing.level.30m
	cfg.Instance = "billing-1"
	cfg.Handler = func(ctx context.Context, rec *kgo.Record) error {
		log.Printf("%s: not paid in time", rec.Key)
		return nil // committed; an error is tried again, and a dead letter after cfg.Attempts
	}
	f, err := forwarder.New(cfg, brokers)
	if err != nil {
		log.Fatal(err)
	}
	if err := f.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// provision makes sure that the topics are there and right.
func provision(ctx context.Context, prefix string, opts ...kgo.Opt) error {
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	_, err = admin.Ensure(ctx, cl, admin.Spec{Ladder: levels.Default(), Names: levels.Names{Prefix: prefix}})
	return err
}
