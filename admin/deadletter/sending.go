package deadletter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/scan"
	"github.com/delayd-io/delayd/levels"
)

// Sending is one time that a dead letter was sent again: a record on the topic of
// [levels.Names.Resent], as JSON.
type Sending struct {
	// Letter is the letter's place on the dead letters' topic, and Died its
	// timestamp there in Unix milliseconds: it tells the letter from the one with its
	// offset on a topic that was deleted and made again.
	Letter admin.Place `json:"letter"`
	Died   int64       `json:"died"`
	// ID is the letter's delay-id, if it has one.
	ID string `json:"id,omitempty"`
	// To is where it was written to.
	To admin.Place `json:"to"`
	// DeadEnd is up to where dead letters in the letter's partition were there before
	// it was sent. What died of the sending stands behind that.
	DeadEnd int64 `json:"dead_end"`
	// Times is how often the message has been sent again, this time included.
	Times int `json:"times"`
	// At is when it was.
	At time.Time `json:"-"`
}

// parseSending reads what is recorded of one sending.
func parseSending(rec *kgo.Record) (Sending, error) {
	dec := json.NewDecoder(bytes.NewReader(rec.Value))
	var s Sending
	err := dec.Decode(&s)
	switch {
	case err != nil:
	case s.Letter.Topic == "" || s.To.Topic == "":
		err = errors.New("a place is missing")
	case levels.CheckTopic(s.Letter.Topic) != nil: // it is printed
		err = levels.CheckTopic(s.Letter.Topic)
	case s.Letter.Offset < 0 || s.DeadEnd <= s.Letter.Offset:
		err = fmt.Errorf("letter %v does not stand before %d, where the dead letters ended", s.Letter, s.DeadEnd)
	case s.Times < 1:
		err = fmt.Errorf("sent %d times", s.Times)
	}
	if err != nil {
		return Sending{}, fmt.Errorf("%s/%d/%d does not say what was sent again: %w; only delayd writes to this topic",
			rec.Topic, rec.Partition, rec.Offset, err)
	}
	s.At = rec.Timestamp
	return s, nil
}

// record is what tells of the sending.
func (s Sending) record(topic string) (*kgo.Record, error) {
	value, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("record that %v was sent again: %w", s.Letter, err)
	}
	return &kgo.Record{Topic: topic, Key: []byte(s.Letter.String()), Value: value}, nil
}

// sendings is all that is known of what was sent again. It grows with what was, by
// some hundred bytes each.
type sendings struct {
	letters map[admin.Place]Sending // the last of each letter
	places  map[admin.Place]Sending // by where it was written to
	ids     map[string][]Sending
}

func newSendings() *sendings {
	return &sendings{make(map[admin.Place]Sending), make(map[admin.Place]Sending), make(map[string][]Sending)}
}

// readSendings reads what was sent again. A topic that does not exist says nothing.
func readSendings(ctx context.Context, cl *kgo.Client, names levels.Names) (*sendings, error) {
	all := newSendings()
	spans, err := scan.Readable(ctx, cl, names.Resent())
	if err != nil {
		return nil, err
	}
	for _, s := range spans {
		if err := all.read(ctx, cl, s); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// read adds what a span tells.
func (all *sendings) read(ctx context.Context, cl *kgo.Client, s scan.Span) error {
	return s.Read(ctx, cl, func(rec *kgo.Record) error {
		if _, delivered := record.Last(rec.Headers, levels.HeaderGranted); delivered {
			return nil // by another delay service, to which this topic is a target like any
		}
		s, err := parseSending(rec)
		if err == nil {
			all.add(s)
		}
		return err
	})
}

func (all *sendings) add(s Sending) {
	all.letters[s.Letter] = s
	all.places[s.To] = s
	if s.ID != "" {
		all.ids[s.ID] = append(all.ids[s.ID], s)
	}
}

// of is the last time that a letter was sent again.
func (all *sendings) of(l *Letter) (Sending, bool) {
	s, ok := all.letters[l.place()]
	return s, ok && s.Died == l.Died.UnixMilli()
}

// before is the sending that a letter died of, if it is one of a message that was
// sent again: it was read where that was written, or has its id and died later.
func (all *sendings) before(l *Letter) (Sending, bool) {
	behind := func(s Sending) bool {
		return s.Letter.Topic == l.Topic && s.Letter.Partition == l.Partition && l.Offset >= s.DeadEnd
	}
	if origin, ok := parsePlace(l.Origin); ok {
		if s, ok := all.places[origin]; ok && behind(s) {
			return s, true
		}
	}
	list := all.ids[l.ID]
	for i := len(list) - 1; i >= 0 && l.ID != ""; i-- {
		if behind(list[i]) {
			return list[i], true
		}
	}
	return Sending{}, false
}
