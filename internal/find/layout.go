package find

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/levels"
)

// part is what there is of one partition.
type part struct {
	offsets.Partition
	start, end int64  // what can be read: up to the last stable offset
	committed  int64  // what the service has handled is before that; start where it commits nothing
	wanted     ranges // what could be the record, as far as the search has come
	read       ranges
}

// unread is how many offsets the limit has left unread.
func (p *part) unread() (n int64) {
	for _, w := range p.wanted {
		for _, gap := range p.read.missing(w) {
			n += gap.len()
		}
	}
	return n
}

// pending is what the service has not committed.
func (p *part) pending() interval { return interval{max(p.start, p.committed), p.end} }

func (p *part) retained() interval { return interval{p.start, p.end} }

// layout is the topics of the service.
type layout struct {
	inbox, parked, dead []*part
	levels              []level // the longest first, as a record walks
	parts               map[string][]*part
}

// discover looks up the topics of the service. It asks for committed offsets before what
// can be read: nothing that waits counts as handled.
func discover(ctx context.Context, cl *kgo.Client, names levels.Names, ladder levels.Ladder) (*layout, error) {
	adm := kadm.NewClient(cl)
	found, err := admin.LevelTopics(ctx, cl, names)
	if err != nil {
		return nil, err
	}
	for l := range ladder.All() { // of a list of all topics those are missing that we may not see
		if topic := names.Level(l); !slices.Contains(found, topic) {
			found = append(found, topic)
		}
	}
	all := append([]string{names.Inbox(), names.Parked(), names.Dead()}, found...)
	routed, err := offsets.Committed(ctx, adm, names.RouterGroup())
	if err != nil {
		return nil, err
	}
	forwarded, err := offsets.Committed(ctx, adm, names.ForwarderGroup())
	if err != nil {
		return nil, err
	}
	parts, err := lookUp(ctx, cl, all...)
	if err != nil {
		return nil, err
	}
	if parts[names.Inbox()] == nil && parts[names.Dead()] == nil {
		return nil, fmt.Errorf("topic %s does not exist: check --prefix; delayd admin provision creates it", names.Inbox())
	}
	for topic, list := range parts {
		committed := forwarded
		switch topic {
		case names.Inbox():
			committed = routed
		case names.Dead():
			committed = nil
		}
		for _, p := range list {
			p.committed = committed[p.Partition]
		}
	}
	l := &layout{inbox: parts[names.Inbox()], parked: parts[names.Parked()], dead: parts[names.Dead()], parts: parts}
	for _, topic := range found {
		if delay, ok := names.LevelDelay(topic); ok && parts[topic] != nil {
			l.levels = append(l.levels, level{topic, delay})
		}
	}
	slices.SortFunc(l.levels, func(a, b level) int { return cmp.Compare(b.delay, a.delay) })
	return l, nil
}

// lookUp finds the partitions of topics, and what can be read of them. A topic that does
// not exist is missing in the result.
func lookUp(ctx context.Context, cl *kgo.Client, topics ...string) (map[string][]*part, error) {
	adm := kadm.NewClient(cl)
	details, err := adm.ListTopics(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("look up the topics: %w", err)
	}
	parts := make(map[string][]*part)
	var names []string
	at := make(map[offsets.Partition]int64)
	for topic, d := range details {
		switch {
		case errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			continue
		case connect.Denied(d.Err):
			return nil, fmt.Errorf("look up topic %s: %w", topic, connect.GrantTopic(d.Err, connect.Describe, topic))
		case d.Err != nil:
			return nil, fmt.Errorf("look up topic %s: %w", topic, d.Err)
		}
		names = append(names, topic)
		for n := range int32(len(d.Partitions)) {
			p := &part{Partition: offsets.Partition{Topic: topic, Partition: n}}
			parts[topic] = append(parts[topic], p)
			at[p.Partition] = offsets.Start
		}
	}
	if len(names) == 0 {
		return parts, nil
	}
	// Ends before starts: what is deleted in between leaves nothing, and not less.
	ends, err := adm.ListCommittedOffsets(ctx, names...)
	if err = offsets.ListFault(ends, err); err != nil {
		return nil, fmt.Errorf("list the last stable offsets: %w", err)
	}
	starts, err := offsets.List(ctx, cl, at)
	if err != nil {
		return nil, err
	}
	for _, list := range parts {
		for _, p := range list {
			end, ok := ends.Lookup(p.Topic, p.Partition.Partition)
			if !ok {
				return nil, fmt.Errorf("list the last stable offset of %v: the brokers left it out of their answer", p.Partition)
			}
			p.start, p.end = starts[p.Partition].Offset, end.Offset
		}
	}
	return parts, nil
}

// find returns the offsets of the records of partitions that got there in a window, cut to
// what can be read. One look-up of each of its bounds is made for all partitions at once.
func (w window) find(ctx context.Context, cl *kgo.Client, parts []*part) ([]interval, error) {
	list := make([]interval, len(parts))
	for i, p := range parts {
		list[i] = p.retained()
	}
	for _, bound := range []struct {
		at  time.Time
		set func(i *interval, offset int64)
	}{
		{w.from, func(i *interval, offset int64) { i.from = max(i.from, offset) }},
		{w.to, func(i *interval, offset int64) { i.to = min(i.to, offset) }},
	} {
		if bound.at.IsZero() {
			continue
		}
		at := make(map[offsets.Partition]int64)
		for i, p := range parts {
			if list[i].len() > 0 {
				at[p.Partition] = max(0, bound.at.UnixMilli())
			}
		}
		found, err := offsets.List(ctx, cl, at)
		if err != nil {
			return nil, err
		}
		for i, p := range parts {
			f, ok := found[p.Partition]
			switch {
			case !ok:
			case f.Offset == offsets.None:
				bound.set(&list[i], p.end)
			default:
				bound.set(&list[i], f.Offset)
			}
		}
	}
	return list, nil
}

// earliest returns when the oldest record of a partition got there, nil where there is none.
func earliest(ctx context.Context, cl *kgo.Client, parts []*part) (*time.Time, error) {
	at := make(map[offsets.Partition]int64)
	for _, p := range parts {
		if p.start > 0 { // something was deleted
			at[p.Partition] = 0
		}
	}
	found, err := offsets.List(ctx, cl, at)
	if err != nil {
		return nil, err
	}
	var latest *time.Time
	for p := range at {
		f := found[p]
		t := moment(f.Timestamp)
		if f.Offset == offsets.None { // all of it was deleted
			now := time.Now().UTC()
			t = &now
		}
		if t != nil && (latest == nil || t.After(*latest)) {
			latest = t
		}
	}
	return latest, nil
}
