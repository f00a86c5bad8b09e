// Sends and reads any record with sarama, for delayd's tests.
//
//	records send BROKERS CODEC [commit|abort] < records
//	records read BROKERS TOPIC COUNT > records
//
// Records are lines of JSON: topic, key, value, and headers with key and value.
// Keys and values are null or base64.
package main

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"strconv"
	"strings"

	"github.com/IBM/sarama"

	"github.com/delayd-io/delayd/testdata/clients/sarama/murmur2"
)

type record struct {
	Topic   string   `json:"topic"`
	Key     []byte   `json:"key"`
	Value   []byte   `json:"value"`
	Headers []header `json:"headers"`
}

type header struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

func main() {
	command, brokers, args := os.Args[1], strings.Split(os.Args[2], ","), os.Args[3:]
	var err error
	switch command {
	case "send":
		err = send(brokers, args[0], append(args, "")[1])
	case "read":
		err = read(brokers, args[0], args[1])
	default:
		err = errors.New("send or read?")
	}
	if err != nil {
		log.Fatal(err)
	}
}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V2_8_0_0
	return c
}

func send(brokers []string, codec, end string) (err error) {
	c := config()
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = murmur2.Partitioner
	if err := c.Producer.Compression.UnmarshalText([]byte(codec)); err != nil {
		return err
	}
	if end != "" {
		c.Producer.Transaction.ID = "sarama-" + end
		c.Producer.Idempotent = true
		c.Net.MaxOpenRequests = 1
	}
	producer, err := sarama.NewSyncProducer(brokers, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, producer.Close()) }()
	if end != "" {
		if err := producer.BeginTxn(); err != nil {
			return err
		}
	}
	for in := json.NewDecoder(os.Stdin); ; {
		var r record
		if err := in.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		if _, _, err := producer.SendMessage(message(r)); err != nil {
			return err
		}
	}
	switch end {
	case "commit":
		return producer.CommitTxn()
	case "abort":
		return producer.AbortTxn()
	}
	return nil
}

// message leaves out the Key or the Value where it is null: an encoder of nil
// bytes is not a null.
func message(r record) *sarama.ProducerMessage {
	m := &sarama.ProducerMessage{Topic: r.Topic}
	if r.Key != nil {
		m.Key = sarama.ByteEncoder(r.Key)
	}
	if r.Value != nil {
		m.Value = sarama.ByteEncoder(r.Value)
	}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
	}
	return m
}

// read reads all partitions at the same time, without a group.
func read(brokers []string, topic, count string) error {
	left, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	consumer, err := sarama.NewConsumer(brokers, config())
	if err != nil {
		return err
	}
	defer consumer.Close()
	partitions, err := consumer.Partitions(topic)
	if err != nil {
		return err
	}
	messages := make(chan *sarama.ConsumerMessage)
	for _, p := range partitions {
		pc, err := consumer.ConsumePartition(topic, p, sarama.OffsetOldest)
		if err != nil {
			return err
		}
		defer pc.Close()
		go func() {
			for m := range pc.Messages() {
				messages <- m
			}
		}()
	}
	for out := json.NewEncoder(os.Stdout); left > 0; left-- {
		m := <-messages
		rec := record{Topic: m.Topic, Key: m.Key, Value: m.Value, Headers: []header{}}
		for _, h := range m.Headers {
			rec.Headers = append(rec.Headers, header{string(h.Key), h.Value})
		}
		if err := out.Encode(rec); err != nil {
			return err
		}
	}
	return nil
}
