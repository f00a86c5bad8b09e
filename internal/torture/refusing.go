package main

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// refusingRate is how many records a second there are: many have to be on their way
	// when a batch is refused.
	refusingRate = 10_000
	// loweredLimit is what a target takes at most once its limit has been lowered,
	// in bytes: some records.
	loweredLimit = "5000"
	// frozenShortly is how long a delayd is frozen to have records overdue: shorter
	// than its session.
	frozenShortly = 4 * time.Second
	// brokerStalls is how long a broker is frozen: longer than recentOnly, and shorter
	// than what a target counts as sick after.
	brokerStalls = 3 * time.Second
	// recentOnly is how old a record may be for a target that takes no older ones, in
	// milliseconds.
	recentOnly = "1000"
)

// refusingRows have targets refuse batches whose records they take one by one, or
// later. None of the records may leave its order.
var refusingRows = []row{
	{
		name:       "limit-lowered",
		about:      "a target's max.message.bytes is lowered to " + loweredLimit + " while its records are overdue, and raised again",
		deliveries: bothDeliveries,
		rate:       refusingRate,
		least:      50 * time.Second,
		load: func(m *mix) {
			m.targets, m.alter = []string{"orders", broken}, m.brief
		},
		limits: limits{late: lateAfterwards, worst: 30 * time.Second, recover: 20 * time.Second},
		run:    lowerLimit,
	}, {
		name:       "batch-refused",
		about:      "one target takes small batches only and another only recent timestamps, while delayd and the broker are frozen in turns",
		deliveries: bothDeliveries,
		rate:       refusingRate,
		least:      50 * time.Second,
		topics: map[string]map[string]string{
			broken:   {maxMessageBytes: loweredLimit},
			"recent": {timestampType: "CreateTime", "message.timestamp.before.max.ms": recentOnly},
		},
		load: func(m *mix) {
			m.targets, m.alter = []string{"orders", broken, "recent"}, m.brief
		},
		limits: limits{late: lateAfterwards, worst: 30 * time.Second, recover: 20 * time.Second},
		run:    refuseBatches,
	},
}

// brief has a record for the target that is broken be small enough for it.
func (m *mix) brief(c *recipe, _ *rand.Rand) {
	if m.onBroken(c) {
		c.padding = min(c.padding, padding)
	}
}

// lowerLimit lowers a target's limit while delayd is frozen, and raises it again while
// it runs, over and over.
func lowerLimit(ctx context.Context, w *world) error {
	rounds := 0
	for ; w.whileLoad(ctx, warmUp); rounds++ {
		end := w.faults.begin("limit lowered")
		err := w.whileFrozen("one", func() error {
			if err := sleep(ctx, frozenShortly); err != nil {
				return err
			}
			return w.set(ctx, broken, map[string]string{maxMessageBytes: loweredLimit})
		})
		end()
		if err != nil {
			return err
		}
		if !w.whileLoad(ctx, warmUp) {
			break
		}
		if err := w.set(ctx, broken, map[string]string{maxMessageBytes: "1048588"}); err != nil {
			return err
		}
	}
	if least := 3; rounds < least {
		w.violated("a limit was lowered %d times, want %d", rounds, least)
	}
	return nil
}

// refuseBatches freezes delayd, which makes many records due at once. Then it freezes
// the broker: requests in flight are old when they arrive.
func refuseBatches(ctx context.Context, w *world) error {
	for w.whileLoad(ctx, warmUp) {
		if err := w.freeze(ctx, "one", frozenShortly); err != nil {
			return err
		}
		if !w.whileLoad(ctx, warmUp) {
			break
		}
		if err := w.freezeBroker(ctx, 0, brokerStalls); err != nil {
			return err
		}
	}
	return nil
}
