package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/scan"
)

// maxLooked bounds how many batches are read on either side of a place.
const maxLooked = 100

// errLooked says that maxLooked batches are read.
var errLooked = fmt.Errorf("%d batches are read", maxLooked)

// locator finds a batch that stops a partition and the offsets in front of it at which
// the service may stand: it can stop before a marker of a transaction, aborted records
// or a gap of offsets.
type locator struct {
	cl    *kgo.Client
	topic string
	span  scan.Span
	left  int // batches that may still be read
}

// fetch reads the first batch that ends at an offset or after it.
func (l *locator) fetch(ctx context.Context, offset int64) (*rawBatch, error) {
	if l.left--; l.left < 0 {
		return nil, errLooked
	}
	return fetchBatch(ctx, l.cl, Place{l.topic, l.span.Partition.Partition, offset})
}

// batch returns the first batch from an offset on that holds a record or cannot be
// decoded.
func (l *locator) batch(ctx context.Context, from int64) (*rawBatch, error) {
	l.left = maxLooked
	for next := max(from, l.span.From); next < l.span.To; {
		b, err := l.fetch(ctx, next)
		if errors.Is(err, errLooked) {
			return nil, fmt.Errorf("%v/%d: the %d batches from there on hold no record", l.span.Partition, from, maxLooked)
		}
		if err != nil || b.fault != nil || len(b.since(next)) > 0 {
			return b, err
		}
		next = b.last + 1
	}
	return nil, fmt.Errorf("%v/%d: no record is there, and none after it", l.span.Partition, from)
}

// reach returns the lowest offset from which on there is no record before that of b at
// offset at, or before b if b cannot be decoded.
func (l *locator) reach(ctx context.Context, b *rawBatch, at int64) (int64, error) {
	l.left = maxLooked
	reached := at
	for {
		if last, ok := lastBefore(b.records, at); ok {
			return last + 1, nil
		}
		reached = min(reached, b.first)
		before, err := l.before(ctx, b.first)
		switch {
		case errors.Is(err, errLooked):
			return reached, nil
		case err != nil:
			return 0, err
		case before == nil:
			return min(reached, l.span.From), nil
		case before.fault != nil:
			return min(reached, before.last+1), nil
		}
		b, at = before, before.last+1
	}
}

// lastBefore returns the offset of the last record before an offset.
func lastBefore(records []*kgo.Record, offset int64) (last int64, ok bool) {
	for _, rec := range records {
		if rec.Offset < offset {
			last, ok = rec.Offset, true
		}
	}
	return last, ok
}

// before returns the last batch in front of an offset at which a batch begins, nil if
// there is none.
func (l *locator) before(ctx context.Context, offset int64) (*rawBatch, error) {
	for step := int64(1); offset > l.span.From; step *= 2 {
		from := max(offset-step, l.span.From)
		b, err := l.fetch(ctx, from)
		if err != nil {
			return nil, err
		}
		if b.first < offset {
			return l.lastUntil(ctx, b, offset)
		}
		if from == l.span.From {
			break
		}
	}
	return nil, nil
}

// lastUntil returns the last batch from b on that begins before an offset.
func (l *locator) lastUntil(ctx context.Context, b *rawBatch, offset int64) (*rawBatch, error) {
	for b.last+1 < offset {
		next, err := l.fetch(ctx, b.last+1)
		if err != nil {
			return nil, err
		}
		if next.first >= offset {
			break
		}
		b = next
	}
	return b, nil
}
