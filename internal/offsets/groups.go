package offsets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/delayd-io/delayd/internal/connect"
)

// Commit is how far a group has come in a partition: Offset is the next record
// that it wants.
type Commit struct {
	Group string
	Partition
	Offset int64
}

// Committed is what one group has committed, in every topic. A group that does
// not exist has committed nothing. One whose coordinator is not there yet is waited
// for: half a minute, or until ctx ends.
func Committed(ctx context.Context, adm *kadm.Client, group string) (map[Partition]int64, error) {
	var fetched kadm.OffsetResponses
	err := awaitCoordinator(ctx, func() (err error) {
		fetched, err = adm.FetchOffsets(ctx, group)
		return err
	})
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("fetch the offsets of group %s: %w", group, connect.GrantGroup(err, connect.Describe, group))
	}
	committed := make(map[Partition]int64)
	var errs []error
	fetched.Each(func(o kadm.OffsetResponse) {
		switch {
		case o.Err != nil:
			errs = append(errs, fmt.Errorf("fetch the offset of group %s in %s/%d: %w", group, o.Topic, o.Partition, connect.GrantTopic(o.Err, connect.Describe, o.Topic)))
		case o.At >= 0:
			committed[Partition{o.Topic, o.Partition}] = o.At
		}
	})
	return committed, errors.Join(errs...)
}

// groupsAtOnce bounds the groups whose offsets are held in memory at a time.
const groupsAtOnce = 100

// OtherGroups finds what groups that are not own have committed in topics, sorted
// by topic, partition and group. Groups that we may not see count as none.
//
// It asks every coordinator for every offset of every group, which on a cluster
// with thousands of groups is megabytes: ask seldom. On an error the result holds
// what could be found: whoever deletes records by it has to leave them alone.
func OtherGroups(ctx context.Context, adm *kadm.Client, topics []string, own ...string) ([]Commit, error) {
	listed, err := adm.ListGroups(ctx)
	if _, denied := errors.AsType[*kadm.AuthError](err); denied {
		return nil, nil
	}
	var errs []error
	if err != nil {
		errs = append(errs, fmt.Errorf("list groups: %w", err))
	}
	var others []string
	for name, g := range listed {
		// Connect workers and share groups keep no offsets of this kind.
		if !slices.Contains(own, name) && g.ProtocolType != "connect" && g.ProtocolType != "share" {
			others = append(others, name)
		}
	}

	var commits []Commit
	for some := range slices.Chunk(others, groupsAtOnce) {
		for name, group := range adm.FetchManyOffsets(ctx, some...) {
			_, denied := errors.AsType[*kadm.AuthError](group.Err)
			switch {
			case group.Err == nil:
				commits = append(commits, within(topics, name, group.Fetched)...)
			case denied, errors.Is(group.Err, kerr.GroupIDNotFound): // deleted meanwhile
			default:
				errs = append(errs, fmt.Errorf("fetch the offsets of group %s: %w", name, group.Err))
			}
		}
	}
	slices.SortFunc(commits, func(a, b Commit) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition.Partition, b.Partition.Partition),
			cmp.Compare(a.Group, b.Group))
	})
	return commits, errors.Join(errs...)
}

// within keeps a group's commits in topics.
func within(topics []string, group string, fetched kadm.OffsetResponses) []Commit {
	var commits []Commit
	for _, topic := range topics {
		for partition, o := range fetched[topic] {
			if o.Err == nil && o.At >= 0 {
				commits = append(commits, Commit{group, Partition{topic, partition}, o.At})
			}
		}
	}
	return commits
}

// Lowest is the lowest commit of any group in each partition that has one: all
// of them have read what lies before it.
func Lowest(commits []Commit) kadm.Offsets {
	var lowest kadm.Offsets
	for _, c := range commits {
		at := c.Offset
		if other, ok := lowest.Lookup(c.Topic, c.Partition.Partition); ok {
			lowest.Delete(c.Topic, c.Partition.Partition)
			at = min(at, other.At)
		}
		lowest.AddOffset(c.Topic, c.Partition.Partition, at, -1)
	}
	return lowest
}
