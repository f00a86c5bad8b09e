package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/describe"
)

// amend sets what wanted says of each topic, and enters it into the settings once it has
// been read back. The settings of a topic change together or not at all.
func amend(ctx context.Context, cl *kgo.Client, topics []topic, results Results, settings map[string]describe.Config, wanted func(topic) []setting) {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	changes := make(map[string][]setting)
	for i, t := range topics {
		if results[i].Outcome == OutcomeFailed || settings[t.name].Err != nil {
			continue
		}
		if list := wanted(t); len(list) > 0 {
			changes[t.name] = list
			req.Resources = append(req.Resources, alteration(t.name, list))
		}
	}
	if len(changes) == 0 {
		return
	}
	answers := alterConfigs(ctx, cl, req)
	for topic := range unshown(ctx, cl, changes, answers) {
		answers[topic] = fmt.Errorf("%w after %v; look again when they do", errNotShown, appearTimeout)
	}
	for i := range results {
		r := &results[i]
		list, tried := changes[r.Topic]
		if !tried {
			continue
		}
		if err := answers[r.Topic]; err != nil {
			r.fail(fmt.Errorf("set %s of topic %s: %w", words(list), r.Topic, connect.GrantTopic(err, connect.AlterConfigs, r.Topic)))
			continue
		}
		if r.Outcome == OutcomeExisted {
			r.Outcome = OutcomeUpdated
		}
		r.note("set " + words(list))
		for _, s := range list {
			settings[r.Topic].Values[s.key] = s.value
		}
	}
}

// unshown waits until the brokers show what was set, which they do some time after the
// controller has answered, and returns what they don't show.
func unshown(ctx context.Context, cl *kgo.Client, changes map[string][]setting, answers map[string]error) map[string][]setting {
	missing := maps.Clone(changes)
	maps.DeleteFunc(missing, func(topic string, _ []setting) bool { return answers[topic] != nil })
	deadline := time.Now().Add(appearTimeout)
	for len(missing) > 0 {
		seen, _ := describe.Configs(ctx, cl, kmsg.ConfigResourceTypeTopic, slices.Collect(maps.Keys(missing))...)
		maps.DeleteFunc(missing, func(topic string, list []setting) bool {
			return !slices.ContainsFunc(list, func(s setting) bool { return seen[topic].Values[s.key] != s.value })
		})
		if len(missing) > 0 && (time.Now().After(deadline) || !pause(ctx, appearPause)) {
			break
		}
	}
	return missing
}

func words(settings []setting) string {
	list := make([]string, len(settings))
	for i, s := range settings {
		list[i] = s.String()
	}
	return strings.Join(list, " ")
}

func alteration(topic string, settings []setting) kmsg.IncrementalAlterConfigsRequestResource {
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	for _, s := range settings {
		config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		config.Name, config.Op, config.Value = s.key, kmsg.IncrementalAlterConfigOpSet, kmsg.StringPtr(s.value)
		resource.Configs = append(resource.Configs, config)
	}
	return resource
}

// alterConfigs returns the answer for each topic, nil for done.
func alterConfigs(ctx context.Context, cl *kgo.Client, req *kmsg.IncrementalAlterConfigsRequest) map[string]error {
	answers := make(map[string]error, len(req.Resources))
	resp, err := req.RequestWith(ctx, cl)
	for _, r := range req.Resources {
		answers[r.ResourceName] = cmp.Or(err, errors.New("the broker left it out of its answer"))
	}
	if err == nil {
		for _, r := range resp.Resources {
			answers[r.ResourceName] = describe.Refusal(r.ErrorCode, r.ErrorMessage)
		}
	}
	return answers
}
