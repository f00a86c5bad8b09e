package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// topicRows break what delayd keeps in Kafka: its topics' settings, its offsets,
// and how much there is of it.
var topicRows = []row{
	{
		name: "retention", matrix: 35,
		about:      "an operator lets a level topic keep its records for a minute, and then for less than its level",
		deliveries: bothDeliveries,
		limits:     calmLimits,
		least:      45 * time.Second,
		run:        shortenRetention,
	},
	{
		name: "retention-loss", matrix: 35,
		about:      "records are deleted before they are delivered, once while delayd is away and once while it is frozen",
		deliveries: []delivery{atLeastOnce}, // exactly once the router's transactions leave markers among the offsets
		properties: map[string]string{"log.retention.check.interval.ms": "200", "log.segment.delete.delay.ms": "100", "log.initial.task.delay.ms": "100"},
		load:       func(m *mix) { m.transactional = false }, // every offset is a record
		least:      40 * time.Second,
		run:        losePending,
	},
	{
		name:       "timestamp-type",
		about:      "a level topic keeps its producers' timestamps for a while, and then the broker's again",
		deliveries: bothDeliveries,
		limits:     calmLimits,
		run: func(ctx context.Context, w *world) error {
			topic := w.names.Level(w.history.mix.levels[1])
			for _, kind := range []string{"CreateTime", brokersTime, "CreateTime", brokersTime} {
				if err := sleep(ctx, 4*time.Second); err != nil {
					return err
				}
				if err := w.set(ctx, topic, map[string]string{timestampType: kind}); err != nil {
					return err
				}
			}
			return nil
		},
		after: func(_ context.Context, w *world) error {
			if n := w.history.unstampedCount(); n == 0 {
				w.violated("no record kept its producer's timestamp")
			} else {
				w.measured("%d records kept their producer's timestamp", n)
			}
			return nil
		},
	},
	{
		name: "offsets-deleted", matrix: 34,
		about:      "an operator deletes the groups and their offsets, in vain while delayd runs and with success while it does not",
		deliveries: bothDeliveries,
		flags:      []string{"--purge-after", "1s"},
		least:      30 * time.Second,
		// What was delivered and is not purged yet is delivered again, and nothing else.
		limits: limits{worst: 15 * time.Second, recover: 5*time.Second + echo},
		run:    deleteOffsets,
	},
	{
		name: "backlog", matrix: 36,
		about:      "delayd was away, and finds as many records as --backlog says",
		deliveries: bothDeliveries,
		instances:  []string{},
		rate:       40_000,
		least:      time.Hour, // the number of records ends it
		backlog:    true,
		load:       func(m *mix) { m.transactional = false },
		run:        drainBacklog,
	},
}

const (
	retentionMs = "retention.ms"
	segmentMs   = "segment.ms"
	forEver     = "-1"
	// alarmWait is how long delayd may take to notice that a topic's settings were
	// changed.
	alarmWait = 45 * time.Second
)

// shortenRetention wants delayd to say so while a level topic keeps its records too
// short, and to stop saying it when it does no more.
func shortenRetention(ctx context.Context, w *world) error {
	if err := sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	topic := w.names.Level(w.history.mix.levels[2])
	for _, step := range []struct {
		retention string
		metric    string
		want      float64
	}{
		{"60000", "delayd_topics_drifted", 1},
		{"1000", "delayd_topics_unsafe", 1},
		{forEver, "delayd_topics_drifted", 0},
		{forEver, "delayd_topics_unsafe", 0},
	} {
		if err := w.set(ctx, topic, map[string]string{retentionMs: step.retention}); err != nil {
			return err
		}
		begun := time.Now()
		for {
			n, err := w.metric(ctx, "one", step.metric)
			if err != nil {
				return err
			}
			if n == step.want {
				break
			}
			if time.Since(begun) > alarmWait {
				w.violated("%s=%s on %s: %s is %v after %v, want %v", retentionMs, step.retention, topic, step.metric, n, alarmWait, step.want)
				break
			}
			if err := sleep(ctx, 100*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// losePending lets a broker delete records that are pending, and wants delayd to
// count every one of them.
func losePending(ctx context.Context, w *world) error {
	level := w.history.mix.levels[2] // the longest: most is pending
	topic := w.names.Level(level)
	lose := func() error {
		if err := w.set(ctx, topic, map[string]string{retentionMs: "500", segmentMs: "500"}); err != nil {
			return err
		}
		if err := sleep(ctx, 3*time.Second); err != nil {
			return err
		}
		return w.set(ctx, topic, map[string]string{retentionMs: forEver, segmentMs: "600000"})
	}
	if err := sleep(ctx, 7*time.Second); err != nil {
		return err
	}
	end, err := w.stop("one")
	if err != nil {
		return err
	}
	if err := lose(); err != nil {
		return err
	}
	want, err := w.below(ctx, topic)
	if err != nil {
		return err
	}
	if want == 0 {
		w.violated("no pending record was deleted while delayd was away")
	}
	if err := w.startReady(ctx, "one"); err != nil {
		return err
	}
	end()
	if err := sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	counted, err := w.metric(ctx, "one", dataLoss)
	if err != nil {
		return err
	}
	// What had overtaken others is behind the commit, and was delivered.
	if counted == 0 || int64(counted) > want {
		w.violated("%s is %v, and at most %d pending records were deleted while delayd was away", dataLoss, counted, want)
	}

	if err := sleep(ctx, 7*time.Second); err != nil { // until nothing of that is pending
		return err
	}
	i, err := w.instance("one")
	if err != nil {
		return err
	}
	end = w.faults.begin("freeze one")
	w.crashed() // as a crash, a freeze may have some delivered twice
	if err := i.freeze(); err != nil {
		return err
	}
	if err := errors.Join(lose(), i.thaw()); err != nil {
		return err
	}
	end()
	// What is not lost is due by then.
	if err := sleep(ctx, level.Delay+5*time.Second); err != nil {
		return err
	}
	all, err := w.metric(ctx, "one", dataLoss)
	if err != nil {
		return err
	}
	if all == counted {
		w.violated("%s did not rise while delayd was frozen and records were deleted", dataLoss)
	}
	before := time.Now().Add(-level.Delay - 3*time.Second).UnixMilli()
	gone := w.history.gone(func(c *recipe, accepted int64) bool { return c.level == level && accepted < before })
	if gone != int64(all) {
		w.violated("%s is %v, and %d records did not come", dataLoss, all, gone)
	}
	w.measured("%v records are counted that were deleted while delayd was away, and %v while it was frozen; %d did not come",
		counted, all-counted, gone)
	return nil
}

// dataLoss is the metric that counts what a broker has deleted before it was
// delivered.
const dataLoss = "delayd_lost_offsets_total"

// below is how many offsets of a level topic are gone that were not handled.
func (w *world) below(ctx context.Context, topic string) (n int64, err error) {
	starts, err := w.admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("find the start of %s: %w", topic, err)
	}
	commits, err := w.admin.FetchOffsets(ctx, w.names.ForwarderGroup())
	if err != nil {
		return 0, fmt.Errorf("read the commits of %s: %w", w.names.ForwarderGroup(), err)
	}
	starts.Each(func(start kadm.ListedOffset) {
		if c, ok := commits.Lookup(topic, start.Partition); ok {
			n += max(0, start.Offset-c.At)
		}
	})
	return n, nil
}

// deleteOffsets deletes what delayd knows of what it has handled.
func deleteOffsets(ctx context.Context, w *world) error {
	if err := sleep(ctx, 4*time.Second); err != nil {
		return err
	}
	groups := []string{w.names.ForwarderGroup(), w.names.RouterGroup()}
	answers, err := w.admin.DeleteGroups(ctx, groups...)
	if err != nil {
		return fmt.Errorf("delete groups: %w", err)
	}
	for _, a := range answers.Sorted() {
		if !errors.Is(a.Err, kerr.NonEmptyGroup) {
			w.violated("the group %s could be deleted while it had members: %v", a.Group, a.Err)
		}
	}
	var parts kadm.TopicsSet
	for p := range w.partitions() {
		parts.Add(w.names.Level(w.history.mix.levels[0]), p)
	}
	deleted, err := w.admin.DeleteOffsets(ctx, groups[0], parts)
	if err != nil {
		return fmt.Errorf("delete offsets: %w", err)
	}
	if err := deleted.Error(); !errors.Is(err, kerr.GroupSubscribedToTopic) {
		w.violated("offsets could be deleted while they were read: %v", err)
	}

	end, err := w.stop("one")
	if err != nil {
		return err
	}
	defer end()
	if err := w.disown(ctx); err != nil {
		return err
	}
	return w.start("one")
}

// backlogMemory is what delayd may take at most, whatever waits.
const backlogMemory = 256 << 20

// drainBacklog starts delayd when all is there, and measures how fast and with how
// much memory it delivers.
func drainBacklog(ctx context.Context, w *world) error {
	// What is measured is how fast it goes.
	if err := w.overdue(ctx); err != nil {
		return err
	}
	backlog, _ := w.history.waitingFor()
	if err := w.startReady(ctx, "one"); err != nil {
		return err
	}
	i, err := w.instance("one")
	if err != nil {
		return err
	}
	most := int64(0)
	begun := time.Now()
	for {
		if most, _, err = i.memory(); err != nil {
			return err
		}
		missing, _ := w.history.waitingFor()
		if missing == 0 {
			break
		}
		if time.Since(begun) > patience {
			w.violated("%d of %d records have not come %v after delayd was ready", missing, backlog, patience)
			return nil
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	took := time.Since(begun)
	if most > backlogMemory {
		w.violated("delayd took %d MiB, at most %d allowed", most>>20, backlogMemory>>20)
	}
	w.measured("%d records in %v, %.0f a second, with %d MiB at most", backlog, took.Round(10*time.Millisecond), float64(backlog)/took.Seconds(), most>>20)
	return nil
}
