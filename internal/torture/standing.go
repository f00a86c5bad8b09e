package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
)

// standingWait is how long it may take to read what is on the targets, and what is still on delayd's topics.
const standingWait = 2 * time.Minute

// stands tells that a record stands on one of delayd's topics, and is not handled.
func (h *history) stands(rec *kgo.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if id, ok := h.mix.number(rec); ok && !rec.Attrs.IsControl() {
		if h.standing == nil {
			h.standing = make(map[int64]string)
		}
		h.standing[id] = rec.Topic
	}
}

// findStanding tells the history which records are on delayd's topics above what its
// groups have committed, where records are missing: these are not lost, a delayd would
// still deliver them. Where a record stands on two topics, the parked one counts.
func (w *world) findStanding(ctx context.Context) error {
	if missing, _ := w.history.waitingFor(); missing == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, standingWait)
	defer cancel()
	var waiting []string
	for _, l := range w.history.mix.levels {
		waiting = append(waiting, w.names.Level(l))
	}
	for _, of := range []struct {
		group  string
		topics []string
	}{
		{w.names.RouterGroup(), []string{w.names.Inbox()}},
		{w.names.ForwarderGroup(), waiting},
		{w.names.ForwarderGroup(), []string{w.names.Parked()}},
	} {
		if err := w.readUncommitted(ctx, of.group, of.topics...); err != nil {
			return fmt.Errorf("read what %s has not committed of %v: %w", of.group, of.topics, err)
		}
	}
	return nil
}

// readUncommitted reads what topics have above what a group has committed.
func (w *world) readUncommitted(ctx context.Context, group string, topics ...string) error {
	commits, err := w.admin.FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	starts, err := w.admin.ListStartOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	ends, err := w.admin.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	from := make(map[string]map[int32]kgo.Offset)
	left := make(map[string]int64) // by partition: the end, where it is not reached
	for topic, partitions := range ends {
		from[topic] = make(map[int32]kgo.Offset)
		for p, end := range partitions {
			start, _ := starts.Lookup(topic, p)
			at := max(start.Offset, 0)
			if c, ok := commits.Lookup(topic, p); ok {
				at = max(at, c.At)
			}
			if end.Err == nil && at < end.Offset {
				from[topic][p] = kgo.NewOffset().At(at)
				left[partitionName(topic, p)] = end.Offset
			}
		}
	}
	if len(left) == 0 {
		return nil
	}
	// The last one may be the end of a transaction.
	cl, err := kgo.NewClient(append(connect.Options(w.cluster.Brokers(), "torture-standing", w.log), kgo.ConsumePartitions(from),
		kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.MaxDecompressBatchBytes(readerUnpacks))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	p := newPasser(w.history)
	p.patient = true // what it passes too soon would be called lost
	for len(left) > 0 {
		fetches := p.poll(ctx, cl)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%w; not read to their ends: %v", err, left)
		}
		fetches.EachRecord(w.history.stands)
		for at, end := range left {
			if p.next[at] >= end {
				delete(left, at)
			}
		}
	}
	return nil
}
