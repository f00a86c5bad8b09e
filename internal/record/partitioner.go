package record

import (
	"github.com/twmb/franz-go/pkg/kgo"
)

// Partitioner gives a record the partition that it names, and one that says
// ByKey the partition that Kafka's own clients would choose: murmur2 of the key,
// and for a null key another one with each batch (KIP-480). So single records are
// spread, and those that are sent together stay together. A partition
// that the topic does not have fails the record and no other.
func Partitioner() kgo.Partitioner { return partitioner{kgo.StickyKeyPartitioner(nil)} }

// PartitionOf returns the partition, of n, that Kafka's own clients choose for a key.
func PartitionOf(key []byte, n int32) int32 {
	return int32(kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: key}, int(n)))
}

// AskedPartition returns the partition of its target that a record asks for, ByKey where
// it asks for none that can be.
func (h *Headers) AskedPartition() int32 {
	value, _ := h.value(keyPartition)
	partition, _ := parsePartition(value)
	return partition
}

type partitioner struct{ byKey kgo.Partitioner }

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	byKey := p.byKey.ForTopic(topic)
	return topicPartitioner{byKey, byKey.(kgo.TopicPartitionerOnNewBatch)}
}

type topicPartitioner struct {
	kgo.TopicPartitioner
	kgo.TopicPartitionerOnNewBatch
}

func (p topicPartitioner) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || p.TopicPartitioner.RequiresConsistency(r)
}

func (p topicPartitioner) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return p.TopicPartitioner.Partition(r, n)
}
