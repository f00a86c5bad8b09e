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

	ctx := context.Background()
	producer, err := router.NewProducer(router.ProducerConfig{}, kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		log.Fatal(err)
	}

	// Send waits until the brokers have the record.
	rec := &kgo.Record{Topic: "orders", Key: []byte("order 17"), Value: []byte("not paid yet?")}
	if err := producer.Send(ctx, rec, 50*time.Minute); err != nil {
		log.Fatal(err)
	}

	// SendAsync does not, and tells where the record waits.
	producer.SendAsync(ctx, rec, 9*time.Second, func(written *kgo.Record, err error) {
		fmt.Println("waits on", written.Topic, "error", err)
	})
	if err := producer.Close(ctx); err != nil {
		log.Fatal(err)
	}

	// What the policy does not allow is an error, before anything is sent.
	var refusal *router.Refusal
	err = producer.Send(ctx, &kgo.Record{Topic: "delay.inbox"}, time.Minute)
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Code)
	}
	// Output:
	// waits on delay.level.10s error <nil>
	// forbidden-target
}
