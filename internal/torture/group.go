package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	// groupWait is how long a group may take to become what it is to be.
	groupWait  = time.Minute
	groupEvery = 100 * time.Millisecond
	// stable is the state of a group whose partitions are given out.
	stable = "Stable"
)

// groups are those of delayd.
func (w *world) groups() []string { return []string{w.names.RouterGroup(), w.names.ForwarderGroup()} }

// owners are the instances that have partitions of a group, none while they are
// being given out.
func (w *world) owners(ctx context.Context, group string) ([]string, error) {
	described, err := w.admin.DescribeGroups(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("describe group %s: %w", group, err)
	}
	g := described[group]
	if g.Err != nil || g.State != stable {
		return nil, g.Err
	}
	owners := make(map[string]bool)
	for _, m := range g.Members {
		if c, ok := m.Assigned.AsConsumer(); ok && len(c.Topics) > 0 && m.InstanceID != nil {
			owners[*m.InstanceID] = true
		}
	}
	return slices.Sorted(maps.Keys(owners)), nil
}

// owned waits until those instances, and no others, have partitions of every group.
func (w *world) owned(ctx context.Context, by ...string) error {
	ctx, cancel := context.WithTimeout(ctx, groupWait)
	defer cancel()
	slices.Sort(by)
	for _, group := range w.groups() {
		for {
			owners, err := w.owners(ctx, group)
			if err == nil && slices.Equal(owners, by) {
				break
			}
			if sleep(ctx, groupEvery) != nil {
				return fmt.Errorf("wait until group %s belongs to %v: %w (last: %v, %v)", group, by, context.Cause(ctx), owners, err)
			}
		}
	}
	return nil
}

// disown takes the commits of every group away, as an operator may by mistake, and
// counts what has to come once more because of that. Nothing may run.
func (w *world) disown(ctx context.Context) error {
	defer w.faults.begin("delete offsets")()
	ctx, cancel := context.WithTimeout(ctx, groupWait)
	defer cancel()
	var kept int64
	for _, group := range w.groups() {
		n, err := w.committed(ctx, group)
		if err != nil {
			return err
		}
		kept += n
		// A static member that has stopped is one until its session is over.
		for {
			deleted, err := w.admin.DeleteGroups(ctx, group)
			if err == nil && deleted.Error() == nil {
				break
			}
			if sleep(ctx, groupEvery) != nil {
				return fmt.Errorf("delete group %s: %w (last: %v, %v)", group, context.Cause(ctx), err, deleted.Error())
			}
		}
	}
	if kept == 0 {
		return fmt.Errorf("delete the offsets of %v: nothing that is committed is there any more, so nothing would come once more", w.groups())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rewound += kept
	return nil
}

// committed is how many records are there that a group has committed.
func (w *world) committed(ctx context.Context, group string) (int64, error) {
	commits, err := w.admin.FetchOffsets(ctx, group)
	if err == nil {
		err = commits.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("fetch the offsets of group %s: %w", group, err)
	}
	starts, err := w.admin.ListStartOffsets(ctx, slices.Collect(maps.Keys(commits))...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("list the first offsets of group %s: %w", group, err)
	}
	var n int64
	for topic, partitions := range commits {
		for p, c := range partitions {
			if start, ok := starts.Lookup(topic, p); ok {
				n += max(0, c.At-start.Offset)
			}
		}
	}
	return n, nil
}
