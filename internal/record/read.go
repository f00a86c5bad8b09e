package record

import (
	"math"
	"math/bits"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// Headers is a record's headers, read in one pass by [Read]. Everything that is asked
// of a record on one hop is answered from here without another search: its due time and
// the other facts, its request, its destination, and which headers its target gets. It
// shares the headers with the record.
type Headers struct {
	all []kgo.RecordHeader
	// at holds, for each key that means something, one more than the position of the
	// last header with that key. 0: there is none. Positions instead of values keep the
	// struct small and free of pointers.
	at [keys]int32
	// misspelt is one more than the position of the first misspelt header.
	misspelt int32
	// kept marks the headers that the target gets: those that mean nothing here. private
	// marks those under KeyPrefix. Both cover the first maxMarked headers.
	kept, private uint64
}

// maxMarked is how many headers have a mark. The few records with more have their keys
// compared again when they are copied.
const maxMarked = 64

// key is one that means something to the service.
type key uint8

const (
	keyNone key = iota // means nothing to the service
	keyLevel
	keyFor
	keyUntil
	keyTarget
	keyPartition
	keyID
	keyGranted
	keyPreviousID
	keyCancel
	keyReplace
	keyDropped // means something on a record that leaves the service, and nothing on one that comes
	keyHopDue
	keyHopAccepted
	keyHopGranted
	keyHopID
	keyHopTarget
	keyHopOrigin
	keyHopSince
	keyHopPartition
	keyHopKey
	keyHopAttempt
	keyHopFirstDue
	keyHopOther // under KeyPrefix, from another version or forged
	keys
)

func (k key) private() bool { return k >= keyHopDue }

// keyOf returns what a key means.
func keyOf(name string) key {
	if len(name) < len(levels.HeaderID) || name[0] != 'd' || name[len(ourPrefix)-1] != '-' { // most are not ours
		return keyNone
	}
	if isHop(name) {
		return hopKey(name)
	}
	switch name {
	case levels.HeaderLevel:
		return keyLevel
	case levels.HeaderFor:
		return keyFor
	case levels.HeaderUntil:
		return keyUntil
	case levels.HeaderTarget:
		return keyTarget
	case levels.HeaderPartition:
		return keyPartition
	case levels.HeaderID:
		return keyID
	case levels.HeaderGranted:
		return keyGranted
	case levels.HeaderPreviousID:
		return keyPreviousID
	case levels.HeaderCancel:
		return keyCancel
	case levels.HeaderReplace:
		return keyReplace
	case levels.HeaderDue, levels.HeaderAccepted, levels.HeaderRequested,
		// Those in deathKeys: what is delivered is no dead letter.
		levels.HeaderError, levels.HeaderErrorDetail, levels.HeaderOrigin, levels.HeaderAttempts,
		levels.HeaderValueLength, levels.HeaderValueHash, levels.HeaderKeyLength, levels.HeaderKeyHash, levels.HeaderHeadersLeftOut:
		return keyDropped
	}
	return keyNone
}

// ourPrefix begins all keys of the service, private and public.
const ourPrefix = "delay-"

// hopKey returns what a private key means.
func hopKey(name string) key {
	switch name {
	case KeyDue:
		return keyHopDue
	case KeyAccepted:
		return keyHopAccepted
	case KeyGranted:
		return keyHopGranted
	case KeyID:
		return keyHopID
	case KeyTarget:
		return keyHopTarget
	case KeyOrigin:
		return keyHopOrigin
	case KeySince:
		return keyHopSince
	case KeyPartition:
		return keyHopPartition
	case KeyKey:
		return keyHopKey
	case KeyAttempt:
		return keyHopAttempt
	case KeyFirstDue:
		return keyHopFirstDue
	}
	return keyHopOther
}

// Read reads headers in one pass. It is small enough to be inlined, so that the result
// is on the caller's stack.
func Read(all []kgo.RecordHeader) *Headers {
	h := new(Headers)
	h.read(all)
	return h
}

func (h *Headers) read(all []kgo.RecordHeader) {
	*h = Headers{all: all}
	for i := range all {
		name := all[i].Key
		k := keyOf(name)
		h.at[k] = int32(i + 1)
		switch {
		case k == keyNone:
			h.kept |= 1 << i // nothing beyond maxMarked
			if h.misspelt == 0 && isMisspelt(name) {
				h.misspelt = int32(i + 1)
			}
		case k.private():
			h.private |= 1 << i
		}
	}
}

// value returns the value of the last header with a key.
func (h *Headers) value(k key) (value []byte, given bool) {
	if h.at[k] == 0 {
		return nil, false
	}
	return h.all[h.at[k]-1].Value, true
}

// number returns that value as a number from 0 to limit.
func (h *Headers) number(k key, limit int64) (int64, bool) {
	value, _ := h.value(k)
	return parseNumber(value, limit)
}

// Target returns the value of [levels.HeaderTarget].
func (h *Headers) Target() (value []byte, given bool) { return h.value(keyTarget) }

// Misspelt is [Misspelt] of these headers.
func (h *Headers) Misspelt() *levels.Refusal {
	if h.misspelt == 0 {
		return nil
	}
	return misspelt(h.all[h.misspelt-1].Key)
}

// Facts reads what [Hop] put on. ok is false if any of it is missing or malformed: then
// the record counts as written straight to the level topic.
//
// Anyone who may write to the topic can write these headers. What they say is well
// formed, not true: the forwarder bounds the due time by the level, and a name in
// Granted need not be a level.
func (h *Headers) Facts() (f levels.Facts, ok bool) {
	due, accepted, granted, id := h.hopValues()
	if f, ok = hopFacts(due, accepted, granted, id); ok {
		f.ID = string(id)
	}
	return f, ok
}

// hopValues returns the values of the headers that appendHop makes, nil for one that is
// missing.
func (h *Headers) hopValues() (due, accepted, granted, id []byte) {
	due, _ = h.value(keyHopDue)
	accepted, _ = h.value(keyHopAccepted)
	granted, _ = h.value(keyHopGranted)
	id, _ = h.value(keyHopID)
	return due, accepted, granted, id
}

// Retry reads what [Again] put on a record that is due at dueMs, in Unix milliseconds.
// Anyone who may write to the topic can write these headers: they can make a record a
// dead letter sooner and never wait longer. What is malformed counts as absent.
func (h *Headers) Retry(dueMs int64) Retry {
	r := Retry{Due: dueMs}
	n, ok := h.number(keyHopAttempt, math.MaxInt32)
	if !ok {
		return r
	}
	r.Attempts = int(n)
	if first, ok := h.number(keyHopFirstDue, math.MaxInt64); ok {
		r.Due = min(first, dueMs)
	}
	return r
}

// keptCount returns how many headers the target gets at most.
func (h *Headers) keptCount() int {
	if len(h.all) > maxMarked {
		return len(h.all)
	}
	return bits.OnesCount64(h.kept)
}

// appendKept appends the headers that the target gets.
func (h *Headers) appendKept(to []kgo.RecordHeader) []kgo.RecordHeader {
	if len(h.all) > maxMarked {
		for i := range h.all {
			if keyOf(h.all[i].Key) == keyNone {
				to = append(to, h.all[i])
			}
		}
		return to
	}
	for m := h.kept; m != 0; m &= m - 1 {
		to = append(to, h.all[bits.TrailingZeros64(m)])
	}
	return to
}

// withoutHop is [WithoutHop] of these headers.
func (h *Headers) withoutHop(more int) []kgo.RecordHeader {
	if h.private != 0 || len(h.all) > maxMarked {
		return WithoutHop(h.all, more)
	}
	return append(make([]kgo.RecordHeader, 0, len(h.all)+more), h.all...)
}
