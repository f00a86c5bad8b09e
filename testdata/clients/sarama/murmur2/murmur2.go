// Package murmur2 makes sarama place records as Kafka's own clients do.
package murmur2

import (
	"encoding/binary"
	"hash"

	"github.com/IBM/sarama"
)

// Partitioner is for sarama's Config.Producer.Partitioner.
var Partitioner = sarama.NewCustomPartitioner(
	sarama.WithAbsFirst(), // as Java makes a hash positive
	sarama.WithCustomHashFunction(func() hash.Hash32 { return new(hash32) }),
)

// hash32 is MurmurHash2 with Kafka's seed, of the last bytes written.
type hash32 uint32

func (h *hash32) Write(key []byte) (int, error) {
	const m = 0x5bd1e995
	sum, b := uint32(0x9747b28c)^uint32(len(key)), key
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * m
		sum = sum*m ^ (k^k>>24)*m
	}
	if len(b) > 0 {
		for i, c := range b {
			sum ^= uint32(c) << (8 * i)
		}
		sum *= m
	}
	sum = (sum ^ sum>>13) * m
	*h = hash32(sum ^ sum>>15)
	return len(key), nil
}

func (h *hash32) Sum32() uint32        { return uint32(*h) }
func (h *hash32) Sum(in []byte) []byte { return binary.BigEndian.AppendUint32(in, uint32(*h)) }
func (h *hash32) Reset()               { *h = 0 }
func (*hash32) Size() int              { return 4 }
func (*hash32) BlockSize() int         { return 4 }
