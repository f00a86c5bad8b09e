package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/describe"
)

const (
	// createTimeout is how long a broker may take to create topics. It is told
	// to the broker.
	createTimeout = 15 * time.Second
	// appearTimeout is how long new topics may take to show up with leaders on
	// the broker that we ask.
	appearTimeout = 30 * time.Second
	// lookTimeout bounds each look at what the start can do without, and ownersTimeout
	// the one at all groups of the cluster: a broker that hangs must not hold it up.
	// What is not seen is noted.
	lookTimeout   = 4 * time.Second
	ownersTimeout = 8 * time.Second
	// appearPause is the wait between two looks for them.
	appearPause = 50 * time.Millisecond
)

// Ensure creates the topics that are missing and verifies all. It can be run
// again and by many processes at once: that a topic exists already is an outcome
// and no failure. The right to create is needed only for what is missing, and
// without the right to read settings they count as good, with a note.
//
// There are no results when the cluster did not answer; the error then says why,
// and trying again can help. Otherwise there is a result for each topic and the
// error is [Results.Err]: something is missing that cannot be created, or would
// lose records, and the service must not start.
func Ensure(ctx context.Context, cl *kgo.Client, spec Spec) (Results, error) {
	return bring(ctx, cl, spec, true, false)
}

// Apply is Ensure, and changes the settings of topics that exist where they
// differ: all that plan calls safe. Nothing is deleted by it, no limit made
// smaller and no partition added; that, and what needs a person's judgement,
// stays as it is and is reported. A topic that was updated is Updated.
func Apply(ctx context.Context, cl *kgo.Client, spec Spec) (Results, error) {
	return bring(ctx, cl, spec, true, true)
}

// Verify is Ensure without creating: a topic that is missing is Failed.
func Verify(ctx context.Context, cl *kgo.Client, spec Spec) (Results, error) {
	return bring(ctx, cl, spec, false, false)
}

func bring(ctx context.Context, cl *kgo.Client, spec Spec, create, fix bool) (Results, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	topics := spec.topics()
	c, seen, err := metadata(ctx, cl, names(topics)...)
	if err != nil {
		return nil, err
	}
	within(ctx, lookTimeout, func(ctx context.Context) { _ = c.defaults(ctx, cl, spec) }) // without them those of the profile do

	var refused map[string]error
	if missing := absent(topics, seen); create && len(missing) > 0 {
		if inbox := topics[0].name; seen[inbox].Exists() {
			limits, _ := topicSettings(ctx, cl, []string{inbox})
			c.follow(limits[inbox])
		}
		refused = createTopics(ctx, cl, spec, c, missing, false)
		if seen, err = appear(ctx, cl, topics, refused); err != nil {
			return nil, err
		}
	}

	results := make(Results, len(topics))
	for i, t := range topics {
		results[i] = outcome(t, seen[t.name], create, refused)
		if !t.carries() {
			results[i].dispensable()
		}
	}
	verify(ctx, cl, spec, c, seen, results, fix)
	within(ctx, ownersTimeout, func(ctx context.Context) { owners(ctx, cl, spec, results) })
	within(ctx, lookTimeout, func(ctx context.Context) { results = append(results, spec.retired(ctx, cl)...) })
	return results, results.Err()
}

// within gives look a context that ends after some time.
func within(ctx context.Context, timeout time.Duration, look func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	look(ctx)
}

// absent are the topics that do not exist.
func absent(topics []topic, seen map[string]describe.Topic) (missing []topic) {
	for _, t := range topics {
		if f := seen[t.name]; f.Err == nil && !f.Exists() {
			missing = append(missing, t)
		}
	}
	return missing
}

func names(topics []topic) []string {
	list := make([]string, len(topics))
	for i, t := range topics {
		list[i] = t.name
	}
	return list
}

// outcome is what became of a topic before its settings are checked. refused has
// an entry for each topic that was to be created, nil where it was.
func outcome(t topic, f describe.Topic, create bool, refused map[string]error) Result {
	r := Result{Topic: t.name, Outcome: OutcomeExisted}
	why, tried := refused[t.name]
	switch {
	case f.Err != nil:
		r.fail(f.Err)
	case f.Exists() && tried && why == nil:
		r.Outcome = OutcomeCreated
	case f.Exists(): // another process may have been faster
	case !create:
		r.fail(fmt.Errorf("topic %s: it does not exist; create it with delayd admin provision", t.name))
	case why == nil || errors.Is(why, kerr.TopicAlreadyExists):
		r.fail(fmt.Errorf("create topic %s: %w after %v; start again when they do", t.name, errNotShown, appearTimeout))
	default:
		r.fail(why)
	}
	return r
}

// createTopics asks for all missing topics at once and returns the answer for
// each, nil for created. With try nothing is created: the answers are the same.
func createTopics(ctx context.Context, cl *kgo.Client, spec Spec, c cluster, missing []topic, try bool) map[string]error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.ValidateOnly = try
	req.TimeoutMillis = int32(createTimeout.Milliseconds())
	for _, t := range missing {
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = t.name, t.partitions, spec.Replicas
		for _, s := range t.settings(c) {
			rc := kmsg.NewCreateTopicsRequestTopicConfig()
			rc.Name, rc.Value = s.key, kmsg.StringPtr(s.value)
			rt.Configs = append(rt.Configs, rc)
		}
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, cl)
	noAnswer := cmp.Or(err, errLeftOut)
	answers := make(map[string]error, len(missing))
	for _, t := range missing {
		answers[t.name] = fmt.Errorf("create topic %s: %w", t.name, noAnswer)
	}
	if err == nil {
		for _, t := range resp.Topics {
			answers[t.Topic] = createError(t.Topic, describe.Refusal(t.ErrorCode, t.ErrorMessage))
		}
	}
	return answers
}

// createError says what a person can do about a refused creation.
func createError(topic string, err error) error {
	switch {
	case err == nil:
		return nil
	case connect.Denied(err):
		return fmt.Errorf("create topic %s: %w, or let someone who has that right run delayd admin provision",
			topic, connect.Grant(err, connect.Create, "topic "+topic))
	case errors.Is(err, kerr.InvalidConfig), errors.Is(err, kerr.PolicyViolation):
		return fmt.Errorf("create topic %s: %w; create it by hand with the settings that this cluster allows, cleanup.policy=delete, retention.ms=-1 and retention.bytes=-1 at least",
			topic, err)
	}
	if errors.Is(err, kerr.InvalidReplicationFactor) {
		return fmt.Errorf("create topic %s: %w; start more brokers, or make the topics with delayd admin provision --replicas N", topic, err)
	}
	return fmt.Errorf("create topic %s: %w", topic, err)
}

// appear waits until the topics that were created, by us or someone else, have
// leaders, and returns what the brokers know then. What was refused otherwise is
// not waited for, but may be there all the same: created by someone meanwhile.
func appear(ctx context.Context, cl *kgo.Client, topics []topic, answers map[string]error) (map[string]describe.Topic, error) {
	deadline := time.Now().Add(appearTimeout)
	for {
		_, seen, err := metadata(ctx, cl, names(topics)...)
		if err != nil {
			return nil, err
		}
		there := true
		for name, err := range answers {
			if err == nil || errors.Is(err, kerr.TopicAlreadyExists) || errors.Is(err, kerr.RequestTimedOut) {
				there = there && seen[name].Exists() && seen[name].Led
			}
		}
		if there || time.Now().After(deadline) {
			return seen, nil
		}
		if !pause(ctx, appearPause) {
			return nil, fmt.Errorf("wait for the new topics: %w", context.Cause(ctx))
		}
	}
}
