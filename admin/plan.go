package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/describe"
)

// Action is what is to be done about one topic.
type Action int

const (
	// ActionNone: there is nothing to do.
	ActionNone Action = iota
	// ActionCreate: it is missing.
	ActionCreate
	// ActionUpdate: it exists but differs, in a way that [Apply] can correct.
	ActionUpdate
	// ActionConflict: it is there and right, but another group reads it too, and the
	// service does not start.
	ActionConflict
	// ActionStray: it is spelled like one of the service's, and nothing reads it.
	ActionStray
	// ActionUnknown: the topic could not be described, so nobody knows what it
	// needs.
	ActionUnknown
)

func (a Action) String() string {
	switch a {
	case ActionNone:
		return "none"
	case ActionCreate:
		return "create"
	case ActionUpdate:
		return "update"
	case ActionConflict:
		return "conflict"
	case ActionStray:
		return "stray"
	}
	return "unknown"
}

// MarshalText is String, for JSON.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Step is what a plan says of one topic.
type Step struct {
	Topic  string
	Action Action
	// Commands are what does it, with Kafka's own tools. `delayd admin provision`
	// creates too, and [Apply] fixes what is safe to fix.
	Commands []string
	// Drifts are all in which it differs, those that may stay included.
	Drifts []Drift
	// Err says what is in the way: why it cannot be described, why this user
	// could not create it, or who else reads it. nil is nothing.
	Err error
	// Note says what else is not known; "" is nothing.
	Note string
}

// MarshalJSON leaves out what there is nothing to say of.
func (s Step) MarshalJSON() ([]byte, error) {
	out := struct {
		Topic    string   `json:"topic"`
		Action   Action   `json:"action"`
		Commands []string `json:"commands,omitempty"`
		Drifts   []Drift  `json:"drifts,omitempty"`
		Error    string   `json:"error,omitempty"`
		Note     string   `json:"note,omitempty"`
	}{Topic: s.Topic, Action: s.Action, Commands: s.Commands, Drifts: s.Drifts, Note: s.Note}
	if s.Err != nil {
		out.Error = s.Err.Error()
	}
	return json.Marshal(out)
}

// Steps are one step for each topic, in the order of [Results], and then one for each
// topic that is spelled like one of them by mistake.
type Steps []Step

// ToDo reports whether there is something to do, as far as that is known.
func (steps Steps) ToDo() bool {
	return slices.ContainsFunc(steps, func(s Step) bool { return s.Action != ActionNone && s.Action != ActionUnknown })
}

// Err joins the errors of topics that could not be described; nil if there are
// none.
func (steps Steps) Err() error {
	var errs []error
	for _, s := range steps {
		if s.Action == ActionUnknown {
			errs = append(errs, s.Err)
		}
	}
	return errors.Join(errs...)
}

// Plan says what [Ensure] would create, and each thing in which a topic that
// exists differs, with what it risks and what fixes it. It changes nothing.
//
// Topics that are missing are tried on the brokers, so that a right that this user
// does not have, or a setting that they refuse, is known before.
//
// The error is that of a cluster that does not answer, or [Steps.Err]: then the
// steps are there, and not complete.
func Plan(ctx context.Context, cl *kgo.Client, spec Spec) (Steps, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	topics := spec.topics()
	c, seen, err := metadata(ctx, cl, names(topics)...)
	if err != nil {
		return nil, err
	}
	limits := c.defaults(ctx, cl, spec)
	settings, unread := topicSettings(ctx, cl, existing(topics, seen))
	inbox := settings[spec.Names.Inbox()]
	c.follow(inbox)

	k, steps := toolsFor(cl), make(Steps, len(topics))
	refused := tried(ctx, cl, spec, c, absent(topics, seen))
	for i, t := range topics {
		s, f := &steps[i], seen[t.name]
		s.Topic = t.name
		switch {
		case f.Err != nil:
			s.Action, s.Err = ActionUnknown, f.Err
			continue
		case !f.Exists():
			s.Action, s.Err = ActionCreate, refused[t.name]
			s.Commands = []string{k.create(t, c, spec.Replicas)}
			continue
		}
		d := settings[t.name]
		s.compare(t.drifts(spec, c, f, d.Values, k), t.name, k)
		if err := unverified(t.name, d, unread); err != nil {
			s.Action, s.Err = ActionUnknown, fmt.Errorf("topic %s: %w", t.name, err)
		}
	}
	if limits != nil && number(inbox.Values, maxMessage, 0) == 0 {
		steps[0].Note = fmt.Sprintf("not known how large a record the brokers take, and %d bytes are assumed: %v", c.maxMessage,
			connect.Grant(limits, connect.DescribeConfigs, "the cluster"))
	}
	steps.share(ctx, cl, spec)
	if _, all, err := metadata(ctx, cl); err == nil { // who may see all topics
		for _, r := range spec.strays(all) {
			steps = append(steps, Step{Topic: r.Topic, Action: ActionStray, Note: r.Detail})
		}
	}
	return steps, steps.Err()
}

// existing are the names of the topics that are there.
func existing(topics []topic, seen map[string]describe.Topic) (there []string) {
	for _, t := range topics {
		if f := seen[t.name]; f.Err == nil && f.Exists() {
			there = append(there, t.name)
		}
	}
	return there
}

// tried is why topics could not be created by this user, nil where they could.
func tried(ctx context.Context, cl *kgo.Client, spec Spec, c cluster, missing []topic) map[string]error {
	if len(missing) == 0 {
		return nil
	}
	answers := createTopics(ctx, cl, spec, c, missing, true)
	for name, err := range answers {
		if errors.Is(err, kerr.TopicAlreadyExists) { // someone was faster
			answers[name] = nil
		}
	}
	return answers
}

// compare makes a step of drifts. What can be set is set by one command, because
// one setting may only be safe together with another.
func (s *Step) compare(drifts []Drift, topic string, k tools) {
	s.Drifts = drifts
	if settings := safe(drifts); len(settings) > 0 {
		s.Commands = []string{k.set(topic, settings...)}
	}
	for _, d := range drifts {
		if d.Fix != "" && !d.Safe && !slices.Contains(s.Commands, d.Fix) {
			s.Commands = append(s.Commands, d.Fix)
		}
	}
	if len(s.Commands) > 0 {
		s.Action = ActionUpdate
	}
}

// share enters who else reads the level topics.
func (steps Steps) share(ctx context.Context, cl *kgo.Client, spec Spec) {
	results := make(Results, len(steps))
	for i, s := range steps {
		results[i] = Result{Topic: s.Topic, Outcome: OutcomeExisted}
		if s.Action == ActionCreate || s.Action == ActionUnknown {
			results[i].Outcome = OutcomeFailed
		}
	}
	owners(ctx, cl, spec, results)
	for i, r := range results {
		if r.Detail != "" {
			steps[i].Note = r.Detail
		}
		if r.Err == nil && r.Outcome != OutcomeShared {
			continue
		}
		steps[i].Err = r.Err
		if steps[i].Action == ActionNone {
			steps[i].Action = ActionConflict
		}
	}
}
