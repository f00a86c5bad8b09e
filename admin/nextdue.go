package admin

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/offsets"
)

// searchRounds bounds the look-ups for the heads. Each is one request to each
// broker, for all partitions at once, and halves what is not known.
const searchRounds = 12

// clockAhead is how far the brokers' clock may be ahead of ours for the search
// to find a head.
const clockAhead = time.Minute

// dueAfter is what a record waits beyond its level: Kafka cuts timestamps to
// whole milliseconds, and nothing is delivered early.
const dueAfter = time.Millisecond

// head is the first record of a partition that is not handled. Its timestamp
// tells when the next record is due, but brokers look up offsets by timestamps
// and not the other way round: so it is searched for, as timestamps rise with
// the offset.
type head struct {
	where         offsets.Partition
	offset        int64
	after, before int64 // Unix ms: after <= its timestamp < before
	known         bool  // after is a record's timestamp
}

func newHead(where offsets.Partition, offset int64, now time.Time) *head {
	return &head{where: where, offset: offset, before: now.Add(clockAhead).UnixMilli()}
}

// learn takes the answer to the look-up of time t into account.
func (h *head) learn(t int64, found offsets.Found) {
	switch {
	case found.Offset == h.offset:
		h.after, h.before, h.known = found.Timestamp, found.Timestamp+1, true
	case found.Offset != offsets.None && found.Offset < h.offset:
		h.after, h.known = max(h.after, found.Timestamp), true
	default:
		h.before = min(h.before, t)
	}
}

// next is the time to look up next, false when there is nothing more to find.
func (h *head) next() (int64, bool) {
	if !h.known && h.before > 0 {
		return 0, true // the oldest record: halves are worth nothing before that
	}
	return h.after + (h.before-h.after)/2, h.before-h.after > 1
}

// findNextDue finds when the first pending record of each level is due, and since
// when the first one is on the inbox and on the parked records' topic. The
// look-ups that counted what is overdue have found the heads already where
// deliveries keep up: there the first record that is not due is the head.
func (list countings) findNextDue(ctx context.Context, cl *kgo.Client, now time.Time) error {
	for range searchRounds {
		times := make(map[offsets.Partition]int64)
		for _, c := range list {
			for _, h := range c.heads {
				if t, ok := h.next(); ok {
					times[h.where] = t
				}
			}
		}
		found, err := offsets.List(ctx, cl, times)
		if err != nil {
			return err
		}
		for _, c := range list {
			for _, h := range c.heads {
				if t, ok := times[h.where]; ok {
					h.learn(t, found[h.where])
				}
			}
		}
	}
	for _, c := range list {
		c.setFirst()
	}
	return nil
}

// setFirst takes the earliest head of the partitions.
func (c *counting) setFirst() {
	for _, h := range c.heads {
		if !h.known || h.after >= h.before {
			continue // deleted meanwhile, or timestamps that do not rise
		}
		first, at := &c.Oldest, time.UnixMilli(h.after)
		if c.kind == level {
			first, at = &c.NextDue, at.Add(c.delay+dueAfter)
		}
		if *first == nil || at.Before(**first) {
			*first = &at
		}
	}
}
