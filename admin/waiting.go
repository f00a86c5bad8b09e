package admin

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// Waiting is what is parked for one target.
type Waiting struct {
	Target string `json:"target"`
	// Records is how many are parked. It can be too many: what was delivered counts
	// until all that stands before it on its partition has been, which other targets
	// share.
	Records int64 `json:"records"`
	// Since is when the delivery of the first of them failed, and OldestDue when the
	// one was due that has waited longest.
	Since     time.Time `json:"since"`
	OldestDue time.Time `json:"oldest_due"`
	// Bytes is how much their keys and values take.
	Bytes int64 `json:"bytes"`
}

// Parked says for which targets records are parked, in the order of their names. When
// a target is tried next only the service knows: it waits longer each time, up to
// a few seconds. All that is parked is read for it.
func Parked(ctx context.Context, cl *kgo.Client, names levels.Names) ([]*Waiting, error) {
	spans, err := pendingOn(ctx, cl, names, names.Parked())
	if err != nil {
		return nil, err
	}
	targets := make(map[string]*Waiting)
	for _, s := range spans {
		err := s.Read(ctx, cl, func(rec *kgo.Record) error {
			src, f, err := record.Unpark(rec)
			if err != nil {
				return nil // nobody is waiting for it: it becomes a dead letter
			}
			w := targets[f.Topic]
			since, due := time.UnixMilli(f.Since).UTC(), time.UnixMilli(f.Due).UTC()
			if w == nil {
				w = &Waiting{Target: f.Topic, Since: since, OldestDue: due}
				targets[f.Topic] = w
			}
			w.Records++
			w.Bytes += int64(len(src.Key) + len(src.Value))
			if since.Before(w.Since) {
				w.Since = since
			}
			if due.Before(w.OldestDue) {
				w.OldestDue = due
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	list := make([]*Waiting, 0, len(targets))
	for _, w := range targets {
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b *Waiting) int { return strings.Compare(a.Target, b.Target) })
	return list, nil
}
