package router

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// Prepare returns the record to write so that rec is delivered after a delay: the one
// that a [Producer] with this policy would write. It can be written with any client, in
// any transaction, or later from an outbox table. The delay counts from when the broker
// accepts it; in a transaction it is delivered no sooner than that is committed.
//
// The client has to choose partitions as Kafka's own clients do, which franz-go does by
// default: records with one key then keep their order. The header delay-partition of a
// record without delay is in the Partition of the result, which is -1 otherwise; see
// kgo.RecordPartitioner for one that goes by it.
//
// Fields of the policy that are zero have their defaults. now is when the record is sent,
// where rec has no timestamp, and when one without delay is due. A delay or a target that
// the policy refuses is a [*Refusal] in the error, as in [Producer.SendAsync].
//
// rec is copied, but for the bytes of its key, value and headers.
func (p Policy) Prepare(rec *kgo.Record, delay time.Duration, now time.Time) (*kgo.Record, error) {
	return p.prepare(rec, wish{delay: delay}, now)
}

// PrepareFor is [Policy.Prepare] for an exact delay; see [Producer.SendFor].
func (p Policy) PrepareFor(rec *kgo.Record, delay time.Duration, now time.Time) (*kgo.Record, error) {
	return p.prepare(rec, wish{delay: delay, exact: true}, now)
}

// PrepareUntil is [Policy.Prepare] for an exact time; see [Producer.SendUntil].
func (p Policy) PrepareUntil(rec *kgo.Record, at, now time.Time) (*kgo.Record, error) {
	return p.prepare(rec, wish{at: at, exact: true}, now)
}

func (p Policy) prepare(rec *kgo.Record, wish wish, now time.Time) (*kgo.Record, error) {
	s, err := newSending(p, false)
	if err != nil {
		return nil, prepareError(rec, wish, err)
	}
	made, err := s.prepare(rec, wish, now, rand.Text())
	if err != nil {
		return nil, prepareError(rec, wish, err)
	}
	return made.record, nil
}

// wish is when a record is to be delivered: after a delay, or at a time where that is not
// zero.
type wish struct {
	delay time.Duration
	at    time.Time
	exact bool
}

// String is the wish behind "with".
func (w wish) String() string {
	switch {
	case !w.at.IsZero():
		return "delivery at " + w.at.Format(time.RFC3339Nano)
	case w.exact:
		return "an exact delay of " + w.delay.String()
	}
	return "a delay of " + w.delay.String()
}

// rest is how long it is to wait from now on.
func (w wish) rest(now time.Time) time.Duration {
	if w.at.IsZero() {
		return w.delay
	}
	return w.at.Sub(now)
}

// header is the wish as a record carries it.
func (w wish) header() kgo.RecordHeader {
	switch {
	case !w.at.IsZero():
		return kgo.RecordHeader{Key: levels.HeaderUntil, Value: w.at.UTC().AppendFormat(nil, time.RFC3339Nano)}
	case w.exact:
		return kgo.RecordHeader{Key: levels.HeaderFor, Value: []byte(levels.FormatDelay(w.delay))}
	}
	return kgo.RecordHeader{Key: levels.HeaderLevel, Value: []byte(levels.FormatDelay(w.delay))}
}

// sending decides what a producer writes. It is a value that does not change.
type sending struct {
	policy   Policy // valid, with its defaults
	targets  record.Targets
	noTarget bool // records are for a handler, see ProducerConfig.NoTarget
}

func newSending(p Policy, noTarget bool) (sending, error) {
	p = p.WithDefaults()
	if err := p.Validate(); err != nil {
		return sending{}, err
	}
	targets := p.targets()
	targets.ByField = true
	return sending{p, targets, noTarget}, nil
}

// prepared is what becomes of one record.
type prepared struct {
	record *kgo.Record
	// target is the topic that the record will be delivered to, empty where it is for a
	// handler and names none.
	target  string
	receipt Receipt   // as far as it is known before the record is written
	dueNow  time.Time // of a record without delay
	wish    wish
	clamped bool
}

// due returns when a record is due at the latest that was acknowledged at a time.
func (p *prepared) due(acknowledged time.Time) time.Time {
	switch {
	case p.receipt.Level.Delay == 0:
		return p.dueNow
	case !p.wish.at.IsZero():
		return p.wish.at
	case p.wish.exact:
		return time.UnixMilli(acknowledged.UnixMilli() + cutMs).Add(p.wish.delay)
	}
	return time.UnixMilli(dueMs(acknowledged.UnixMilli(), p.receipt.Level))
}

// prepare returns the record to write for rec: to the topic of a level, or without delay
// to the target. id is for a record that brings none of its own.
func (s *sending) prepare(rec *kgo.Record, wish wish, now time.Time, id string) (prepared, error) {
	wish.exact = wish.exact || s.policy.Rounding == levels.Exact
	level, clamped, refusal := s.grant(wish, now)
	if refusal != nil {
		return prepared{}, refusal
	}
	if refusal := record.Read(rec.Headers).MisplacedCancel(); refusal != nil {
		return prepared{}, refusal
	}
	named := rec.Topic
	if s.noTarget && s.policy.Names.Owns(named) { // a handler delays a record again as it got it
		named = ""
	}
	headers := incoming(rec.Headers, named != "")
	target, partition, refusal := s.resolve(named, headers)
	if refusal != nil {
		return prepared{}, refusal
	}
	headers, id = identify(headers, id)

	sent := now
	if !rec.Timestamp.IsZero() {
		sent = rec.Timestamp
	}
	headers = append(headers, wish.header())
	if target != "" {
		headers = append(headers, kgo.RecordHeader{Key: levels.HeaderTarget, Value: []byte(target)})
	}
	headers = append(headers, kgo.RecordHeader{Key: levels.HeaderSent, Value: strconv.AppendInt(nil, sent.UnixMilli(), 10)})
	out := &kgo.Record{
		Topic:     s.policy.Names.Level(level),
		Partition: levels.ByKey,
		Key:       rec.Key,
		Value:     rec.Value,
		Headers:   headers,
	}
	if level.Delay == 0 {
		granted := level.String()
		if wish.exact {
			granted = levels.GrantedExact
		}
		out = s.atOnce(out, levels.Facts{
			Topic:     target,
			Partition: partition,
			ID:        id,
			Due:       now.UnixMilli(),
			Accepted:  now.UnixMilli(), // no broker has yet
			Granted:   granted,
		})
	}
	receipt := Receipt{ID: id, Level: level, Topic: out.Topic, Partition: unknownPlace, Offset: unknownPlace}
	return prepared{out, target, receipt, time.UnixMilli(now.UnixMilli()), wish, clamped}, nil
}

// atOnce returns the record to write for one without delay: what its target gets, or for
// a handler one that waits on no level. A handler only reads levels' topics, so it is on
// that of the shortest, and a private header says that it is due.
func (s *sending) atOnce(rec *kgo.Record, f levels.Facts) *kgo.Record {
	if s.noTarget {
		return record.Hop(rec, s.policy.Names.Level(s.policy.Ladder.First()), f)
	}
	return record.Final(rec, f)
}

// grant returns the level for a delay. Unlike the router it clamps only if configured to:
// there is a caller to tell. For an exact time it is the first of its walk. One that is
// over waits on the first level, where the service sees by the broker's clock whether it
// is.
func (s *sending) grant(wish wish, now time.Time) (level levels.Level, clamped bool, refusal *Refusal) {
	delay := wish.delay
	if delay < 0 {
		return levels.Level{}, false, &Refusal{Code: levels.BadLevel, Detail: fmt.Sprintf("the delay %s is negative; ask for 0 or more", delay)}
	}
	if wish.exact && (delay != 0 || !wish.at.IsZero()) {
		rest := wish.rest(now)
		if rest > s.policy.MaxDelay {
			return levels.Level{}, false, &Refusal{Code: levels.OverMax, Detail: fmt.Sprintf(
				"%s is %s away, and an exact time may be at most %s away; ask for less, or raise Policy.MaxDelay and the service's --max-delay",
				wish, rest, levels.FormatDelay(s.policy.MaxDelay))}
		}
		return s.policy.Ladder.Step(rest), false, nil
	}
	level, over := s.policy.Ladder.Grant(levels.Request{Delay: delay}, s.policy.Rounding)
	if over && s.policy.OverMax != OverMaxClamp {
		return levels.Level{}, false, &Refusal{Code: levels.OverMax, Detail: fmt.Sprintf(
			"the delay %s is above the last level, %s; ask for at most that, or set Policy.OverMax to OverMaxClamp to grant it", delay, level)}
	}
	return level, over, nil
}

// resolve returns where a record is to be delivered that names a target by its topic, or
// with an empty name by its headers.
func (s *sending) resolve(named string, headers []kgo.RecordHeader) (topic string, partition int32, refusal *Refusal) {
	targets := s.targets
	if named != "" {
		targets.Default = named
	}
	if s.noTarget && targets.Default == "" {
		if _, given := record.Last(headers, levels.HeaderTarget); !given {
			return "", levels.ByKey, record.Misspelt(headers)
		}
	}
	return targets.Resolve(record.Read(headers))
}

// producerAdds is how many headers a producer puts on at most: id, previous id, level,
// target and time.
const producerAdds = 5

// incoming returns a fresh slice of a record's headers without those that the producer
// sets: the caller says level and target otherwise, and private headers that a due
// record still carries where a handler received it would shorten its next delay.
func incoming(h []kgo.RecordHeader, named bool) []kgo.RecordHeader {
	return without(record.WithoutHop(h, producerAdds), func(key string) bool {
		switch key {
		case levels.HeaderLevel, levels.HeaderFor, levels.HeaderUntil, levels.HeaderSent:
			return true
		case levels.HeaderTarget:
			return named
		}
		return false
	})
}

// identify gives headers the id fresh unless they have one, and returns the id in force.
// A record that was delivered before is a new message: its id becomes the previous one.
func identify(headers []kgo.RecordHeader, fresh string) (h []kgo.RecordHeader, id string) {
	own, _ := record.Last(headers, levels.HeaderID)
	_, delivered := record.Last(headers, levels.HeaderGranted)
	if len(own) > 0 && !delivered {
		return headers, string(own)
	}
	headers = without(headers, func(key string) bool {
		switch key {
		case levels.HeaderID, levels.HeaderPreviousID, levels.HeaderGranted, levels.HeaderRequested, levels.HeaderDue, levels.HeaderAccepted:
			return true
		case levels.HeaderAttempt, levels.HeaderRetryCause, levels.HeaderRetryFirstCause, levels.HeaderFirstAccepted:
			return delivered // they are of the message that it was
		}
		return false
	})
	headers = append(headers, kgo.RecordHeader{Key: levels.HeaderID, Value: []byte(fresh)})
	if len(own) > 0 {
		headers = append(headers, kgo.RecordHeader{Key: levels.HeaderPreviousID, Value: own})
	}
	return headers, fresh
}

// without takes the headers out of h whose key is unwanted, in place.
func without(h []kgo.RecordHeader, unwanted func(key string) bool) []kgo.RecordHeader {
	return slices.DeleteFunc(h, func(header kgo.RecordHeader) bool { return unwanted(header.Key) })
}

func prepareError(rec *kgo.Record, wish wish, cause error) error {
	return fmt.Errorf("prepare a record%s with %s: %w", toward("for", rec), wish, cause)
}

// toward is a record's topic behind a word, empty where it names none.
func toward(word string, rec *kgo.Record) string {
	if rec.Topic == "" {
		return ""
	}
	return " " + word + " " + record.Quote([]byte(rec.Topic))
}
