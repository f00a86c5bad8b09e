package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/delayd-io/delayd/levels"
)

// broken is the target that rows break. All others have to be on time.
const broken = "broken"

var withBroken = []string{"orders", "mails", broken}

// onBroken reports whether a record's target is the one that is broken.
func (m *mix) onBroken(c *recipe) bool { return m.target(c) == broken }

// targetRows break a target.
var targetRows = []row{
	{
		name: "too-large", matrix: 23,
		about:      "one record in twenty is larger than its target takes, or has a timestamp far in the future or the past",
		deliveries: bothDeliveries,
		topics:     map[string]map[string]string{broken: {maxMessageBytes: "20000"}},
		load: func(m *mix) {
			m.targets, m.haven = withBroken, "orders"
			odd := oneIn(20,
				func(c *recipe, _ *rand.Rand) { c.padding, c.nullValue = longPadding, false },
				func(c *recipe, _ *rand.Rand) { c.stamp = 3 * time.Hour },
				func(c *recipe, _ *rand.Rand) { c.stamp = -10 * 365 * 24 * time.Hour })
			m.alter = func(c *recipe, r *rand.Rand) {
				odd(c, r)
				if m.onBroken(c) && c.padding == longPadding && !c.nullValue {
					c.dead = levels.TooLarge
				}
			}
		},
		resend: true,
		limits: calmLimits,
		run:    untilLoadIsOver,
	},
	{
		name:       "compacted-target",
		about:      "a target is compacted, and takes no record without a key",
		deliveries: bothDeliveries,
		topics:     map[string]map[string]string{broken: {"cleanup.policy": "compact"}},
		load: func(m *mix) {
			m.targets, m.haven = withBroken, "orders"
			m.alter = func(c *recipe, _ *rand.Rand) {
				if m.onBroken(c) && c.key == nullKey {
					c.dead = levels.Rejected
				}
			}
		},
		resend: true,
		limits: calmLimits,
		run:    untilLoadIsOver,
	},
	{
		name: "target-later", matrix: 24,
		about:      "a target is not there for the first seconds",
		deliveries: bothDeliveries,
		load:       func(m *mix) { m.targets = withBroken },
		absent:     []string{broken}, apart: []string{broken},
		limits: limits{worst: 2 * time.Second, drain: 5 * time.Second},
		run: func(ctx context.Context, w *world) error {
			defer w.faults.begin("target missing")()
			if err := sleep(ctx, 7*time.Second); err != nil {
				return err
			}
			return w.createTarget(ctx, broken)
		},
		after: wasParked,
	},
	{
		name: "target-again", matrix: 25,
		about:      "a target is deleted, and made again after three seconds",
		deliveries: bothDeliveries,
		load:       func(m *mix) { m.targets = withBroken },
		apart:      []string{broken},
		limits:     limits{worst: 2 * time.Second, drain: 10 * time.Second},
		run:        deleteTarget,
	},
	{
		name: "partitions-grow", matrix: 26,
		about:      "a target gets six partitions instead of two, and the topics of delayd six instead of three",
		deliveries: bothDeliveries,
		partitions: 3,
		load:       func(m *mix) { m.targetPar = 2 },
		// What is new is known when the metadata is 30 s old, to producers and to
		// delayd, one after the other.
		least:  80 * time.Second,
		limits: limits{worst: 40 * time.Second, unordered: true},
		run:    growPartitions,
		after:  newPartitionsServed,
	},
	{
		name: "target-denied", matrix: 27,
		about:      "nobody may write to a target for a while",
		deliveries: bothDeliveries,
		properties: map[string]string{
			"authorizer.class.name":          "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
			"allow.everyone.if.no.acl.found": "true",
		},
		load:   func(m *mix) { m.targets = withBroken },
		apart:  []string{broken},
		limits: limits{worst: 2 * time.Second, drain: 5 * time.Second},
		run:    denyTarget,
		after:  wasParked,
	},
	{
		name: "target-stuck", matrix: 28,
		about:      "a broker is down, and one target wants it to have every record",
		nodes:      3,
		deliveries: bothDeliveries,
		load:       func(m *mix) { m.targets = withBroken },
		apart:      []string{broken},
		least:      45 * time.Second,
		// Twice: what was on its way to the target when it was found to be sick, and was
		// written after all.
		limits: limits{worst: 15 * time.Second, late: time.Second, recover: 10*time.Second + echo, drain: 20 * time.Second, twice: 1000},
		run:    stickTarget,
		after:  wasParked,
	},
}

// goneGrace is how long after a deletion was acknowledged a broker may still take
// what goes with the topic.
const goneGrace = 250 * time.Millisecond

// deleteTarget deletes a target under way. What had been delivered to it and not
// been read is gone with it; all that became due later has to come.
func deleteTarget(ctx context.Context, w *world) error {
	if err := sleep(ctx, 6*time.Second); err != nil {
		return err
	}
	end := w.faults.begin("target deleted")
	if _, err := w.admin.DeleteTopic(ctx, broken); err != nil {
		return fmt.Errorf("delete target: %w", err)
	}
	deleted := time.Now().Add(goneGrace).UnixMilli()
	if err := sleep(ctx, 3*time.Second); err != nil {
		return err
	}
	if err := w.createTarget(ctx, broken); err != nil {
		return err
	}
	end()
	if err := sleep(ctx, 5*time.Second); err != nil {
		return err
	}
	m := w.history.mix
	n := w.history.gone(func(c *recipe, accepted int64) bool { return m.onBroken(c) && c.dueMs(accepted) <= deleted })
	w.measured("%d records were on the target that was deleted, and had not been read", n)
	return nil
}

// growPartitions adds partitions to a target and to all level topics.
func growPartitions(ctx context.Context, w *world) error {
	if err := sleep(ctx, 5*time.Second); err != nil {
		return err
	}
	defer w.faults.begin("partitions added")()
	m := w.history.mix
	grown := []string{m.targets[0]}
	for _, l := range m.levels {
		grown = append(grown, m.names.Level(l))
	}
	w.history.grown(m.targets[0], grownPartitions)
	answers, err := w.admin.UpdatePartitions(ctx, grownPartitions, grown...)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return fmt.Errorf("add partitions to %v: %w", grown, err)
	}
	return nil
}

// grownPartitions is how many partitions there are after partitions were added.
const grownPartitions = 6

// newPartitionsServed sees to it that records were written to the new partitions
// and that all of them are committed.
func newPartitionsServed(ctx context.Context, w *world) error {
	topics := []string{w.history.mix.targets[0]}
	for _, l := range w.history.mix.levels {
		topics = append(topics, w.names.Level(l))
	}
	ends, err := w.admin.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("find the ends of %v: %w", topics, err)
	}
	commits, err := w.admin.FetchOffsets(ctx, w.names.ForwarderGroup())
	if err != nil {
		return fmt.Errorf("read the commits of %s: %w", w.names.ForwarderGroup(), err)
	}
	used := 0
	ends.Each(func(end kadm.ListedOffset) {
		isNew := end.Partition >= w.row.partitions
		if end.Topic == topics[0] {
			isNew = end.Partition >= w.history.mix.targetPar
		}
		if isNew && end.Offset > 0 {
			used++
		} else if isNew {
			w.violated("nothing was written to the new %s/%d", end.Topic, end.Partition)
		}
		if c, _ := commits.Lookup(end.Topic, end.Partition); end.Topic != topics[0] && c.At != end.Offset {
			w.violated("%s/%d is handled up to %d of %d", end.Topic, end.Partition, c.At, end.Offset)
		}
	})
	w.measured("%d new partitions were used and handled to their ends", used)
	return nil
}

// denyTarget takes the right to write to a target from everyone, and gives it back.
func denyTarget(ctx context.Context, w *world) error {
	if err := sleep(ctx, 3*time.Second); err != nil {
		return err
	}
	const everyone = "User:ANONYMOUS"
	// Where a topic has an entry, only what is allowed by one is.
	read := kadm.NewACLs().Topics(broken).ResourcePatternType(kadm.ACLPatternLiteral).
		Allow(everyone).AllowHosts("*").Operations(kadm.OpRead, kadm.OpDescribe, kadm.OpDescribeConfigs)
	write := kadm.NewACLs().Topics(broken).ResourcePatternType(kadm.ACLPatternLiteral).
		Deny(everyone).DenyHosts("*").Operations(kadm.OpWrite)
	end := w.faults.begin("target denied")
	for _, acls := range []*kadm.ACLBuilder{read, write} {
		if err := w.createACLs(ctx, acls); err != nil {
			return fmt.Errorf("deny target: %w", err)
		}
	}
	if err := sleep(ctx, 6*time.Second); err != nil {
		return err
	}
	for _, acls := range []*kadm.ACLBuilder{write, read} {
		if _, err := w.admin.DeleteACLs(ctx, acls); err != nil {
			return fmt.Errorf("allow target: %w", err)
		}
	}
	end()
	return nil
}

// stickTarget kills a broker, and has one target want all three of its replicas for
// as long as it is down.
func stickTarget(ctx context.Context, w *world) error {
	if err := sleep(ctx, 3*time.Second); err != nil {
		return err
	}
	const down = 2
	end := w.faults.begin("broker down")
	if err := w.cluster.Kill(down); err != nil {
		return err
	}
	// Until the brokers know: what one has written that then is not enough replicas
	// for may be duplicated.
	if err := sleep(ctx, 8*time.Second); err != nil {
		return err
	}
	end()
	end = w.faults.begin("target stuck")
	if err := w.set(ctx, broken, map[string]string{"min.insync.replicas": "3"}); err != nil {
		return err
	}
	end() // for all others
	if err := sleep(ctx, 20*time.Second); err != nil {
		return err
	}
	defer w.faults.begin("broker starts")()
	return w.cluster.Start(ctx, down)
}

// wasParked sees to it that the target was sick for long enough.
func wasParked(ctx context.Context, w *world) error {
	n, err := w.metric(ctx, "one", "delayd_parked_total")
	if err != nil {
		return err
	}
	if n == 0 {
		w.violated("nothing was parked: the target was not sick")
	}
	w.measured("%.0f records were parked", n)
	return nil
}
