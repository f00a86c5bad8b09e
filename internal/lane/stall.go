package lane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
)

const (
	// stallRetry is how often a stalled partition is fetched again, and how often the
	// consumer checks whether an operator has skipped what stalls it.
	stallRetry = 10 * time.Second
	// passingRetry is the same where the error is one that passes by itself, as while a
	// partition gets another leader. franz-go would ask again at once.
	passingRetry = 100 * time.Millisecond
	// stallLogEvery is how often the log repeats a stall that goes on.
	stallLogEvery = 10 * time.Minute
)

// stall is where and why a partition is not read on. The other partitions are.
type stall struct {
	offset int64 // the next that would be fetched
	err    error
	since  time.Time
	logged time.Time
	tried  time.Time // of the fetch under way; zero: not fetched
	left   bool      // the brokers' fetch sessions (see leaveSessions)
}

// passing reports whether the stall will most likely be over soon. Then nobody need know.
func (s *stall) passing(now time.Time) bool {
	return (errors.Is(s.err, errNoRoom) || kerr.IsRetriable(s.err)) && now.Sub(s.since) < stuckAfter
}

// message returns what the log and Ready say about the stall.
func (s *stall) message(topic string, n int32, now time.Time) error {
	err := connect.GrantTopic(s.err, connect.Read, topic)
	if _, kafka := errors.AsType[*kerr.Error](s.err); kafka || errors.Is(s.err, errNoRoom) {
		return fmt.Errorf("%s/%d: stalled at offset %d for %v: %w", topic, n, s.offset, now.Sub(s.since).Round(time.Second), err)
	}
	return fmt.Errorf("%s/%d: stalled at offset %d for %v: %w; to give up what cannot be read run `delayd admin skip %s/%d/%d`",
		topic, n, s.offset, now.Sub(s.since).Round(time.Second), err, topic, n, s.offset)
}

// stall stops fetching a partition after an error of a fetch, which franz-go would
// repeat as fast as the broker answers, until retryStalls tries again.
func (c *Consumer) stall(topic string, n int32, err error) {
	l := c.lane(topic, n)
	if l == nil {
		return // handed over
	}
	now := time.Now()
	l.mu.Lock()
	s := l.stalled
	if s == nil || s.offset != l.next {
		s = &stall{offset: l.next, since: now}
		l.stalled = s
	}
	s.err, s.tried, s.left = err, time.Time{}, false
	log := now.Sub(s.logged) >= stallLogEvery && !s.passing(now)
	if log {
		s.logged = now
	}
	l.mu.Unlock()
	c.client.PauseFetchPartitions(map[string][]int32{topic: {n}})
	if log {
		c.log.Error().Err(s.message(topic, n, now)).Dur("again_in_ms", stallRetry).Msg("partition stalled, reading all others")
	}
	if s.passing(now) && !unknown(err) {
		time.AfterFunc(passingRetry, func() { c.retryPassing(l) })
		return
	}
	signal(c.stalls)
}

// retryPassing fetches a lane again that was stalled by an error that passes.
func (c *Consumer) retryPassing(l *lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lanes[partition{l.topic.Name, l.partition}] != l {
		return
	}
	l.mu.Lock()
	if l.stalled != nil {
		l.stalled.tried = time.Now()
	}
	l.mu.Unlock()
	c.resume(map[string][]int32{l.topic.Name: {l.partition}})
}

// watchStalls retries stalled partitions until ctx ends. Shortly after a partition
// stalls it checks whether it is to be skipped.
func (c *Consumer) watchStalls(ctx context.Context) {
	tick := time.NewTicker(stallRetry)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.stalls:
			c.leaveSessions()
			c.skipStalled(ctx)
		case <-tick.C:
			c.skipStalled(ctx)
			c.retryStalls(time.Now())
		}
	}
}

// leaveSessions begins new fetch sessions where a topic may be gone. A broker may keep
// one that is in a session although it is fetched no more, and answer at once for it.
func (c *Consumer) leaveSessions() {
	ahead := make(map[string]map[int32]kgo.EpochOffset)
	for _, l := range c.each() {
		l.mu.Lock()
		if s := l.stalled; s != nil && unknown(s.err) && !s.left {
			s.left = true
			setOffset(ahead, l, s.offset+1) // until it is fetched again
		}
		l.mu.Unlock()
	}
	c.client.SetOffsets(ahead)
}

// retryStalls fetches stalled partitions again, and takes those for healed whose
// leader has answered without an error since the last try.
func (c *Consumer) retryStalls(now time.Time) {
	again := make(map[string][]int32)
	ahead, back := make(map[string]map[int32]kgo.EpochOffset), make(map[string]map[int32]kgo.EpochOffset)
	for _, l := range c.each() {
		l.mu.Lock()
		s := l.stalled
		switch {
		case s == nil:
		case s.tried.IsZero():
			s.tried = now
			again[l.topic.Name] = append(again[l.topic.Name], l.partition)
			setOffset(ahead, l, s.offset+1)
			setOffset(back, l, s.offset)
		case c.answered(l, s.tried.Add(stallRetry/2)):
			l.heal(now)
		}
		l.mu.Unlock()
	}
	if len(again) == 0 {
		return
	}
	// An error can have moved franz-go's position, or stopped it for good until the
	// position is set. It ignores one that it was set to before.
	c.client.SetOffsets(ahead)
	c.client.SetOffsets(back)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resume(again)
}

func setOffset(at map[string]map[int32]kgo.EpochOffset, l *lane, offset int64) {
	if at[l.topic.Name] == nil {
		at[l.topic.Name] = make(map[int32]kgo.EpochOffset)
	}
	at[l.topic.Name][l.partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
}

// resume fetches partitions again, unless the budget holds them back. It needs c.mu.
func (c *Consumer) resume(parts map[string][]int32) {
	free := make(map[string][]int32)
	for topic, ns := range parts {
		for _, n := range ns {
			if l := c.lanes[partition{topic, n}]; l != nil && !l.held() {
				free[topic] = append(free[topic], n)
			}
		}
	}
	c.client.ResumeFetchPartitions(free)
}

// held reports whether the lane must not be fetched now.
func (l *lane) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.paused || l.stalled != nil && l.stalled.tried.IsZero()
}

// heal ends a stall. The caller has the lock.
func (l *lane) heal(now time.Time) {
	if l.stalled == nil {
		return
	}
	level := zerolog.InfoLevel
	if l.stalled.logged.IsZero() {
		level = zerolog.DebugLevel
	}
	l.c.log.WithLevel(level).Str("topic", l.topic.Name).Int32("partition", l.partition).Int64("offset", l.stalled.offset).
		Dur("stalled_ms", now.Sub(l.stalled.since)).Msg("partition is read again")
	l.stalled, l.fetched = nil, now
}

// stallOf returns why the lane does not read on, nil if it does.
func (l *lane) stallOf(now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stalled
	if s == nil || s.passing(now) {
		return nil
	}
	return s.message(l.topic.Name, l.partition, now)
}
