package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Outcome is what became of one topic.
type Outcome int

const (
	// OutcomeCreated: it was missing and is there now.
	OutcomeCreated Outcome = iota
	// OutcomeExisted: it was there and is as it should be, as far as rights allow
	// to see.
	OutcomeExisted
	// OutcomeDrifted: it was there and differs in a way that the service can live
	// with; the detail says what it risks.
	OutcomeDrifted
	// OutcomeFailed: it is missing, or it is there and would lose records.
	OutcomeFailed
	// OutcomeUpdated: it was there and differed, and what could be set is set; the detail
	// says what, and what still differs.
	OutcomeUpdated
	// OutcomeShared: it is as it should be, and another group reads it, too, as the detail
	// says. The service has read it before, and goes on.
	OutcomeShared
)

func (o Outcome) String() string {
	switch o {
	case OutcomeCreated:
		return "created"
	case OutcomeExisted:
		return "existed"
	case OutcomeDrifted:
		return "drifted"
	case OutcomeUpdated:
		return "updated"
	case OutcomeShared:
		return "shared"
	}
	return "failed"
}

// MarshalText is String, for JSON.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Result is what became of one topic.
type Result struct {
	Topic   string
	Outcome Outcome
	// Detail says in sentences, separated by "; ", what differs and what that
	// risks, and what could not be described. "" is nothing.
	Detail string
	// Err says why the outcome is Failed and what to do; nil otherwise.
	Err error
}

// MarshalJSON writes topic, outcome, and where there is something to say detail
// and error.
func (r Result) MarshalJSON() ([]byte, error) {
	out := struct {
		Topic   string  `json:"topic"`
		Outcome Outcome `json:"outcome"`
		Detail  string  `json:"detail,omitempty"`
		Error   string  `json:"error,omitempty"`
	}{Topic: r.Topic, Outcome: r.Outcome, Detail: r.Detail}
	if r.Err != nil {
		out.Error = r.Err.Error()
	}
	return json.Marshal(out)
}

// note adds a sentence to the detail.
func (r *Result) note(sentence string) {
	if r.Detail != "" {
		r.Detail += "; "
	}
	r.Detail += sentence
}

// fail makes the outcome Failed. The first reason stays.
func (r *Result) fail(err error) {
	r.Outcome = OutcomeFailed
	if r.Err == nil {
		r.Err = err
	}
}

// share makes the outcome Shared, unless something is worse.
func (r *Result) share(err error) {
	if r.Outcome != OutcomeFailed {
		r.Outcome = OutcomeShared
	}
	r.note(err.Error())
}

// dispensable has a topic not fail that the service can do without: the one of what
// is paused.
func (r *Result) dispensable() {
	if r.Outcome == OutcomeFailed {
		r.Outcome = OutcomeDrifted
		r.note(fmt.Sprintf("nothing can be paused: %v", r.Err))
		r.Err = nil
	}
}

// Results are one result for each topic: the inbox, the levels from the shortest
// to the longest, the parked and the dead letters' topic, and the one of
// what is paused, which never fails. Behind them are the topics
// of levels that are not in the ladder any more, and those that are spelled like a level's
// by mistake, of which none fails.
type Results []Result

// Err joins what failed, one line each; nil when nothing did.
func (rs Results) Err() error {
	var errs []error
	for _, r := range rs {
		if r.Outcome == OutcomeFailed {
			errs = append(errs, r.Err)
		}
	}
	return errors.Join(errs...)
}

// Transient returns the first error if every failure is one that a later try may not
// meet, such as a broker that is down or starting. It returns nil if nothing failed, or
// if a setting or a right has to be changed first.
func (rs Results) Transient() error {
	var first error
	for _, r := range rs {
		if r.Outcome != OutcomeFailed {
			continue
		}
		if !transient(r.Err) {
			return nil
		}
		first = cmp.Or(first, r.Err)
	}
	return first
}

var (
	errNotShown = errors.New("the brokers do not show it")
	errLeftOut  = errors.New("the broker left it out of its answer")
)

// transient is [Results.Transient] for one error.
func transient(err error) bool {
	if answer, ok := errors.AsType[*kerr.Error](err); ok {
		// Of fewer brokers than replicas: some may be starting.
		return answer.Retriable || answer == kerr.InvalidReplicationFactor
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, errNotShown) || errors.Is(err, errLeftOut) || kgo.IsRetryableBrokerErr(err)
}
