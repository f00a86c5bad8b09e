package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/describe"
	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/levels"
)

// counting is one topic while it is counted.
type counting struct {
	TopicStatus
	kind  kind
	delay time.Duration // of a level
	group string        // that handles it; "" for the dead letters
	heads []*head       // one for each partition with something pending; none of the dead letters
	ahead []ahead       // of a level: what is pending there and not due yet

	written, handled int64 // the ends of its partitions, and up to where they are handled, added up
}

type countings []*counting

// count finds the topics and counts them. What has to be searched for is left to the
// find methods.
func count(ctx context.Context, cl *kgo.Client, spec Spec, now time.Time) (countings, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	seen, err := spec.find(ctx, cl)
	if err != nil {
		return nil, err
	}
	list := spec.countings(seen)

	// Commits before ends: what is delivered in between counts as pending, and
	// nothing comes out below zero.
	adm := kadm.NewClient(cl)
	routed, routedErr := offsets.Committed(ctx, adm, spec.Names.RouterGroup())
	forwarded, forwardedErr := offsets.Committed(ctx, adm, spec.Names.ForwarderGroup())
	if err := errors.Join(routedErr, forwardedErr); err != nil {
		return list, err // counted without commits everything would be pending
	}
	starts, startErr := list.look(ctx, cl, func(*counting) (int64, bool) { return offsets.Start, true })
	ends, endErr := list.look(ctx, cl, func(*counting) (int64, bool) { return offsets.End, true })
	stable, stableErr := list.stable(ctx, adm)
	due, dueErr := list.look(ctx, cl, func(c *counting) (int64, bool) {
		return now.Add(-c.delay).UnixMilli(), c.kind == level
	})

	for _, c := range list {
		committed := forwarded
		switch c.kind {
		case inbox:
			committed = routed
		case dead:
			committed = nil
		}
		for _, p := range c.partitions() {
			start, ok1 := starts[p]
			end, ok2 := ends[p]
			first, ok3 := due[p]
			if !ok1 || !ok2 || !ok3 && c.kind == level {
				continue // the error says why
			}
			next := start.Offset
			if at, ok := committed[p]; ok {
				next = max(next, at)
			}
			c.written, c.handled = c.written+end.Offset, c.handled+min(next, end.Offset)
			c.add(p, next, end.Offset, first, now)
			if o, ok := stable.Lookup(p.Topic, p.Partition); ok && o.Err == nil {
				// Looked up later than the end: nobody may hold anything.
				c.Held += max(0, end.Offset-max(next, o.Offset))
			}
		}
	}
	return list, errors.Join(startErr, endErr, stableErr, dueErr)
}

// find finds the topics of the service, with those of levels that are not in the
// ladder any more. Those of the ladder are asked for by name: a list of all topics
// leaves out what we have no right to see, which would seem not to exist.
func (s Spec) find(ctx context.Context, cl *kgo.Client) (map[string]describe.Topic, error) {
	_, seen, err := s.look(ctx, cl)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, t := range s.topics() {
		if t.carries() {
			errs = append(errs, seen[t.name].Err)
		}
	}
	return seen, errors.Join(errs...)
}

// countings are the topics of the service, and the level topics that exist and
// are not in the ladder any more.
func (s Spec) countings(seen map[string]describe.Topic) countings {
	var list countings
	named := make(map[string]bool)
	for _, t := range s.topics() {
		named[t.name] = true
		if !t.carries() {
			continue // nothing waits there
		}
		list = append(list, newCounting(s.Names, t, seen[t.name]))
	}
	for name, f := range seen {
		if delay, ok := s.Names.LevelDelay(name); ok && !named[name] && f.Exists() {
			c := newCounting(s.Names, topic{name: name, kind: level, delay: delay}, f)
			c.Retired = true
			list = append(list, c)
		}
	}
	slices.SortStableFunc(list, func(a, b *counting) int { return cmp.Compare(a.delay, b.delay) })
	return list
}

func newCounting(names levels.Names, t topic, f describe.Topic) *counting {
	c := &counting{kind: t.kind, delay: t.delay,
		TopicStatus: TopicStatus{Topic: t.name, Partitions: int(f.Partitions)}}
	switch t.kind {
	case inbox:
		c.group = names.RouterGroup()
	case level:
		c.Level, c.group = levels.FormatDelay(t.delay), names.ForwarderGroup()
	case parked:
		c.group = names.ForwarderGroup()
	}
	return c
}

// partitions are the partitions of the topic.
func (c *counting) partitions() []offsets.Partition {
	list := make([]offsets.Partition, c.Partitions)
	for i := range list {
		list[i] = offsets.Partition{Topic: c.Topic, Partition: int32(i)}
	}
	return list
}

// look looks all partitions of the topics up at once, at the time that at says,
// leaving out those that it says no to.
func (list countings) look(ctx context.Context, cl *kgo.Client, at func(*counting) (int64, bool)) (map[offsets.Partition]offsets.Found, error) {
	times := make(map[offsets.Partition]int64)
	for _, c := range list {
		if t, ok := at(c); ok {
			for _, p := range c.partitions() {
				times[p] = t
			}
		}
	}
	return offsets.List(ctx, cl, times)
}

// stable finds up to where the topics can be read: no further than the first
// transaction that its producer has not ended.
func (list countings) stable(ctx context.Context, adm *kadm.Client) (kadm.ListedOffsets, error) {
	var topics []string
	for _, c := range list {
		if c.kind != dead && c.Partitions > 0 {
			topics = append(topics, c.Topic)
		}
	}
	if len(topics) == 0 {
		return nil, nil // none would ask for all
	}
	listed, err := adm.ListCommittedOffsets(ctx, topics...)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		err = fmt.Errorf("list the last stable offsets: %w", err)
	}
	return listed, err
}

// add counts one partition, of which the records from next up to end wait to be
// handled; due is the first that is not due yet.
func (c *counting) add(p offsets.Partition, next, end int64, due offsets.Found, now time.Time) {
	if end <= next {
		return
	}
	c.Pending += end - next
	if c.kind == dead {
		return
	}
	h := newHead(p, next, now)
	c.heads = append(c.heads, h)
	if c.kind != level {
		return
	}
	first := end
	if due.Offset != offsets.None {
		first = due.Offset
	}
	c.Overdue += max(0, first-next)
	h.learn(now.Add(-c.delay).UnixMilli(), due)
	c.ahead = append(c.ahead, ahead{p, max(next, first), end})
}

// status is the result.
func (list countings) status(now time.Time) Status {
	s := Status{At: now, Levels: []TopicStatus{}}
	for _, c := range list {
		switch c.kind {
		case inbox:
			s.Inbox = c.TopicStatus
		case level:
			s.Levels = append(s.Levels, c.TopicStatus)
		case parked:
			s.Parked = c.TopicStatus
		case dead:
			s.Dead = c.TopicStatus
		}
	}
	return s
}
