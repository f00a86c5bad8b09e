// Sends two delayed records with segmentio/kafka-go, and reads them when they are
// due.
//
//	go run . kafka:9092 orders
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/segmentio/kafka-go"
)

func main() {
	brokers, target := strings.Split(os.Args[1], ","), os.Args[2]
	ctx := context.Background()

	writer := &kafka.Writer{
		Addr:         kafka.TCP(brokers...),
		Balancer:     kafka.Murmur2Balancer{}, // its default is round robin, with a key too
		RequiredAcks: kafka.RequireAll,        // its default waits for none
	}
	err := writer.WriteMessages(ctx,
		// Through the inbox: any delay, which is rounded to a level.
		kafka.Message{
			Topic: "delay.inbox", Key: []byte("order-1"), Value: []byte("through the inbox"),
			Headers: []kafka.Header{
				{Key: "delay-level", Value: []byte("10s")},
				{Key: "delay-target", Value: []byte(target)},
			},
		},
		// Straight to a level: one hop less, and the level is the delay.
		kafka.Message{
			Topic: "delay.level.10s", Key: []byte("order-2"), Value: []byte("straight to a level"),
			Headers: []kafka.Header{{Key: "delay-target", Value: []byte(target)}},
		})
	if err := errors.Join(err, writer.Close()); err != nil {
		log.Fatal(err)
	}

	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: brokers, Topic: target, GroupID: target + "-readers", StartOffset: kafka.FirstOffset,
	})
	for range 2 {
		m, err := reader.ReadMessage(ctx)
		if err != nil {
			log.Fatal(err)
		}
		headers := map[string]string{}
		for _, h := range m.Headers {
			headers[h.Key] = string(h.Value)
		}
		fmt.Printf("%s\t%s\tdelay-due=%s\tdelay-accepted=%s\tdelay-granted=%s\n",
			m.Key, m.Value, headers["delay-due"], headers["delay-accepted"], headers["delay-granted"])
	}
	if err := reader.Close(); err != nil {
		log.Fatal(err)
	}
}
