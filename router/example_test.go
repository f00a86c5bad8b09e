package router_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/router"
)

// The three things that can become of a record of the inbox.
func ExamplePolicy_Decide() {
	policy := router.Policy{DefaultTarget: "orders"}.WithDefaults()
	accepted := time.UnixMilli(1_700_000_000_000)
	for _, request := range []string{"45s", "0", "soon"} {
		rec := &kgo.Record{Topic: "delay.inbox", Headers: []kgo.RecordHeader{{Key: "delay-level", Value: []byte(request)}}}
		d := policy.Decide(rec, accepted)
		switch d.Kind {
		case router.ToLevel:
			fmt.Println(request, "waits on", d.Record.Topic)
		case router.AtOnce:
			fmt.Println(request, "is delivered to", d.Facts.Topic)
		case router.Dead:
			fmt.Println(request, "is dead:", d.Refusal.Code)
		}
	}
	// Output:
	// 45s waits on delay.level.1m
	// 0 is delivered to orders
	// soon is dead: bad-level
}

// A record is sent to its target with a delay. It is written to the topic of the
// nearest level, and a forwarder delivers it when it is due.
func ExampleProducer() {
	// A broker in memory; provisioning makes the topics of the levels.
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "delay.level.10s", "delay.level.1h"))
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()

	// Brokers that are away end this, and so would SIGTERM by signal.NotifyContext.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	producer, err := router.NewProducer(router.ProducerConfig{}, kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		log.Fatal(err)
	}

	// Send waits until the brokers have the record, and returns what it got.
	rec := &kgo.Record{Topic: "orders", Key: []byte("order 17"), Value: []byte("not paid yet?")}
	receipt, err := producer.Send(ctx, rec, 50*time.Minute)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("waits", receipt.Level, "as number", receipt.Offset, "on", receipt.Topic)

	// SendAsync does not wait.
	producer.SendAsync(ctx, rec, 9*time.Second, func(receipt router.Receipt, err error) {
		fmt.Println("waits", receipt.Level, "error", err)
	})
	if err := producer.Close(ctx); err != nil {
		log.Fatal(err)
	}

	// What the policy does not allow is an error, before anything is sent.
	var refusal *router.Refusal
	_, err = producer.Send(ctx, rec, 72*time.Hour)
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Code)
	}
	// Output:
	// waits 1h as number 0 on delay.level.1h
	// waits 10s error <nil>
	// over-max
}

// Consume, process and delay exactly once: the reminder of an order is written in the
// transaction that commits the order's offset. Policy.Prepare decides what to write, and
// the program's own client writes it.
func ExamplePolicy_Prepare() {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "orders", "delay.level.1h"))
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := placeOrder(ctx, cluster.ListenAddrs()); err != nil {
		log.Fatal(err)
	}

	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(cluster.ListenAddrs()...),
		kgo.TransactionalID("reminder-1"), // the same after a restart, another in every replica
		kgo.ConsumerGroup("reminder"),
		kgo.ConsumeTopics("orders"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()

	var policy router.Policy         // that of the service
	for handled := 0; handled < 1; { // for ctx.Err() == nil
		fetches := session.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			log.Fatal(err)
		}
		if err := session.Begin(); err != nil {
			log.Fatal(err)
		}
		failed := kgo.AbortingFirstErrPromise(session.Client())
		fetches.EachRecord(func(order *kgo.Record) {
			reminder := &kgo.Record{Topic: "reminders", Key: order.Key, Value: order.Value}
			out, err := policy.Prepare(reminder, time.Hour, time.Now())
			if err != nil {
				log.Fatal(err) // a Refusal: the policy does not allow it
			}
			session.Produce(ctx, out, failed.Promise())
		})
		committed, err := session.End(ctx, failed.Err() == nil)
		if err != nil {
			log.Fatal(err)
		}
		if committed { // otherwise the same records are polled again
			handled += fetches.NumRecords()
			fmt.Println("reminders that wait:", fetches.NumRecords())
		}
	}
	// Output: reminders that wait: 1
}

// placeOrder writes an order.
func placeOrder(ctx context.Context, brokers []string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return err
	}
	defer client.Close()
	return client.ProduceSync(ctx, &kgo.Record{Topic: "orders", Key: []byte("order 17")}).FirstErr()
}
