package router

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/cancel"
	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/deliver"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// DefaultMaxCancels is the default of Config.MaxCancels.
const DefaultMaxCancels = cancel.DefaultMax

// marker writes the marks that the records of the inbox ask for; see package cancel.
type marker interface {
	Write(ctx context.Context, asked []cancel.Asked) error
	Room(ctx context.Context) (int64, error)
}

// cancelled is what was found out about the records of a batch that cancel or replace others,
// by their places in the batch. A batch without any has nil.
type cancelled map[int]verdict

// verdict is what becomes of a record that cancels or replaces others, once its mark is written.
type verdict struct {
	refusal *Refusal
	cancels bool // it is a cancel, and done with
}

// markOf returns the mark that a record asks for.
func markOf(rec *kgo.Record, a *record.CancelAsked, accepted time.Time) cancel.Mark {
	return cancel.Mark{
		Name: cancel.NameOf(a.ID, rec.Key), AnyKey: rec.Key == nil, Replaces: a.Replaces,
		At: accepted.UnixMilli(), Partition: rec.Partition, Offset: rec.Offset,
	}
}

// cancels writes the marks that works ask for, before anything else is done with them. ok is
// false where it could not before the lane was to stop: then all works are left to their next
// owner. A batch in which nobody cancels costs a look at the keys of headers.
func (w *worker) cancels(works []*consume.Work, now time.Time) (done cancelled, ok bool) {
	var asked []cancel.Asked
	var at []int
	for i, work := range works {
		if !record.AsksCancel(work.Record.Headers) {
			continue
		}
		headers := record.Read(work.Record.Headers)
		a, refusal := headers.CancelAsked()
		if refusal == nil && !a.Cancels && !a.Replaces {
			continue
		}
		if done == nil {
			done = make(cancelled)
		}
		if refusal == nil && a.Replaces { // a record that is refused replaces nothing
			theirs := work.Clock(now)
			if d := w.policy.decide(work.Record, headers, accepted(work.Record, theirs), theirs); d.Kind == Dead {
				continue // for the reason that decide gives again
			}
		}
		done[i] = verdict{refusal: refusal, cancels: a.Cancels}
		if refusal == nil {
			asked = append(asked, cancel.Asked{
				Mark: markOf(work.Record, &a, accepted(work.Record, work.Clock(now))), Key: work.Record.Key,
			})
			at = append(at, i)
		}
	}
	if len(asked) == 0 {
		return done, true
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	halted := works[0].Halted()
	go func() {
		select {
		case <-halted:
			stop()
		case <-ctx.Done():
		}
	}()
	room, refusal, ok := w.room(ctx)
	if !ok {
		return nil, false
	}
	if n := int64(len(asked)); refusal != nil || n > room {
		if refusal == nil {
			refusal = &Refusal{Code: levels.TooManyCancels, Detail: fmt.Sprintf(
				"%d cancels and replacements are outstanding, as many as are allowed; raise --max-cancels, or lower --max-delay, for which they are kept", w.maxCancels)}
		}
		for _, i := range at[room:] {
			done[i] = verdict{refusal: refusal}
		}
		asked = asked[:room]
	}
	if len(asked) == 0 {
		return done, true
	}
	switch err := w.marker.Write(ctx, asked); {
	case errors.Is(err, cancel.ErrMissing):
		for _, i := range at[:len(asked)] {
			done[i] = verdict{refusal: missingCancels()}
		}
	case err != nil || !works[0].Await():
		return nil, false
	}
	return done, true
}

// settles does what is left to do for the record at i, unless it goes on as any other.
func (c cancelled) settles(i int, work *consume.Work, batch *deliver.Batch) bool {
	v, known := c[i]
	switch {
	case !known || v.refusal == nil && !v.cancels:
		return false
	case v.refusal != nil:
		rec := work.Record
		batch.DeadLetter(work, rec, levels.Facts{Partition: levels.ByKey, Accepted: max(0, rec.Timestamp.UnixMilli())}, *v.refusal)
		return true
	}
	work.Drop(time.Now())
	return true
}

func missingCancels() *Refusal {
	return &Refusal{Code: levels.UnknownTopic, Detail: cancel.ErrMissing.Error()}
}

// roomAgain is the pause before the outstanding marks are counted again after an error.
const roomAgain = 250 * time.Millisecond

// room returns how many marks may be written. ok is false when the lane is to stop.
func (w *worker) room(ctx context.Context) (n int64, refusal *Refusal, ok bool) {
	for begun := time.Now(); ctx.Err() == nil; {
		n, err := w.marker.Room(ctx)
		if err == nil {
			return n, nil, true
		}
		if cancel.Missing(err) && time.Since(begun) >= cancel.MissingWait {
			return 0, missingCancels(), true
		}
		w.clamps.Warn().Err(err).Msg("cancels wait: retried")
		select {
		case <-time.After(roomAgain):
		case <-ctx.Done():
		}
	}
	return 0, nil, false
}
