package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/levels"
)

// describeTries is how often settings are asked for while a broker does not know
// a new topic yet that another one knows already.
const describeTries = 20

// verify looks at the partitions and settings of every topic that exists, and
// tells the results.
func verify(ctx context.Context, cl *kgo.Client, spec Spec, c cluster, seen map[string]found, results Results) {
	var there []string
	for _, r := range results {
		if r.Outcome != Failed && seen[r.Topic].exists() {
			there = append(there, r.Topic)
		}
	}
	if len(there) == 0 {
		return
	}
	settings, err := topicSettings(ctx, cl, there)

	// Someone may have raised the inbox's limit: what it takes has to fit the
	// others.
	c.maxMessage = max(c.maxMessage, number(settings[spec.Names.Inbox()].values, maxMessage, 0))

	for i, t := range spec.topics() {
		r := &results[i]
		if r.Outcome == Failed || !seen[t.name].exists() {
			continue
		}
		drifts := t.shape(spec, c, seen[t.name])
		switch d := settings[t.name]; {
		case err != nil:
			r.note(fmt.Sprintf("settings not verified: %v", err))
		case d.err != nil:
			r.note(fmt.Sprintf("settings not verified: %v", connect.GrantTopic(d.err, connect.DescribeConfigs, t.name)))
		default:
			if err := t.unsafe(d.values, seeds(cl)); err != nil {
				r.fail(err)
			}
			drifts = append(drifts, t.drifts(d.values, c, seen[t.name])...)
		}
		for _, d := range drifts {
			r.note(d)
		}
		if len(drifts) > 0 && r.Outcome == Existed {
			r.Outcome = Drifted
		}
	}
}

// topicSettings reads the settings of topics that exist. The broker that answers
// may not know of a new one yet.
func topicSettings(ctx context.Context, cl *kgo.Client, topics []string) (map[string]described, error) {
	for try := 1; ; try++ {
		all, err := describe(ctx, cl, kmsg.ConfigResourceTypeTopic, topics...)
		unknown := func(topic string) bool { return errors.Is(all[topic].err, kerr.UnknownTopicOrPartition) }
		if err != nil || try == describeTries || !slices.ContainsFunc(topics, unknown) {
			return all, err
		}
		if !pause(ctx, appearPause) {
			return all, context.Cause(ctx)
		}
	}
}

// unsafe says which setting would lose records, and how to mend it.
func (t topic) unsafe(values map[string]string, brokers string) error {
	mend := func(s setting) string {
		return fmt.Sprintf("mend it with kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config %v",
			brokers, t.name, s)
	}
	if t.kind == control {
		return nil // at worst what is paused is forgotten
	}
	if policy := values[cleanupPolicy]; strings.Contains(policy, "compact") {
		return fmt.Errorf("topic %s: %s=%s would delete every record but the last of its key, handled or not; %s",
			t.name, cleanupPolicy, policy, mend(setting{cleanupPolicy, "delete"}))
	}
	// A record becomes due after the level; kept no longer than that, it is gone
	// when its delivery is a moment late.
	if kept, finite := retention(values); finite && t.tooShort(kept) {
		return fmt.Errorf("topic %s: %s=%d (%s) would delete records before they are delivered: it must be longer than the level (%s), or -1 for no end; %s",
			t.name, retentionMs, kept.Milliseconds(), levels.FormatDelay(kept), levels.FormatDelay(t.delay), mend(setting{retentionMs, "-1"}))
	}
	if size, finite := retentionSize(values); finite && t.waits() {
		return fmt.Errorf("topic %s: %s=%d would delete the oldest records of a partition that holds more, before they are delivered: it must be -1 for no end; %s",
			t.name, retentionBytes, size, mend(setting{retentionBytes, "-1"}))
	}
	return nil
}

// tooShort reports whether records are gone when they become due.
func (t topic) tooShort(kept time.Duration) bool { return t.kind == level && kept <= t.delay }

// waits reports whether records stay on the topic though everything works:
// until they are due, or until their target takes them.
func (t topic) waits() bool { return t.kind == level || t.kind == parked }

// shape says how the partitions and replicas differ, and what that risks.
func (t topic) shape(spec Spec, c cluster, f found) (drifts []string) {
	switch {
	case f.partitions < t.partitions:
		drifts = append(drifts, fmt.Sprintf("partitions %d, want %d: fewer processes can share its work", f.partitions, t.partitions))
	case f.partitions > t.partitions:
		drifts = append(drifts, fmt.Sprintf("partitions %d, want %d: nothing is lost by it", f.partitions, t.partitions))
	}
	switch {
	case spec.Replicas > 0 && f.replicas < int(spec.Replicas):
		drifts = append(drifts, fmt.Sprintf("replicas %d, want %d: fewer brokers may be lost before records are", f.replicas, spec.Replicas))
	case spec.Replicas < 0 && f.replicas == 1 && c.brokers > 1:
		drifts = append(drifts, fmt.Sprintf("replicas 1 on %d brokers: the loss of one broker loses the records that wait there", c.brokers))
	}
	return drifts
}

// drifts says how settings differ that the service can live with, and what that
// risks. What is unsafe is told as that, and not here too. How segments are cut is no drift: it only moves when disk becomes free.
func (t topic) drifts(values map[string]string, c cluster, f found) (drifts []string) {
	drift := func(format string, args ...any) { drifts = append(drifts, fmt.Sprintf(format, args...)) }

	if policy := values[cleanupPolicy]; t.kind == control && policy != "" && policy != compact {
		drift("%s=%s, want %s: what is paused is forgotten when its record is deleted", cleanupPolicy, policy, compact)
	}
	if got := values[timestampType]; got != "" && got != logAppendTime && t.kind == level {
		drift("%s=%s, want %s: the wait is counted from the producers' clocks, never longer than the level, and what is overdue is a guess",
			timestampType, got, logAppendTime)
	} else if got != "" && got != logAppendTime && t.kind == inbox {
		drift("%s=%s, want %s: the wait is counted from the producers' clocks", timestampType, got, logAppendTime)
	}
	if kept, finite := retention(values); finite && !t.tooShort(kept) {
		drift("%s=%d, want -1: %s", retentionMs, kept.Milliseconds(), t.retentionRisk(kept))
	}
	if size, finite := retentionSize(values); finite && !t.waits() {
		drift("%s=%d, want -1: a partition that holds more deletes its oldest records, handled or not", retentionBytes, size)
	}
	if got, want := number(values, maxMessage, 0), c.maxMessage+t.headroom; t.headroom > 0 && got > 0 && got < want {
		drift("%s=%d, want %d: a record near the inbox's limit does not fit with the headers that are added", maxMessage, got, want)
	}
	if got := number(values, minInSync, 0); got > 0 && got < minISR && f.replicas >= replicasForISR {
		drift("%s=%d with %d replicas, want %d: a record can be acknowledged and then lost with one broker",
			minInSync, got, f.replicas, minISR)
	}
	return drifts
}

// retentionRisk says what a finite retention deletes.
func (t topic) retentionRisk(kept time.Duration) string {
	switch t.kind {
	case level:
		return fmt.Sprintf("records that are more than %s late are deleted instead of delivered", levels.FormatDelay(kept-t.delay))
	case control:
		return fmt.Sprintf("with another %s than %s what is paused is forgotten after %s", cleanupPolicy, compact, levels.FormatDelay(kept))
	case dead:
		return fmt.Sprintf("dead letters are deleted after %s", levels.FormatDelay(kept))
	}
	return fmt.Sprintf("records that are not handled within %s are deleted", levels.FormatDelay(kept))
}

// retention is how long a topic keeps records, and whether that has an end.
func retention(values map[string]string) (kept time.Duration, finite bool) {
	ms := number(values, retentionMs, -1)
	if ms < 0 || ms > int64(levels.MaxDelay/time.Millisecond)*2 { // Kafka takes up to 2^63-1
		return 0, false
	}
	return time.Duration(ms) * time.Millisecond, true
}

// retentionSize is how many bytes a partition keeps, and whether that has an end.
func retentionSize(values map[string]string) (size int64, finite bool) {
	size = number(values, retentionBytes, -1)
	return size, size >= 0
}

// number is the value of a setting, or what stands for one that is not there.
func number(values map[string]string, key string, missing int64) int64 {
	n, err := strconv.ParseInt(values[key], 10, 64)
	if err != nil {
		return missing
	}
	return n
}
