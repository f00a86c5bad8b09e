package router_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/router"
)

// A consumer of the topic orders sends back what it could not handle, and then commits all.
// Without the error of Retry it would commit what is neither handled nor sent back.
func ExampleProducer_Retry() {
	consume := func(ctx context.Context, client *kgo.Client, producer *router.Producer, ship func(*kgo.Record) error) error {
		fetches := client.PollFetches(ctx)
		for rec := range fetches.RecordsAll() {
			if err := ship(rec); err != nil {
				if _, err := producer.Retry(ctx, rec, err); err != nil {
					return err
				}
			}
		}
		return client.CommitUncommittedOffsets(ctx)
	}
	_ = consume
}

// What is written for a record that failed for the second time, and for one that failed as
// often as its policy says.
func ExamplePolicy_PrepareRetry() {
	now := time.UnixMilli(1_700_000_000_000)
	for _, attempt := range []string{"1", "16"} {
		rec := &kgo.Record{Topic: "orders", Headers: []kgo.RecordHeader{
			{Key: "delay-id", Value: []byte("order-17")}, {Key: "delay-attempt", Value: []byte(attempt)},
		}}
		made, err := router.Policy{}.PrepareRetry(rec, errors.New("the shop is closed"), now)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(made.Topic)
	}
	// Output:
	// delay.level.30s
	// delay.dead
}
