package embedded

import (
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The attributes of a record batch that a producer may set.
const (
	codecBits     = 0x07
	transactional = 0x10
)

// refuseHarmful answers CORRUPT_MESSAGE to the batches of a produce request that would
// end kfake or a partition of it.
func (*Broker) refuseHarmful(kreq kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // kfake's signature
	req := kreq.(*kmsg.ProduceRequest)
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			p := &req.Topics[i].Partitions[j]
			if harmful(p.Records, req.TransactionID != nil) {
				p.Records = nil // kfake refuses that
			}
		}
	}
	return nil, nil, false
}

// harmful reports whether kfake takes a batch and must not: it rewrites the times of a
// batch that claims a broker's, and keeps the checksum, so that it cannot read its log
// any more; it waits for ever for the end of a transaction that nobody has begun; it
// adds up negative counts; and records that are not as long as they say end it.
func harmful(raw []byte, inTransaction bool) (yes bool) {
	var b kmsg.RecordBatch
	if b.ReadFrom(raw) != nil {
		return false // kfake cannot read it either
	}
	if b.Attributes&^(codecBits|transactional) != 0 || b.Attributes&transactional != 0 && !inTransaction || b.NumRecords <= 0 {
		return true
	}
	defer func() { yes = yes || recover() != nil }()
	_, _ = kfake.BatchRecords(b) // an error is the reader's matter, as with Kafka
	return false
}
