package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// identityHeader carries the identity of a record whose value cannot.
const identityHeader = "torture"

const (
	runLength = 8  // letters that a run is called
	idLength  = 12 // digits of a number, so that all identities are equally long
	identity  = runLength + 1 + idLength
)

// record builds the record that a producer sends.
func (m *mix) record(c *recipe) *kgo.Record {
	rec := &kgo.Record{Topic: m.names.Inbox(), Partition: byKey, Key: m.key(c), Value: m.value(c)}
	if c.stamp != 0 {
		rec.Timestamp = time.Now().Add(c.stamp)
	}
	var request []kgo.RecordHeader
	if !c.unaddressed {
		request = append(request, kgo.RecordHeader{Key: levels.HeaderTarget, Value: []byte(m.target(c))})
	}
	if c.way == straight {
		rec.Topic = m.names.Level(c.level)
	}
	if c.ask != byLevel {
		request = append(request, c.exactRequest(time.Now()))
	} else if c.way != straight {
		request = append(request, kgo.RecordHeader{Key: levels.HeaderLevel, Value: []byte(m.asked(c))})
	}
	if asked := c.askedPartition; asked != "" {
		request = append(request, kgo.RecordHeader{Key: levels.HeaderPartition, Value: []byte(asked)})
	} else if c.partition != byKey {
		request = append(request, kgo.RecordHeader{Key: levels.HeaderPartition, Value: strconv.AppendInt(nil, int64(c.partition), 10)})
	}
	if c.hopDue != "" {
		request = append(request, kgo.RecordHeader{Key: record.KeyDue, Value: []byte(c.hopDue)})
	}
	if c.ownID {
		request = append(request, kgo.RecordHeader{Key: levels.HeaderID, Value: m.ownID(c)})
	}
	if m.skew != 0 {
		rec.Timestamp = m.producerTime(c, time.Now())
	}
	own := m.headers(c)
	// The request stands anywhere among the producer's own headers.
	at := int(c.headers % uint64(len(own)+1))
	rec.Headers = append(append(append(rec.Headers, own[:at]...), request...), own[at:]...)
	return rec
}

// producerTime is what the clock of a record's producer shows.
func (m *mix) producerTime(c *recipe, now time.Time) time.Time {
	if c.producer%2 == 0 {
		return now.Add(m.skew)
	}
	return now.Add(-m.skew)
}

func (m *mix) target(c *recipe) string {
	if c.to != "" {
		return c.to
	}
	return m.targets[c.target]
}

// asked is how the producer writes the level.
func (m *mix) asked(c *recipe) string {
	switch {
	case c.asked != "":
		return c.asked
	case c.level.Delay == 0:
		return "0"
	case c.spelling == 1:
		return strconv.Itoa(c.level.Number)
	case c.spelling == 2:
		return strconv.FormatInt(c.level.Delay.Milliseconds(), 10) + "ms"
	}
	return c.level.String()
}

func (m *mix) key(c *recipe) []byte {
	switch c.key {
	case nullKey:
		return nil
	case emptyKey:
		return []byte{}
	}
	return fmt.Appendf(nil, "key-%d-%d\x00", c.producer, c.key)
}

func (m *mix) ownID(c *recipe) []byte { return append(m.identity(c.id), "-own"...) }

// identity names a record: the run and its number.
func (m *mix) identity(id int64) []byte { return fmt.Appendf(nil, "%s %0*d", m.run, idLength, id) }

// value is the identity, what the record is for those who look at a topic, and
// bytes that follow from the number.
func (m *mix) value(c *recipe) []byte {
	switch {
	case c.nullValue:
		return nil
	case c.padding < 0:
		return []byte{}
	}
	end := "committed"
	if c.aborted {
		end = "aborted"
	}
	v := fmt.Appendf(m.identity(c.id), " producer %d key %d %s %s to %s/%d %s\n",
		c.producer, c.key, c.way, c.waits(), m.target(c), c.partition, end)
	v = append(v, noise(c.headers, c.padding)...)
	return append(v, bytes.Repeat([]byte("a"), c.letters)...)
}

// noise is n bytes that follow from a seed.
func noise(seed uint64, n int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

// headers are the producer's own: none, some, the same key more than once, empty
// and null values, bytes that are no text, and keys that look like ours.
func (m *mix) headers(c *recipe) []kgo.RecordHeader {
	var hs []kgo.RecordHeader
	if c.nullValue || c.padding < 0 {
		hs = append(hs, kgo.RecordHeader{Key: identityHeader, Value: m.identity(c.id)})
	}
	r := rand.New(rand.NewPCG(c.headers, 0))
	for range r.IntN(5) {
		h := kgo.RecordHeader{Key: []string{"a", "a", "b", "", "delay-x", "Ünï"}[r.IntN(6)]}
		switch r.IntN(4) {
		case 0: // null
		case 1:
			h.Value = []byte{}
		default:
			h.Value = noise(r.Uint64(), 1+r.IntN(20))
		}
		hs = append(hs, h)
	}
	for i := range c.crowd {
		hs = append(hs, kgo.RecordHeader{Key: "crowd", Value: strconv.AppendInt(nil, int64(i), 10)})
	}
	return hs
}

// number reads a record's number off its value or, where that has none, its
// header. It is false for a record that is none of this run's, or whose identity
// did not survive.
func (m *mix) number(rec *kgo.Record) (int64, bool) {
	if id, ok := m.parse(rec.Value); ok {
		return id, true
	}
	for _, h := range rec.Headers {
		if h.Key == identityHeader {
			return m.parse(h.Value)
		}
	}
	return 0, false
}

func (m *mix) parse(b []byte) (int64, bool) {
	if len(b) < identity || !bytes.HasPrefix(b, []byte(m.run+" ")) {
		return 0, false
	}
	id, err := strconv.ParseUint(string(b[runLength+1:identity]), 10, 63)
	return int64(id), err == nil
}

// added are the headers that a delivered record carries beside those that its
// producer set for its consumer, and lettered those of a dead letter.
var (
	added = map[string]bool{
		levels.HeaderID: true, levels.HeaderDue: true, levels.HeaderAccepted: true, levels.HeaderGranted: true,
		levels.HeaderRequested: true, levels.HeaderPreviousID: true,
	}
	lettered = map[string]bool{
		levels.HeaderID: true, levels.HeaderError: true, levels.HeaderErrorDetail: true,
		levels.HeaderOrigin: true, levels.HeaderAttempts: true,
		levels.HeaderUntil: true, // which its producer alone knows
	}
)

// without are the headers whose keys are not among those.
func without(hs []kgo.RecordHeader, keys map[string]bool) []kgo.RecordHeader {
	var kept []kgo.RecordHeader
	for _, h := range hs {
		if !keys[h.Key] {
			kept = append(kept, h)
		}
	}
	return kept
}

// difference says in what a record that arrived differs from what its producer
// sent, "" for nothing: a null is not an empty value, and order counts.
func (m *mix) difference(c *recipe, rec *kgo.Record) string {
	want := m.headers(c)
	return compare(m.key(c), m.value(c), want, rec, without(rec.Headers, added))
}

// deadDifference is the same for a dead letter, which keeps the request.
func (m *mix) deadDifference(c *recipe, rec *kgo.Record) string {
	want := record.WithoutHop(m.record(c).Headers, 0)
	return compare(m.key(c), m.value(c), without(want, lettered), rec, without(rec.Headers, lettered))
}

func compare(key, value []byte, want []kgo.RecordHeader, rec *kgo.Record, got []kgo.RecordHeader) string {
	var parts []string
	if !same(rec.Key, key) {
		parts = append(parts, fmt.Sprintf("key %q, want %q", rec.Key, key))
	}
	if !same(rec.Value, value) {
		parts = append(parts, fmt.Sprintf("value %.60q (%d bytes), want %.60q (%d bytes)", rec.Value, len(rec.Value), value, len(value)))
	}
	if !sameHeaders(got, want) {
		parts = append(parts, fmt.Sprintf("headers %q, want %q", got, want))
	}
	return strings.Join(parts, "; ")
}

func sameHeaders(a, b []kgo.RecordHeader) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Key != b[i].Key || !same(a[i].Value, b[i].Value) {
			return false
		}
	}
	return true
}

func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
