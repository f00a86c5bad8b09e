// Sends and reads any record with segmentio/kafka-go, for delayd's tests.
//
//	records send BROKERS CODEC < records
//	records read BROKERS TOPIC COUNT > records
//
// Records are lines of JSON: topic, key, value, and headers with key and value.
// Keys and values are null or base64.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"strconv"
	"strings"

	"github.com/segmentio/kafka-go"
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
		err = send(brokers, args[0])
	case "read":
		err = read(brokers, args[0], args[1])
	default:
		err = errors.New("send or read?")
	}
	if err != nil {
		log.Fatal(err)
	}
}

func send(brokers []string, codec string) error {
	writer := &kafka.Writer{
		Addr: kafka.TCP(brokers...), Balancer: kafka.Murmur2Balancer{}, RequiredAcks: kafka.RequireAll,
		BatchBytes: 2 << 20,
	}
	if codec != "none" {
		if err := writer.Compression.UnmarshalText([]byte(codec)); err != nil {
			return err
		}
	}
	var messages []kafka.Message
	for in := json.NewDecoder(os.Stdin); ; {
		var r record
		if err := in.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		m := kafka.Message{Topic: r.Topic, Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, kafka.Header{Key: h.Key, Value: h.Value})
		}
		messages = append(messages, m)
	}
	return errors.Join(writer.WriteMessages(context.Background(), messages...), writer.Close())
}

func read(brokers []string, topic, count string) error {
	left, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: brokers, Topic: topic, GroupID: topic + "-records", StartOffset: kafka.FirstOffset,
	})
	for out := json.NewEncoder(os.Stdout); left > 0; left-- {
		m, err := reader.ReadMessage(context.Background())
		if err != nil {
			return err
		}
		r := record{Topic: m.Topic, Key: m.Key, Value: m.Value, Headers: []header{}}
		for _, h := range m.Headers {
			r.Headers = append(r.Headers, header{h.Key, h.Value})
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return reader.Close()
}
