package find

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// State says where a record is.
type State string

// The states.
const (
	// Waiting is on the inbox, if the router has not handled it yet, or on a level.
	Waiting State = "waiting"
	// Parked is set aside, because its target cannot be written just now.
	Parked State = "parked"
	// Delivered is written to its target.
	Delivered State = "delivered"
	// Dead is a dead letter.
	Dead State = "dead"
	// Cancelled is dropped when it is due, or was.
	Cancelled State = "cancelled"
	// NotFound is at none of the places that were searched.
	NotFound State = "not-found"
)

// Sighting is a record with the id at one place.
type Sighting struct {
	State State `json:"state"`
	// ID is the delay-id that it has, or is delivered with.
	ID        string `json:"id"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	// Since is when it got there. Of a delivered record it is when it was delivered, as far
	// as the topic keeps that.
	Since time.Time `json:"since"`
	// Level is the one that it waits on.
	Level string `json:"level,omitempty"`
	// Due is when it is to be delivered, or was; of an exact time that is the end of its
	// walk. nil: not known, as of a record that the router has not read.
	Due *time.Time `json:"due,omitempty"`
	// Granted is the level that it was granted, or "exact".
	Granted string `json:"granted,omitempty"`
	// StepDue is when an exact record leaves the level. Step is the number of that step,
	// and Steps how many there are, by the ladder of now; 0: not known.
	StepDue *time.Time `json:"step_due,omitempty"`
	Step    int        `json:"step,omitempty"`
	Steps   int        `json:"steps,omitempty"`
	// Accepted is when a broker first took it; nil: not known.
	Accepted *time.Time `json:"accepted,omitempty"`
	// Target is what it asks for; nil where it leaves that to the default.
	Target *string `json:"target,omitempty"`
	// Code and Detail say why it died, and Origin where it was read then.
	Code   levels.Code `json:"code,omitempty"`
	Detail string      `json:"detail,omitempty"`
	Origin string      `json:"origin,omitempty"`
	// SentAgain is when a dead letter was sent again, and SentTo where to.
	SentAgain *time.Time `json:"sent_again,omitempty"`
	SentTo    string     `json:"sent_to,omitempty"`

	// Retried is what it says of its retries; nil for nothing.
	Retried *admin.Retried `json:"retried,omitempty"`
	// Cancel is what cancelled it; nil for nothing.
	Cancel *Cancel `json:"cancel,omitempty"`

	Key     *admin.Preview `json:"key"`
	Headers []admin.Header `json:"headers"`
	Value   *admin.Preview `json:"value"`

	handled bool   // the service has committed it: it is not there any more
	origin  string // the id of where it was first accepted; "" where that is not known
	key     []byte
	asks    int32          // the partition of the target, or ByKey
	direct  bool           // written straight to a level
	subject record.Subject // what a cancel has to know of it, of one that waits
	cancel  *Cancel        // the first that hits it
}

func (s *Sighting) place() admin.Place {
	return admin.Place{Topic: s.Topic, Partition: s.Partition, Offset: s.Offset}
}

// lead is what the sighting says of the record.
func (s *Sighting) lead() lead {
	l := lead{from: s.Since, to: s.Since, exact: s.Granted == levels.GrantedExact, partition: s.asks, key: s.key, keyed: true}
	if s.Accepted != nil {
		l.from, l.to = *s.Accepted, *s.Accepted
	}
	if s.Due != nil {
		l.due = *s.Due
	}
	if s.Target != nil {
		l.target = *s.Target
	}
	if s.direct && s.Level != "" {
		l.first, _ = levels.ParseDelay(s.Level)
	}
	return l
}

// moment returns a time in Unix milliseconds, nil where none can be that: headers hold
// what somebody wrote, and JSON has no years after 9999.
func moment(ms int64) *time.Time {
	t := time.UnixMilli(ms).UTC()
	if ms < 0 || t.Year() > 9999 {
		return nil
	}
	return &t
}

func when(t time.Time) *time.Time { return moment(t.UnixMilli()) }

// eye recognises the records with an id, topic by topic.
type eye struct {
	names  levels.Names
	ladder levels.Ladder
	id     []byte
	bytes  int // of a key, a value and a header that are shown
	// others are sightings of records that are delivered with another id: that of their
	// producer, where the one that is searched says where they were accepted.
	others []*Sighting
}

// learn has the eye recognise a record by its other id, too.
func (e *eye) learn(s *Sighting) {
	if s.ID != string(e.id) {
		e.others = append(e.others, s)
	}
}

// waiting returns a sighting of a record of the inbox or, with its length, of a level.
func (e *eye) waiting(rec *kgo.Record, delay time.Duration) *Sighting {
	h := record.Read(rec.Headers)
	f, routed := h.Facts()
	if !routed || rec.Topic == e.names.Inbox() {
		routed, f = false, levels.Facts{Accepted: max(0, rec.Timestamp.UnixMilli())}
	}
	if !h.HasID(rec, &f, e.id) {
		return nil
	}
	s := e.sighting(rec, h, Waiting)
	s.ID, s.origin, s.direct = h.DeliveredID(rec, &f), f.ID, !routed
	if s.origin == "" {
		s.origin = record.OriginID(rec, f.Accepted)
	}
	s.Accepted = moment(f.Accepted)
	if rec.Topic == e.names.Inbox() {
		if asked, refusal := h.Asked(); refusal == nil && asked.Exact() {
			if due, refusal := asked.Due(f.Accepted, math.MaxInt64); refusal == nil {
				s.Due, s.Granted = moment(due), levels.GrantedExact
			}
		}
		return s
	}
	s.subject = h.Subject(rec, e.names.Inbox(), f.Accepted)
	s.Level, s.Granted = levels.FormatDelay(delay), f.Granted
	due, exact := record.DueOn(rec, delay)
	if s.Due = when(due); s.Due == nil || !exact {
		return s
	}
	s.Granted = levels.GrantedExact
	end := rec.Timestamp.Add(delay)
	if e.ladder.Len() == 0 || e.ladder.LastStep(due.Sub(end)) {
		end = due
	}
	s.StepDue = when(end)
	if s.Accepted != nil {
		s.Step, s.Steps = steps(e.ladder, *s.Accepted, due, rec.Timestamp, end)
	}
	return s
}

// parked returns a sighting of a parked record.
func (e *eye) parked(rec *kgo.Record) *Sighting {
	src, f, err := record.Unpark(rec)
	if err != nil {
		return nil
	}
	h := record.Read(src.Headers)
	if !h.HasID(src, &f, e.id) {
		return nil
	}
	s := e.sighting(src, h, Parked)
	s.Topic, s.Partition, s.Offset, s.Since = rec.Topic, rec.Partition, rec.Offset, rec.Timestamp.UTC()
	s.ID, s.origin, s.Origin = h.DeliveredID(src, &f), f.ID, f.Origin
	s.subject = record.SubjectOf(src, &f, e.names.Inbox())
	s.Due, s.Accepted, s.Granted, s.Target, s.asks = moment(f.Due), moment(f.Accepted), f.Granted, &f.Topic, f.Partition
	return s
}

// dead returns a sighting of a dead letter.
func (e *eye) dead(rec *kgo.Record) *Sighting {
	origin, _ := record.Last(rec.Headers, levels.HeaderOrigin)
	id, ok := e.idOf(rec, func(other *Sighting) bool {
		return string(origin) == other.place().String() || other.Origin != "" && string(origin) == other.Origin
	})
	if !ok {
		return nil
	}
	text := func(key string) string {
		value, _ := record.Last(rec.Headers, key)
		return string(value)
	}
	s := e.sighting(rec, record.Read(rec.Headers), Dead)
	s.ID, s.Code, s.Detail, s.Origin = id, levels.Code(text(levels.HeaderError)), text(levels.HeaderErrorDetail), string(origin)
	return s
}

// delivered returns a sighting of a record of a target.
func (e *eye) delivered(rec *kgo.Record) *Sighting {
	number := func(key string) *time.Time {
		value, _ := record.Last(rec.Headers, key)
		ms, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return nil
		}
		return moment(ms)
	}
	id, ok := e.idOf(rec, func(other *Sighting) bool {
		return bytes.Equal(rec.Key, other.key) && sameTime(number(levels.HeaderAccepted), other.Accepted)
	})
	if !ok {
		return nil
	}
	s := e.sighting(rec, record.Read(rec.Headers), Delivered)
	granted, _ := record.Last(rec.Headers, levels.HeaderGranted)
	s.ID, s.Due, s.Accepted, s.Granted, s.Target = id, number(levels.HeaderDue), number(levels.HeaderAccepted), string(granted), &rec.Topic
	return s
}

// idOf returns the delay-id of a record that left the service. It also reports whether
// that is the searched id, or one of the others for which same is true.
func (e *eye) idOf(rec *kgo.Record, same func(other *Sighting) bool) (string, bool) {
	value, _ := record.Last(rec.Headers, levels.HeaderID)
	if bytes.Equal(value, e.id) {
		return string(value), true
	}
	for _, other := range e.others {
		if string(value) == other.ID && same(other) {
			return other.ID, true
		}
	}
	return "", false
}

// sighting is what a record of any topic says.
func (e *eye) sighting(rec *kgo.Record, h *record.Headers, state State) *Sighting {
	shown := record.WithoutHop(rec.Headers, 0)
	s := &Sighting{
		State: state, ID: string(e.id), Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Since: rec.Timestamp.UTC(),
		Key: admin.NewPreview(rec.Key, e.bytes), Headers: admin.NewHeaders(shown, e.bytes), Value: admin.NewPreview(rec.Value, e.bytes),
		Retried: admin.NewRetried(rec), key: bytes.Clone(rec.Key), asks: h.AskedPartition(),
	}
	if t := when(s.Since); t == nil {
		s.Since = time.Time{}
	}
	if value, given := h.Target(); given {
		text := string(value)
		s.Target = &text
	}
	return s
}

// Describe says in words what there is to know of the place, beside what the other fields
// say.
func (s *Sighting) Describe() string {
	switch s.State {
	case Waiting:
		if s.Level == "" {
			return "on the inbox: the router has not handled it"
		}
		if s.StepDue == nil {
			return "on level " + s.Level
		}
		if s.Step == 0 {
			return "on level " + s.Level + " of a walk to an exact time"
		}
		return fmt.Sprintf("on level %s, step %d of %d to an exact time", s.Level, s.Step, s.Steps)
	case Cancelled:
		word := "cancelled"
		if s.Cancel.Replaces {
			word = "replaced"
		}
		return fmt.Sprintf("%s at %s by partition %d, offset %d of the inbox", word, s.Cancel.At.Format(time.RFC3339Nano), s.Cancel.Partition, s.Cancel.Offset)
	case Parked:
		return "its target cannot be written, or is paused"
	case Delivered:
		if s.Due == nil || s.Since.Before(*s.Due) { // by another clock
			return ""
		}
		return fmt.Sprintf("%s after it was due", s.Since.Sub(*s.Due).Round(time.Millisecond))
	case Dead:
		text := string(s.Code) + ": " + s.Detail
		if s.SentAgain != nil {
			text = "sent again at " + s.SentAgain.Format(time.RFC3339) + " to " + s.SentTo + "; " + text
		}
		return text
	}
	return ""
}
