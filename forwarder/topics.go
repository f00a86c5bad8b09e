package forwarder

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/deliver"
	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/levels"
)

// topics is what a forwarder reads: every level's topic, and what was parked.
func topics(cfg *Config, outbox *deliver.Outbox, handing *handing, counters *metrics.Metrics, cancels *cancels) []consume.Topic {
	var topics []consume.Topic
	for l := range cfg.Ladder.All() {
		topics = append(topics, levelTopic(cfg, l, outbox, handing, counters, cancels))
	}
	if handing == nil { // a handler's records are never parked
		topics = append(topics, consume.Topic{
			Name: cfg.Names.Parked(), Label: metrics.Parked, Handler: parked{outbox, cfg.targets()}, Aside: true,
		})
	}
	return topics
}

// levelTopic is the topic of a level, in the ladder or not.
func levelTopic(cfg *Config, l levels.Level, outbox *deliver.Outbox, handing *handing, counters *metrics.Metrics, cancels *cancels) consume.Topic {
	w := &worker{
		delay: l.Delay, name: l.String(), known: levelNames(cfg.Ladder), ladder: cfg.Ladder, names: cfg.Names, maxDelay: cfg.MaxDelay,
		targets: cfg.targets(), outbox: outbox, handing: handing, metrics: counters,
	}
	w.screen = &screen{cancels: cancels, worker: w, dropped: counters.Cancelled.WithLabelValues(l.String())}
	return consume.Topic{
		Name:     cfg.Names.Level(l),
		Label:    l.String(),
		Wait:     l.Delay,
		Slack:    cfg.Ladder.First().Delay,
		Handler:  w,
		OneByOne: handing != nil,
		Screen:   w.screen,
	}
}

// retired finds the level topics that are there and not in the ladder. Records wait
// on them that came there before they were taken out, or that another instance
// routes which does not have the new ladder yet: they are due when they were.
func retired(cfg *Config, outbox *deliver.Outbox, handing *handing, counters *metrics.Metrics, cancels *cancels) func(context.Context, *kadm.Client) ([]consume.Topic, error) {
	inLadder := make(map[time.Duration]bool)
	for l := range cfg.Ladder.All() {
		inLadder[l.Delay] = true
	}
	c := *cfg
	return func(ctx context.Context, adm *kadm.Client) ([]consume.Topic, error) {
		all, err := adm.ListTopics(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the topics: %w", err)
		}
		var topics []consume.Topic
		for name := range all {
			if delay, ok := c.Names.LevelDelay(name); ok && !inLadder[delay] {
				t := levelTopic(&c, levels.Level{Delay: delay}, outbox, handing, counters, cancels)
				t.Retired = true
				topics = append(topics, t)
			}
		}
		return topics, nil
	}
}
