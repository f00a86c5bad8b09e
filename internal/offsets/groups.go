package offsets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

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

const (
	// groupsAtOnce bounds the groups of one request.
	groupsAtOnce = 25
	// cleanFor is how long a group without commits in our topics is not asked again, as
	// long as its state does not change; half of it at least, so that not all are asked
	// at the same time.
	cleanFor = time.Hour
)

// Others finds what groups of other people have committed in topics of ours. Clusters
// have thousands of groups, of which hardly one ever reads such a topic. So it remembers
// which do not, asks the others for these topics only, and asks for little: a list of
// the groups each time, the commits of those that are new or changed their state, and
// once an hour those of all.
type Others struct {
	own []string

	mu     sync.Mutex
	topics []string // that clean is about, sorted
	clean  map[string]cleanGroup
}

// cleanGroup is a group that had no commits.
type cleanGroup struct {
	state string
	until time.Time
}

// NewOthers returns an Others to which the groups own do not belong.
func NewOthers(own ...string) *Others { return &Others{own: own} }

// Commits returns what other groups have committed in topics, sorted by topic,
// partition and group, and the groups with members that it had to ask. Groups that we
// may not see count as none.
//
// On an error the result holds what could be found: whoever deletes records by it has
// to leave them alone.
func (o *Others) Commits(ctx context.Context, cl *kgo.Client, topics []string) (commits []Commit, active []string, err error) {
	adm := kadm.NewClient(cl)
	listed, err := adm.ListGroups(ctx)
	if _, denied := errors.AsType[*kadm.AuthError](err); denied {
		return nil, nil, nil
	}
	var errs []error
	if err != nil {
		errs = append(errs, fmt.Errorf("list groups: %w", err))
	}
	asked := o.due(listed, topics, time.Now())
	for _, name := range asked {
		if state := listed[name].State; state != "Empty" && state != "Dead" {
			active = append(active, name)
		}
	}
	if len(asked) == 0 || len(topics) == 0 {
		return nil, active, errors.Join(errs...)
	}
	of, err := adm.ListTopics(ctx, topics...)
	if err != nil {
		return nil, active, errors.Join(append(errs, fmt.Errorf("list topics: %w", err))...)
	}
	for some := range slices.Chunk(asked, groupsAtOnce) {
		for name, found := range fetchCommits(ctx, cl, some, of) {
			commits = append(commits, found.commits...)
			if found.err != nil {
				errs = append(errs, fmt.Errorf("fetch the offsets of group %s: %w", name, found.err))
			} else if len(found.commits) == 0 {
				o.note(listed[name], time.Now())
			}
		}
	}
	slices.SortFunc(commits, func(a, b Commit) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition.Partition, b.Partition.Partition),
			cmp.Compare(a.Group, b.Group))
	})
	return commits, active, errors.Join(errs...)
}

// due returns the groups that have to be asked, sorted, and forgets those that are gone.
func (o *Others) due(listed kadm.ListedGroups, topics []string, now time.Time) (due []string) {
	topics = slices.Sorted(slices.Values(topics))
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.clean == nil || !slices.Equal(o.topics, topics) {
		o.topics, o.clean = topics, make(map[string]cleanGroup)
	}
	maps.DeleteFunc(o.clean, func(name string, _ cleanGroup) bool { _, there := listed[name]; return !there })
	for name, g := range listed {
		// Connect workers and share groups keep no offsets of this kind.
		if slices.Contains(o.own, name) || g.ProtocolType == "connect" || g.ProtocolType == "share" {
			continue
		}
		if c, ok := o.clean[name]; !ok || c.state != g.State || !now.Before(c.until) {
			due = append(due, name)
		}
	}
	slices.Sort(due)
	return due
}

// note notes that a group has no commits.
func (o *Others) note(g kadm.ListedGroup, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.clean[g.Group] = cleanGroup{g.State, now.Add(cleanFor/2 + rand.N(cleanFor/2))}
}

// Ask has a group be asked again next time, for what its commits do not show.
func (o *Others) Ask(group string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.clean, group)
}

// committed is what a group has committed, or why that is not known.
type committed struct {
	commits []Commit
	err     error
}

// fetchCommits asks for the commits of groups in topics. It does not ask for others,
// of which a group can have any number.
func fetchCommits(ctx context.Context, cl *kgo.Client, groups []string, topics kadm.TopicDetails) map[string]committed {
	var in []kmsg.OffsetFetchRequestGroupTopic
	for _, t := range topics {
		if t.Err == nil {
			rt := kmsg.NewOffsetFetchRequestGroupTopic()
			rt.Topic, rt.TopicID, rt.Partitions = t.Topic, t.ID, t.Partitions.Numbers()
			in = append(in, rt)
		}
	}
	found := make(map[string]committed, len(groups))
	if len(in) == 0 { // none named would be all
		return found
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	for _, group := range groups {
		rg := kmsg.NewOffsetFetchRequestGroup()
		rg.Group, rg.Topics = group, in
		req.Groups = append(req.Groups, rg)
	}
	for _, shard := range cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			for _, g := range shard.Req.(*kmsg.OffsetFetchRequest).Groups {
				found[g.Group] = committed{err: shard.Err}
			}
			continue
		}
		for _, g := range shard.Resp.(*kmsg.OffsetFetchResponse).Groups {
			found[g.Group] = commitsOf(&g)
		}
	}
	return found
}

// commitsOf reads the answer for one group. One that we may not see, or that was deleted
// meanwhile, has none.
func commitsOf(g *kmsg.OffsetFetchResponseGroup) (c committed) {
	c.err = kerr.ErrorForCode(g.ErrorCode)
	if errors.Is(c.err, kerr.GroupAuthorizationFailed) || errors.Is(c.err, kerr.GroupIDNotFound) {
		c.err = nil
	}
	for _, t := range g.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 && p.Offset >= 0 {
				c.commits = append(c.commits, Commit{g.Group, Partition{t.Topic, p.Partition}, p.Offset})
			}
		}
	}
	return c
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
