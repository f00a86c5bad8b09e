package admin

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/deliver"
	"github.com/delayd-io/delayd/levels"
)

// Letter is a dead letter.
type Letter struct {
	// Topic, Partition and Offset are where it stands, and Died is since when.
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Died      time.Time `json:"died"`
	// Code and Detail say why. A record without a code is no letter of the service's.
	Code   levels.Code `json:"code"`
	Detail string      `json:"detail"`
	// Origin is where the record was read: topic/partition/offset.
	Origin string `json:"origin"`
	// Target is what the record asks for; nil where it leaves that to the default.
	Target *string `json:"target"`
	// Attempts is how often delivery was tried; nil where that is not told.
	Attempts *int `json:"attempts"`
	// ID is its delay-id.
	ID      string   `json:"id,omitempty"`
	Key     *Preview `json:"key"`
	Headers []Header `json:"headers"`
	Value   *Preview `json:"value"`
	// LeftOut says what the letter does not hold of its record, because the topic does
	// not take it whole; "" where it is whole.
	LeftOut string `json:"left_out,omitempty"`

	// SentAgain is when it was sent again, and SentTo where to; nil and "" where it
	// was not.
	SentAgain *time.Time `json:"sent_again,omitempty"`
	SentTo    string     `json:"sent_to,omitempty"`
	// DiedBefore is where the letter stands that was sent again and died as this one;
	// "" for none. Deaths is how often the message has died, as far as is known.
	DiedBefore string `json:"died_before,omitempty"`
	Deaths     int    `json:"deaths"`
}

func newLetter(rec *kgo.Record) *Letter {
	text := func(key string) string {
		value, _ := deliver.Last(rec.Headers, key)
		return string(value)
	}
	l := &Letter{
		Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Died: rec.Timestamp.UTC(), Deaths: 1,
		Code: levels.Code(text(levels.HeaderError)), Detail: text(levels.HeaderErrorDetail),
		Origin: text(levels.HeaderOrigin), ID: text(levels.HeaderID),
		Key: newPreview(rec.Key), Headers: newHeaders(rec.Headers), Value: newPreview(rec.Value),
		LeftOut: deliver.LeftOut(rec),
	}
	if target, given := deliver.Last(rec.Headers, levels.HeaderTarget); given {
		s := string(target)
		l.Target = &s
	}
	if n, err := strconv.Atoi(text(levels.HeaderAttempts)); err == nil {
		l.Attempts = &n
	}
	return l
}

func (l *Letter) place() Place { return Place{l.Topic, l.Partition, l.Offset} }

// tell notes what is known of a letter's sendings.
func (l *Letter) tell(all *sendings) {
	if s, ok := all.before(l); ok {
		l.DiedBefore, l.Deaths = s.Letter.String(), s.Times+1
	}
	if s, ok := all.of(l); ok {
		l.SentAgain, l.SentTo = &s.At, s.To.String()
	}
}

// LetterFilter says which dead letters are meant: those that all of it is true of.
type LetterFilter struct {
	// Codes has the code; none: any.
	Codes []levels.Code
	// Target is what they ask for; "": any.
	Target string
	// Since and Until bound when they died: at or after the one, and before the
	// other. Zero: no bound.
	Since, Until time.Time
	// Offsets are where they stand; none: anywhere.
	Offsets []int64
	// Limit is how many are enough, the oldest first. 0: all.
	Limit int
}

func (f *LetterFilter) takes(l *Letter) bool {
	switch {
	case len(f.Codes) > 0 && !slices.Contains(f.Codes, l.Code),
		f.Target != "" && (l.Target == nil || *l.Target != f.Target),
		!f.Since.IsZero() && l.Died.Before(f.Since),
		!f.Until.IsZero() && !l.Died.Before(f.Until),
		len(f.Offsets) > 0 && !slices.Contains(f.Offsets, l.Offset):
		return false
	}
	return true
}

// Letters lists dead letters, the oldest first, and says whether there are more of
// them than the limit. It reads the whole topic: what it keeps of a letter is a few
// kilobytes.
func Letters(ctx context.Context, cl *kgo.Client, names levels.Names, f LetterFilter) (list []*Letter, more bool, err error) {
	all, err := readSendings(ctx, cl, names)
	if err != nil {
		return nil, false, err
	}
	err = eachLetter(ctx, cl, names, func(_ span, _ *kgo.Record, l *Letter) error {
		if !f.takes(l) {
			return nil
		}
		if more = f.Limit > 0 && len(list) == f.Limit; more {
			return errEnough
		}
		l.tell(all)
		list = append(list, l)
		return nil
	})
	return list, more, err
}

// eachLetter visits the dead letters. There is one partition of them unless somebody
// has made more.
func eachLetter(ctx context.Context, cl *kgo.Client, names levels.Names, visit func(span, *kgo.Record, *Letter) error) error {
	spans, err := readable(ctx, cl, names.Dead())
	if err != nil {
		return err
	}
	enough := false
	for _, s := range spans {
		err := s.read(ctx, cl, func(rec *kgo.Record) error {
			err := visit(s, rec, newLetter(rec))
			enough = err == errEnough
			return err
		})
		if err != nil || enough {
			return err
		}
	}
	return nil
}
