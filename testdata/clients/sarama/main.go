// Sends two delayed records with sarama, and reads them when they are due.
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
	"sync"

	"github.com/IBM/sarama"

	"github.com/delayd-io/delayd/testdata/clients/sarama/murmur2"
)

func main() {
	brokers, target := strings.Split(os.Args[1], ","), os.Args[2]
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0                  // headers need 0.11 or later
	config.Producer.Return.Successes = true           // a SyncProducer needs it
	config.Producer.RequiredAcks = sarama.WaitForAll  // its default is the leader alone
	config.Producer.Partitioner = murmur2.Partitioner // as Java's clients: the folder murmur2
	config.Consumer.Offsets.Initial = sarama.OffsetOldest

	producer, err := sarama.NewSyncProducer(brokers, config)
	if err != nil {
		log.Fatal(err)
	}
	err = producer.SendMessages([]*sarama.ProducerMessage{
		// Through the inbox: any delay, which is rounded to a level.
		{
			Topic: "delay.inbox", Key: sarama.StringEncoder("order-1"), Value: sarama.StringEncoder("through the inbox"),
			Headers: []sarama.RecordHeader{
				{Key: []byte("delay-level"), Value: []byte("10s")},
				{Key: []byte("delay-target"), Value: []byte(target)},
			},
		},
		// Straight to a level: one hop less, and the level is the delay.
		{
			Topic: "delay.level.10s", Key: sarama.StringEncoder("order-2"), Value: sarama.StringEncoder("straight to a level"),
			Headers: []sarama.RecordHeader{{Key: []byte("delay-target"), Value: []byte(target)}},
		},
	})
	if err := errors.Join(err, producer.Close()); err != nil {
		log.Fatal(err)
	}

	group, err := sarama.NewConsumerGroup(brokers, target+"-readers", config)
	if err != nil {
		log.Fatal(err)
	}
	defer group.Close()
	ctx, cancel := context.WithCancel(context.Background())
	for reader := (&reader{left: 2, done: cancel}); ctx.Err() == nil; {
		if err := group.Consume(ctx, []string{target}, reader); err != nil {
			log.Fatal(err)
		}
	}
}

// reader prints records until none is left.
type reader struct {
	mu   sync.Mutex // sarama calls ConsumeClaim once for each partition, at the same time
	left int
	done func()
}

func (*reader) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*reader) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (r *reader) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		headers := map[string]string{}
		for _, h := range m.Headers {
			headers[string(h.Key)] = string(h.Value)
		}
		r.mu.Lock()
		fmt.Printf("%s\t%s\tdelay-due=%s\tdelay-accepted=%s\tdelay-granted=%s\n",
			m.Key, m.Value, headers["delay-due"], headers["delay-accepted"], headers["delay-granted"])
		session.MarkMessage(m, "")
		if r.left--; r.left == 0 {
			r.done()
		}
		r.mu.Unlock()
	}
	return nil
}
