package main

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// All that is on a topic is read, of each of its partitions.
func TestReadBeside(t *testing.T) {
	t.Parallel()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, besideTopic))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for p, value := range []string{besideMark + "7", besideMark + "8", besideMark + "7", "another's"} {
		rec := kgo.Record{Topic: besideTopic, Partition: int32(p % 2), Value: []byte(value), Headers: []kgo.RecordHeader{{Key: levels.HeaderDue, Value: []byte("1700000000000")}}}
		if err := cl.ProduceSync(t.Context(), &rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	due, twice, err := (&world{client: cl}).readBeside(t.Context())
	if err != nil || twice != 1 || len(due) != 2 || !due[7].Equal(time.UnixMilli(1_700_000_000_000)) || !due[7].Equal(due[8]) {
		t.Errorf("%v, %d twice, %v", due, twice, err)
	}
}
