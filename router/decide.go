package router

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// cutMs is record.CutMs.
const cutMs = record.CutMs

// Kind is what is to be done with a record.
type Kind int

const (
	// ToLevel: Decision.Record is to be written; it waits on its topic.
	ToLevel Kind = iota
	// AtOnce: the record asked for no delay and is to be delivered now.
	AtOnce
	// Dead: the record is a dead letter, for the reason in Decision.Refusal.
	Dead
)

// String is the kind in words.
func (k Kind) String() string {
	switch k {
	case ToLevel:
		return "to level"
	case AtOnce:
		return "at once"
	case Dead:
		return "dead"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// Refusal is why a record cannot be routed: a code and one sentence that quotes
// what was asked for and says what is allowed.
type Refusal = levels.Refusal

// Decision is what becomes of a record.
type Decision struct {
	Kind Kind
	// Level is where the record waits, of an exact time at first; zero where it does not
	// wait.
	Level levels.Level
	// Record is to be written where Kind is ToLevel, and nil otherwise. It
	// shares key, value and the bytes of headers with the record decided on.
	Record *kgo.Record
	// Facts are what is known of the record. That of a dead letter is its
	// acceptance alone.
	Facts levels.Facts
	// Refusal is the reason where Kind is Dead, and nil otherwise.
	Refusal *Refusal
	// Asked is the delay that was asked for; Clamped says that it was above
	// the last level, which was granted. A level number above the last one
	// counts as the last level's delay. For a time it is how long after the
	// acceptance that is.
	Asked   time.Duration
	Clamped bool
	// Attempt is the number of the retry that a record asked for and waits for; 0 for none.
	Attempt int
}

// Decide says what becomes of a record of the inbox that was accepted then, by
// the broker's clock. It reads nothing but its arguments, and it does not change
// the record.
//
// The request is read before the target, so that a record in which both are
// wrong is always refused for its delay-level.
//
// A record is due at its acceptance, plus the level, plus a millisecond for what
// Kafka cuts off; one without delay is due when it was accepted. The due time goes
// with the record, so that the time it lay in the inbox is not waited again. It
// waits on the topic of its level even if it is overdue: records with its key may
// stand there that were sent before it.
//
// A record that asks for an exact time is due then, and waits on the first level of its
// walk; see [levels.Ladder.Step]. One that asks for the past is due when it was accepted.
//
// A record that asks for a retry waits as the Retry of the policy, or its own, says; see
// [levels.RetryLevel].
func (p *Policy) Decide(rec *kgo.Record, accepted time.Time) Decision {
	return p.DecideAt(rec, accepted, accepted)
}

// DecideAt is [Policy.Decide] at a later time than the acceptance, now by the broker's
// clock. Only the first step to an exact time depends on it.
func (p *Policy) DecideAt(rec *kgo.Record, accepted, now time.Time) Decision {
	return p.decide(rec, record.Read(rec.Headers), accepted, now)
}

// decide is DecideAt for a record whose headers are h.
func (p *Policy) decide(rec *kgo.Record, h *record.Headers, accepted, now time.Time) Decision {
	acceptedMs := accepted.UnixMilli()
	d := Decision{Facts: levels.Facts{Partition: levels.ByKey, Accepted: acceptedMs}}
	if record.Timeless(rec) { // accepted is a guess, and duplicates have the same id
		d.Facts.ID = record.OriginID(rec, 0)
	}
	granted, refusal := p.readRequest(h, acceptedMs)
	if refusal != nil {
		return d.dead(refusal)
	}
	targets := p.targets()
	topic, partition, refusal := targets.Resolve(h)
	if refusal != nil {
		return d.dead(refusal)
	}
	d.Asked, d.Clamped = granted.asked, granted.clamped
	d.Facts.Topic, d.Facts.Partition = topic, partition
	d.Facts.Granted = granted.level.String()
	d.Facts.Due = dueMs(acceptedMs, granted.level)
	if granted.exact {
		d.Facts.Granted, d.Facts.Due = levels.GrantedExact, max(granted.due, acceptedMs)
		if d.Facts.Due > acceptedMs {
			granted.level = p.Ladder.Step(time.Duration(d.Facts.Due-now.UnixMilli()) * time.Millisecond)
		}
	}

	if granted.level.Delay == 0 {
		d.Kind = AtOnce
		return d
	}
	d.Kind, d.Level = ToLevel, granted.level
	if d.Attempt = granted.attempt; d.Attempt > 0 {
		rec = record.Retried(rec, d.Attempt)
		h = record.Read(rec.Headers)
	}
	d.Record = h.Hop(rec, p.Names.Level(d.Level), d.Facts)
	return d
}

func (d Decision) dead(r *Refusal) Decision {
	d.Kind, d.Refusal = Dead, r
	return d
}

// dueMs is when a record is due, in Unix milliseconds.
func dueMs(acceptedMs int64, l levels.Level) int64 {
	if l.Delay == 0 {
		return acceptedMs
	}
	return acceptedMs + l.Delay.Milliseconds() + cutMs
}

// grant is the answer to a request.
type grant struct {
	level   levels.Level // zero for no delay
	asked   time.Duration
	clamped bool
	exact   bool  // for an exact time, and no level
	due     int64 // which is this, in Unix milliseconds
	attempt int   // of a retry
}

// readRequest reads the request from headers and answers it.
func (p *Policy) readRequest(h *record.Headers, acceptedMs int64) (grant, *Refusal) {
	if r := h.Misspelt(); r != nil {
		return grant{}, r
	}
	asked, r := h.Asked()
	switch {
	case r != nil:
		return grant{}, r
	case asked.Exact():
		due, r := asked.Due(acceptedMs, p.maxDelay())
		return exactly(due, acceptedMs), r
	case asked.Retry():
		return p.readRetry(h, acceptedMs)
	case asked.Key == "":
		return grant{}, &Refusal{Code: levels.BadLevel, Detail: levels.HeaderLevel +
			" is missing; write a duration such as 10s, 1m30s, 2h or 1d, or a level number such as 3"}
	}
	request, err := levels.ParseRequest(string(asked.Value))
	if err != nil {
		return grant{}, &Refusal{Code: levels.BadLevel, Detail: err.Error()}
	}
	if p.Rounding == levels.Exact && !request.ByNumber {
		due, r := asked.After(acceptedMs, request.Delay, p.maxDelay())
		return exactly(due, acceptedMs), r
	}
	return p.grant(request, asked.Value)
}

func exactly(due, acceptedMs int64) grant {
	return grant{exact: true, due: due, asked: time.Duration(max(0, due-acceptedMs)) * time.Millisecond}
}

// grant answers a request, which was written as value.
func (p *Policy) grant(request levels.Request, value []byte) (grant, *Refusal) {
	level, over := p.Ladder.Grant(request, p.Rounding)
	if p.Ladder.FarAbove(request) {
		last := p.Ladder.Last()
		return grant{}, &Refusal{Code: levels.BadLevel, Detail: fmt.Sprintf(
			"%s %s is a level number, and the last level is number %d (%s); for milliseconds write %dms, for seconds %ds",
			levels.HeaderLevel, record.Quote(value), last.Number, last, request.Number, request.Number)}
	}
	if over && p.rejects() {
		last := p.Ladder.Last()
		return grant{}, &Refusal{Code: levels.OverMax, Detail: fmt.Sprintf(
			"%s %s is above the last level, %s (number %d); ask for at most that, or set --over-max=clamp to grant it",
			levels.HeaderLevel, record.Quote(value), last, last.Number)}
	}
	asked := request.Delay
	if request.ByNumber {
		asked = level.Delay
	}
	return grant{level: level, asked: asked, clamped: over}, nil
}
