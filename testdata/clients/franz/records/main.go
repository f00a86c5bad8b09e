// Sends and reads any record with franz-go, for delayd's tests.
//
//	records send BROKERS CODEC [commit|abort] < records
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

	"github.com/twmb/franz-go/pkg/kgo"
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

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func send(brokers []string, codec, end string) error {
	ctx := context.Background()
	opts := []kgo.Opt{kgo.SeedBrokers(brokers...), kgo.ProducerBatchCompression(codecs[codec])}
	if end != "" {
		opts = append(opts, kgo.TransactionalID("franz-"+end))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	if end != "" {
		if err := client.BeginTransaction(); err != nil {
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
		rec := &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		if err := client.ProduceSync(ctx, rec).FirstErr(); err != nil {
			return err
		}
	}
	if end != "" {
		return client.EndTransaction(ctx, kgo.TransactionEndTry(end == "commit"))
	}
	return nil
}

func read(brokers []string, topic, count string) error {
	left, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.ConsumerGroup(topic+"-records"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	for out := json.NewEncoder(os.Stdout); left > 0; {
		fetches := client.PollFetches(context.Background())
		if err := fetches.Err(); err != nil {
			return err
		}
		for r := range fetches.RecordsAll() {
			rec := record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: []header{}}
			for _, h := range r.Headers {
				rec.Headers = append(rec.Headers, header{h.Key, h.Value})
			}
			if err := out.Encode(rec); err != nil {
				return err
			}
			left--
		}
	}
	return nil
}
