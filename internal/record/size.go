package record

import "github.com/twmb/franz-go/pkg/kgo"

const (
	// MinBatchBytes is the smallest limit of a batch that the client accepts, and more
	// than an empty record takes.
	MinBatchBytes = 512
	// MaxBatchBytes is the largest batch that is sent, before compression. It is below
	// what the client writes at once (kgo.BrokerMaxWriteBytes, 100 MiB).
	MaxBatchBytes = 1 << 26

	// RecordBytes is the most that a record takes in a batch beside its key, value and
	// headers: the lengths of these and of itself (5 each), attributes (1), and the
	// differences to the batch's time (10) and offset (5).
	RecordBytes = 4*5 + 1 + 10 + 5
	// HeaderBytes is the most that a header takes beside its key and value: the length
	// of each.
	HeaderBytes = 2 * 5
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

// AddedBytes returns the most bytes that a record adds to a batch of others, before
// compression, where BatchBytes returns alone for it.
func AddedBytes(alone int64) int64 { return alone - MinBatchBytes + RecordBytes }

// headerBytes returns the most bytes that a header can take.
func headerBytes(h kgo.RecordHeader) int { return len(h.Key) + len(h.Value) + HeaderBytes }
