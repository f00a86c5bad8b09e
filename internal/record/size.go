package record

import "github.com/twmb/franz-go/pkg/kgo"

const (
	// MinBatchBytes is the smallest limit of a batch that the client accepts, and more
	// than an empty record takes.
	MinBatchBytes = 512
	// MaxBatchBytes is the largest batch that is sent, before compression. It is below
	// what the client writes at once (kgo.BrokerMaxWriteBytes, 100 MiB).
	MaxBatchBytes = 1 << 26
)

// BatchBytes returns the most bytes that a batch of rec alone can take, before
// compression.
func BatchBytes(rec *kgo.Record) int64 {
	n := int64(len(rec.Key)+len(rec.Value)) + MinBatchBytes
	for _, h := range rec.Headers {
		n += int64(headerBytes(h))
	}
	return n
}

// headerBytes returns the most bytes that a header can take.
func headerBytes(h kgo.RecordHeader) int { return len(h.Key) + len(h.Value) + 10 }
