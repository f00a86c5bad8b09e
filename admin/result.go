package admin

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Outcome is what became of one topic.
type Outcome int

const (
	// Created: it was missing and is there now.
	Created Outcome = iota
	// Existed: it was there and is as it should be, as far as we may look.
	Existed
	// Drifted: it was there and differs in a way that the service can live
	// with; the detail says what it risks.
	Drifted
	// Failed: it is missing, or it is there and would lose records.
	Failed
	// Mended: it was there and differed, and what could be set is set; the detail
	// says what, and what still differs.
	Mended
)

func (o Outcome) String() string {
	switch o {
	case Created:
		return "created"
	case Existed:
		return "existed"
	case Drifted:
		return "drifted"
	case Mended:
		return "mended"
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
	// risks, and what could not be looked at. "" is nothing.
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
	r.Outcome = Failed
	if r.Err == nil {
		r.Err = err
	}
}

// dispensable has a topic not fail that the service can do without: the one of what
// is paused.
func (r *Result) dispensable() {
	if r.Outcome == Failed {
		r.Outcome = Drifted
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
		if r.Outcome == Failed {
			errs = append(errs, r.Err)
		}
	}
	return errors.Join(errs...)
}
