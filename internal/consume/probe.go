package consume

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/record"
)

// After a restart or a hand-over all records may be old, and say little of what the
// brokers' clocks show now. A probe asks: a broker that appends a record to a topic
// with LogAppendTime answers with the time. The record holds nothing, and every reader
// of that topic passes over it.

const (
	// probeWithin bounds a round of probes. New lanes wait for the first.
	probeWithin = 2 * time.Second
	// probeLook is how often it is checked whether a clock is to be probed.
	probeLook = 10 * time.Second
	// wipeTries is how often the deletion of a mark is tried, wipeAgain apart.
	wipeTries = 3
	wipeAgain = 50 * time.Millisecond
)

// errNotStamped says that the topic for probes keeps its producers' times.
var errNotStamped = errors.New("the topic's message.timestamp.type is not LogAppendTime")

// prober probes the clocks of the brokers that lead lanes.
type prober struct {
	soon   chan struct{} // has room for one: a clock seems to have been set
	lock   chanLock      // one round at a time
	failed bool          // logged
	off    bool          // probes can tell nothing
}

// probing reports whether rec is the mark that a probe leaves on its topic.
func probing(rec *kgo.Record) bool {
	return rec.Key == nil && rec.Value == nil && len(rec.Headers) == 1 && rec.Headers[0].Key == record.KeyClock
}

// keepClocks probes clocks from time to time, where that is needed, until ctx ends.
func (c *Consumer) keepClocks(ctx context.Context) {
	tick := time.NewTicker(probeLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.prober.soon:
		case <-tick.C:
		}
		c.probe(ctx)
	}
}

// probe probes the clocks of the brokers that lead lanes, where that is needed. What
// fails is logged once: it costs lateness and nothing else.
func (c *Consumer) probe(ctx context.Context) {
	if c.cfg.ProbeTopic == "" {
		return
	}
	c.prober.lock.Lock()
	defer c.prober.lock.Unlock()
	ids := c.unsure(time.Now())
	if len(ids) == 0 || c.prober.off {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	err := c.probeBrokers(ctx, ids)
	switch {
	case errors.Is(err, errNotStamped):
		c.prober.off = true
		c.log.Info().Str("topic", c.cfg.ProbeTopic).Msg("the topic is not stamped by its brokers; their time is known from level topics only")
	case err != nil && ctx.Err() != context.Canceled && !c.prober.failed:
		c.prober.failed = true
		c.log.Warn().Err(connect.GrantWrite(err, c.cfg.ProbeTopic)).Str("topic", c.cfg.ProbeTopic).
			Msg("cannot ask the brokers for their time; records may be late until newer ones have been read")
	}
}

// unsure returns the brokers that lead lanes and whose clocks are to be probed. Records that
// are long overdue wait for no clock.
func (c *Consumer) unsure(now time.Time) map[int32]bool {
	leads, waits, soon := make(map[int32]bool), make(map[int32]bool), make(map[int32]bool)
	for _, l := range c.each() {
		leader, epoch, err := c.client.PartitionLeader(l.topic.Name, l.partition)
		if err != nil || leader < 0 {
			continue
		}
		l.led(c.clocks.broker(leader), epoch)
		leads[leader] = true
		l.mu.Lock()
		next := l.queue.peek(true)
		l.mu.Unlock()
		if next == nil {
			continue
		}
		waits[leader] = true
		if wait := next.Due.Sub(l.now(now)); !l.suspended.Load() && wait > -overdueAfter && wait < probeLook+probeWithin {
			soon[leader] = true
		}
	}
	ids := make(map[int32]bool)
	for id := range leads {
		if c.clocks.broker(id).probing(now, waits[id], soon[id]) {
			ids[id] = true
		}
	}
	return ids
}

// probeBrokers probes each of the brokers on a partition that it leads. Where one leads
// none, all others are probed: the one that is furthest behind counts for it.
func (c *Consumer) probeBrokers(ctx context.Context, ids map[int32]bool) error {
	topics, err := c.adm.ListTopics(ctx, c.cfg.ProbeTopic)
	if err != nil {
		return err
	}
	t := topics[c.cfg.ProbeTopic]
	if t.Err != nil {
		return t.Err
	}
	led := make(map[int32]int32)
	for _, p := range t.Partitions {
		if p.Leader >= 0 {
			led[p.Leader] = p.Partition
		}
	}
	all := false
	for id := range ids {
		_, ok := led[id]
		all = all || !ok
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for id, p := range led {
		if !all && !ids[id] {
			continue
		}
		wg.Go(func() {
			if fault := c.probeBroker(ctx, id, &t, p); fault != nil {
				mu.Lock()
				defer mu.Unlock()
				err = fault
			}
		})
	}
	wg.Wait()
	return err
}

// probeBroker probes a broker's clock by an append to the partition of t.
func (c *Consumer) probeBroker(ctx context.Context, id int32, t *kadm.TopicDetail, partition int32) error {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = 1, int32(probeWithin.Milliseconds())
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.TopicID = t.Topic, t.ID
	part := kmsg.NewProduceRequestTopicPartition()
	sent := time.Now()
	part.Partition, part.Records = partition, probeBatch(sent)
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	answer, err := c.client.Broker(int(id)).Request(ctx, req)
	received := time.Now()
	if err != nil {
		return fmt.Errorf("broker %d: %w", id, err)
	}
	topics := answer.(*kmsg.ProduceResponse).Topics
	if len(topics) == 0 || len(topics[0].Partitions) == 0 {
		return fmt.Errorf("broker %d: the answer names no partition", id)
	}
	p := topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		return fmt.Errorf("broker %d: %w", id, err)
	}
	if p.LogAppendTime < 0 {
		return errNotStamped
	}
	c.wakeLanes(c.clocks.broker(id).probed(time.UnixMilli(p.LogAppendTime), sent, received))
	if c.topic(c.cfg.ProbeTopic) == nil && p.LogStartOffset == p.BaseOffset {
		c.wipe(ctx, partition, p.BaseOffset)
	}
	return nil
}

// wipe deletes the mark of a probe that is all there is on a partition, where nobody
// reads the topic. The followers may not have the mark yet. What is left does no harm.
func (c *Consumer) wipe(ctx context.Context, partition int32, mark int64) {
	before := make(kadm.Offsets)
	before.AddOffset(c.cfg.ProbeTopic, partition, mark+1, -1)
	for range wipeTries {
		deleted, err := c.adm.DeleteRecords(ctx, before)
		if err != nil || deleted.Error() == nil {
			return
		}
		select {
		case <-time.After(wipeAgain):
		case <-ctx.Done():
		}
	}
}

// Where things stand in a record batch (magic 2).
const (
	batchLength = 8
	batchCRC    = 17
	batchBody   = 21
)

// probeBatch returns a batch with the mark of a probe. It belongs to no producer: it
// does not matter if it is written twice, or lost.
func probeBatch(now time.Time) []byte {
	rec := kmsg.Record{Headers: []kmsg.Header{{Key: record.KeyClock}}}
	rec.Length = int32(len(rec.AppendTo(nil)) - 1) // but for the length itself, of one byte
	ms := now.UnixMilli()
	batch := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, FirstTimestamp: ms, MaxTimestamp: ms,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 1, Records: rec.AppendTo(nil),
	}
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[batchLength:], uint32(len(raw)-batchLength-4))
	binary.BigEndian.PutUint32(raw[batchCRC:], crc32.Checksum(raw[batchBody:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}
