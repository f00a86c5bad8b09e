package record

import (
	"bytes"
	"math"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// CancelAsked is what a record of the inbox asks for: to cancel the records with an id, or to
// replace them. The zero value asks for neither.
type CancelAsked struct {
	ID       []byte
	Cancels  bool // the record is a cancel and nothing else
	Replaces bool // the record takes the place of those with its id
}

// CancelAsked reads the headers delay-cancel and delay-replace. A request that can't be
// followed is refused.
func (h *Headers) CancelAsked() (a CancelAsked, r *levels.Refusal) {
	if h.at[keyCancel] == 0 && h.at[keyReplace] == 0 {
		return a, nil
	}
	if r := h.Misspelt(); r != nil {
		return a, r
	}
	refuse := func(detail string) (CancelAsked, *levels.Refusal) {
		return CancelAsked{}, &levels.Refusal{Code: levels.BadCancel, Detail: detail}
	}
	id, cancels := h.value(keyCancel)
	word, replaces := h.value(keyReplace)
	switch {
	case cancels && replaces:
		return refuse("the record has " + levels.HeaderCancel + " and " + levels.HeaderReplace + "; a cancel replaces nothing: write one of them")
	case cancels && len(id) == 0:
		return refuse(levels.HeaderCancel + " is empty; write the " + levels.HeaderID + " of the record that is not to be delivered")
	case cancels:
		if _, last := h.requests(); last != 0 {
			return refuse("the record has " + levels.HeaderCancel + " and " + h.all[last-1].Key +
				"; a cancel is delivered nowhere: leave one out, or write " + levels.HeaderReplace + ": true")
		}
		return CancelAsked{ID: id, Cancels: true}, nil
	case string(word) == "false":
		return a, nil
	case string(word) != "true":
		return refuse(levels.HeaderReplace + " " + Quote(word) + " is neither true nor false; write true")
	}
	if id, own := h.OwnID(); own {
		return CancelAsked{ID: id, Replaces: true}, nil
	}
	return refuse(levels.HeaderReplace + " needs a " + levels.HeaderID + ": the id of the records that this one takes the place of")
}

// AsksCancel reports whether a record has one of the headers that [Headers.CancelAsked] reads.
func AsksCancel(all []kgo.RecordHeader) bool {
	for i := range all { // for each record: most keys have another length
		switch h := &all[i]; len(h.Key) {
		case len(levels.HeaderCancel), len(levels.HeaderReplace):
			if h.Key == levels.HeaderCancel || h.Key == levels.HeaderReplace {
				return true
			}
		}
	}
	return false
}

// OwnID returns the id that the record's sender gave it. own is false where it has none, and
// where the record was delivered before and sent on: then it gets a new one.
func (h *Headers) OwnID() (id []byte, own bool) {
	id, _ = h.value(keyID)
	_, again := h.value(keyGranted)
	return id, len(id) > 0 && !again
}

// HasOwnID is whether [Headers.OwnID] has one, of headers of which nothing else is asked.
func HasOwnID(all []kgo.RecordHeader) (own bool) {
	for i := range all { // for each record: most keys have another length
		switch h := &all[i]; len(h.Key) {
		case len(levels.HeaderID):
			if h.Key == levels.HeaderID {
				own = len(h.Value) > 0
			}
		case len(levels.HeaderGranted):
			if h.Key == levels.HeaderGranted {
				return false
			}
		}
	}
	return own
}

// Place is where a record stands on the inbox. Its zero value is no place.
type Place struct {
	Partition int32
	Offset    int64
	Known     bool
}

// Subject is what is known of a record that may be hit.
type Subject struct {
	ID, Key []byte // a nil key is none
	// Accepted is when it was first accepted, in Unix milliseconds, and Place where on the
	// inbox.
	Accepted int64
	Place    Place
	// Unique says that the service made the id: no other record has it.
	Unique bool
}

// Subject returns what a cancel has to know of a record on a level. accepted is when the
// level accepted it, in Unix milliseconds; it counts where the record did not come by the inbox.
func (h *Headers) Subject(rec *kgo.Record, inbox string, accepted int64) Subject {
	s := Subject{Key: rec.Key, Accepted: accepted}
	_, routed := h.Facts()
	origin, _ := h.value(keyHopID)
	if routed {
		s.Accepted, _ = h.number(keyHopAccepted, math.MaxInt64)
		s.Place = placeOf(origin, inbox)
	}
	id, own := h.OwnID()
	switch {
	case own:
		s.ID = id
	case routed:
		s.ID, s.Unique = origin, true
	case Timeless(rec):
		s.ID, s.Unique = appendOriginID(nil, rec, 0), true
	default:
		s.ID, s.Unique = appendOriginID(nil, rec, accepted), true
	}
	return s
}

// SubjectOf is [Headers.Subject] of a record that was parked, by what is known of it.
func SubjectOf(src *kgo.Record, f *levels.Facts, inbox string) Subject {
	s := Subject{Key: src.Key, Accepted: f.Accepted, Place: placeOf([]byte(f.ID), inbox)}
	if id, own := Read(src.Headers).OwnID(); own {
		s.ID = id
		return s
	}
	s.ID, s.Unique = appendID(f, nil, src), true
	return s
}

// CancelPartition returns the partition of the inbox by which cancels of a record on a level come
// that have its key and are sent as it was: by which it came, or else the one with the number of its level's.
func CancelPartition(rec *kgo.Record, inbox string) int32 {
	if id, ok := Last(rec.Headers, KeyID); ok {
		if p := placeOf(id, inbox); p.Known {
			return p.Partition
		}
	}
	return rec.Partition
}

// placeOf returns the place on the inbox that an id made by [OriginID] names, topic-partition-offset-time.
func placeOf(id []byte, inbox string) (p Place) {
	if len(id) <= len(inbox) || string(id[:len(inbox)]) != inbox || id[len(inbox)] != '-' {
		return p
	}
	partition, rest, _ := bytes.Cut(id[len(inbox)+1:], []byte{'-'})
	offset, _, _ := bytes.Cut(rest, []byte{'-'})
	n, okPartition := parseNumber(partition, math.MaxInt32)
	at, okOffset := parseNumber(offset, math.MaxInt64)
	if !okPartition || !okOffset {
		return p
	}
	return Place{Partition: int32(n), Offset: at, Known: true}
}

// MisplacedCancel refuses a record that was written straight to a level and has a header that
// works on the inbox only.
func (h *Headers) MisplacedCancel() *levels.Refusal {
	a, r := h.CancelAsked()
	if r != nil || !a.Cancels && !a.Replaces {
		return r
	}
	key := levels.HeaderReplace
	if a.Cancels {
		key = levels.HeaderCancel
	}
	return &levels.Refusal{Code: levels.BadCancel, Detail: key + " works on the inbox only, and not on the topic of a level; write the record to the inbox"}
}
