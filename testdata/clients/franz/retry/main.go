// Fails a record twice and sends it back with franz-go.
//
//	go run ./retry kafka:9092 orders
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	brokers, target := strings.Split(os.Args[1], ","), os.Args[2]
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumerGroup(target+"-readers"), kgo.ConsumeTopics(target), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()

	for failing := true; failing; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			log.Fatal(err)
		}
		for r := range fetches.RecordsAll() {
			fmt.Printf("%s\t%s", r.Key, r.Value)
			for _, h := range r.Headers {
				fmt.Printf("\t%s=%s", h.Key, h.Value)
				failing = failing && !(h.Key == "delay-attempt" && string(h.Value) == "2")
			}
			fmt.Println()
			if !failing {
				break
			}
			// begin retry
			back := &kgo.Record{Topic: "delay.inbox", Key: r.Key, Value: r.Value, Headers: append(r.Headers,
				kgo.RecordHeader{Key: "delay-level", Value: []byte("retry")},
				kgo.RecordHeader{Key: "delay-target", Value: []byte(r.Topic)},
				kgo.RecordHeader{Key: "delay-retry-cause", Value: []byte("the shop is closed")})}
			if err := client.ProduceSync(ctx, back).FirstErr(); err != nil {
				log.Fatal(err)
			}
			// end retry
		}
		if err := client.CommitUncommittedOffsets(ctx); err != nil {
			log.Fatal(err)
		}
	}
}
