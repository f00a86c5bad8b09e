package find

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/cancel"
)

// Cancel is what dropped a record.
type Cancel struct {
	// At is when the inbox accepted it, and Partition and Offset where.
	At        time.Time `json:"at"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	// Replaces says that it is a record that takes the place of this one.
	Replaces bool `json:"replaces,omitempty"`
}

// cancels reads the marks that can be of a record that waits, or that was seen last where it
// waited, and notes which hits it.
func (s *search) cancels(ctx context.Context) error {
	kept, left := settle(s.seen)
	if left != nil {
		kept = append(kept, left)
	}
	var waits []*Sighting
	from := s.now
	for _, k := range kept {
		if k.State != Waiting && k.State != Parked || k.Accepted == nil {
			continue
		}
		waits = append(waits, k)
		if k.Accepted.Before(from) {
			from = *k.Accepted
		}
	}
	if len(waits) == 0 {
		return nil
	}
	topic := s.cfg.Names.Cancel()
	found, err := lookUp(ctx, s.cl, topic)
	if err != nil {
		return err
	}
	parts := found[topic]
	if parts == nil {
		s.of(topic).Missing = true
		return nil
	}
	s.parts[topic] = parts
	w := window{from: from.Add(-early)}
	ranges, err := w.find(ctx, s.cl, parts)
	if err != nil {
		return err
	}
	return s.readRanges(ctx, "cancels", parts, ranges, w, func(rec *kgo.Record) {
		s.count(rec)
		m, err := cancel.Parse(string(rec.Value))
		if err != nil {
			return // whoever wrote it, the service does not count it either
		}
		for _, k := range waits {
			if k.cancel == nil && m.Names(&k.subject) && m.Hits(&k.subject) {
				k.cancel = &Cancel{At: time.UnixMilli(m.At).UTC(), Partition: m.Partition, Offset: m.Offset, Replaces: m.Replaces}
			}
		}
	})
}

// conclude says of a record that is where it waits that it is cancelled. Of one that has left it
// says so only where the cancel was certain to hold: otherwise it may have been delivered before.
func (k *Sighting) conclude() (cancelled bool) {
	if k.cancel == nil {
		return false
	}
	own := k.ID != k.origin
	if k.handled && (!own || k.Due == nil || k.Due.Sub(k.cancel.At) < cancel.Notice) {
		return false
	}
	k.State, k.Cancel = Cancelled, k.cancel
	return true
}
