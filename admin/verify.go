package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/describe"
)

// describeTries is how often settings are asked for while a broker does not know
// a new topic yet that another one knows already.
const describeTries = 20

// verify compares every topic that exists with what is wanted, and tells the
// results. With fix it first sets what can be set without a risk.
func verify(ctx context.Context, cl *kgo.Client, spec Spec, c cluster, seen map[string]describe.Topic, results Results, fix bool) {
	var there []string
	for _, r := range results {
		if r.Outcome != OutcomeFailed && seen[r.Topic].Exists() {
			there = append(there, r.Topic)
		}
	}
	if len(there) == 0 {
		return
	}
	settings, err := topicSettings(ctx, cl, there)
	c.follow(settings[spec.Names.Inbox()])
	topics, k := spec.topics(), toolsFor(cl)
	if fix && err == nil {
		amend(ctx, cl, topics, results, settings, func(t topic) []setting {
			return safe(t.drifts(spec, c, seen[t.name], settings[t.name].Values, k))
		})
	}

	for i, t := range topics {
		r := &results[i]
		if r.Outcome == OutcomeFailed || !seen[t.name].Exists() {
			continue
		}
		d := settings[t.name]
		if unknown := unverified(t.name, d, err); unknown != nil {
			r.note(unknown.Error())
		}
		differs := false
		for _, d := range t.drifts(spec, c, seen[t.name], d.Values, k) {
			switch {
			case d.Unsafe:
				r.fail(fmt.Errorf("topic %s: %v", t.name, d))
			case !d.minor:
				differs = true
				r.note(d.String())
			}
		}
		if differs && r.Outcome == OutcomeExisted {
			r.Outcome = OutcomeDrifted
		}
	}
}

// unverified says why a topic's settings are unknown, nil where they are known.
func unverified(topic string, d describe.Config, err error) error {
	if err = cmp.Or(err, connect.GrantTopic(d.Err, connect.DescribeConfigs, topic)); err != nil {
		return fmt.Errorf("settings not verified: %w", err)
	}
	return nil
}

// topicSettings reads the settings of topics that exist. The broker that answers
// may not know of a new one yet.
func topicSettings(ctx context.Context, cl *kgo.Client, topics []string) (map[string]describe.Config, error) {
	for try := 1; ; try++ {
		all, err := describe.Configs(ctx, cl, kmsg.ConfigResourceTypeTopic, topics...)
		unknown := func(topic string) bool { return errors.Is(all[topic].Err, kerr.UnknownTopicOrPartition) }
		if err != nil || try == describeTries || !slices.ContainsFunc(topics, unknown) {
			return all, err
		}
		if !pause(ctx, appearPause) {
			return all, context.Cause(ctx)
		}
	}
}
