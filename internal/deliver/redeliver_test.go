package deliver

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// BenchmarkRedeliver is what is made of a parked record for its target, in batches.
func BenchmarkRedeliver(b *testing.B) {
	parked := record.Parked(&kgo.Record{Key: []byte("k"), Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("2")}, {Key: levels.HeaderTarget, Value: []byte("orders")}}},
		"delay.parked", Facts{Topic: "orders", Partition: ByKey, ID: "delay.inbox-2-17-1000", Due: 11001, Accepted: 1000, Granted: "10s", Origin: "delay.inbox/2/17"})
	o, targets := new(Outbox), new(record.Targets)
	b.ReportAllocs()
	for range b.N / batchRoom {
		batch := o.NewBatch(batchRoom)
		for range batchRoom {
			batch.Redeliver(nil, parked, targets)
		}
		batch.left.Store(1)
		batch.arrived()
	}
}
