// Sends two delayed records with franz-go, and reads them when they are due.
//
//	go run . kafka:9092 orders
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
		kgo.ConsumerGroup(target+"-readers"), kgo.ConsumeTopics(target),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()

	// Through the inbox: any delay, which is rounded to a level.
	inbox := &kgo.Record{
		Topic: "delay.inbox", Key: []byte("order-1"), Value: []byte("through the inbox"),
		Headers: []kgo.RecordHeader{
			{Key: "delay-level", Value: []byte("10s")},
			{Key: "delay-target", Value: []byte(target)},
		},
	}
	// Straight to a level: one hop less, and the level is the delay.
	level := &kgo.Record{
		Topic: "delay.level.10s", Key: []byte("order-2"), Value: []byte("straight to a level"),
		Headers: []kgo.RecordHeader{{Key: "delay-target", Value: []byte(target)}},
	}
	if err := client.ProduceSync(ctx, inbox, level).FirstErr(); err != nil {
		log.Fatal(err)
	}

	for read := 0; read < 2; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			log.Fatal(err)
		}
		for r := range fetches.RecordsAll() {
			headers := map[string]string{}
			for _, h := range r.Headers {
				headers[h.Key] = string(h.Value)
			}
			fmt.Printf("%s\t%s\tdelay-due=%s\tdelay-accepted=%s\tdelay-granted=%s\n",
				r.Key, r.Value, headers["delay-due"], headers["delay-accepted"], headers["delay-granted"])
			read++
		}
	}
}
