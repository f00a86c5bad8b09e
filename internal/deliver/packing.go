package deliver

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
)

// packing is how the records of a transaction are sent. franz-go judges the size of a
// record before it is compressed, by a limit that a client has for good; a broker judges
// it after. So a record above its topic's limit is sent in a batch of its own, by a
// client without that limit. It compresses as well as the record's consumers can be
// expected to read: the broker decides.
type packing int

const (
	// asUsual: in batches up to the topic's limit.
	asUsual packing = iota
	// gzipped: alone, compressed with gzip, which every consumer reads.
	gzipped
	// zstdded: alone, compressed with zstd, because the record came like that.
	zstdded
)

// zstdCodec is zstd in a record's attributes.
const zstdCodec = 4

// largeRate is how many bytes of large records a broker is given a second for.
const largeRate = 8 << 20

// packingOf is how src is sent where it is large.
func packingOf(src *kgo.Record) packing {
	if src.Attrs.CompressionType() == zstdCodec {
		return zstdded
	}
	return gzipped
}

// txnOptions are those of the client of a transactional producer that packs as variant, a
// packing, says.
func (o *Outbox) txnOptions(variant int) []kgo.Opt {
	return append(producerOptions(o.opts), packing(variant).options(o)...)
}

// options are those of a client that sends like that.
func (p packing) options(o *Outbox) []kgo.Opt {
	codec := kgo.GzipCompression()
	switch p {
	case asUsual:
		return []kgo.Opt{kgo.ProducerBatchMaxBytesFn(o.limit), kgo.ProducerBatchCompression(o.cfg.Compression)}
	case zstdded:
		codec = kgo.ZstdCompression()
	}
	return []kgo.Opt{kgo.ProducerBatchMaxBytes(record.MaxBatchBytes), kgo.ProducerBatchCompression(codec)}
}

// answerWithin is how long no answer may come.
func (t *transaction) answerWithin() time.Duration {
	if t.first.packing == asUsual {
		return answerWithin
	}
	return answerWithin + time.Duration(t.bytes)*time.Second/largeRate
}
