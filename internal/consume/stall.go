package consume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/unpack"
)

const (
	// stallRetry is how often a stalled partition is fetched again, and how often the
	// consumer checks whether an operator has skipped what stalls it.
	stallRetry = 10 * time.Second
	// transientRetry is the same where the error is one that passes by itself, as while a
	// partition gets another leader. franz-go would ask again at once.
	transientRetry = 100 * time.Millisecond
	// stallLogEvery is how often the log repeats a stall that goes on.
	stallLogEvery = 10 * time.Minute
	// maxStallsNamed bounds how many stalled partitions Ready names.
	maxStallsNamed = 10
)

// stall is where and why a partition is not read on. The other partitions are.
type stall struct {
	offset int64 // the next that would be fetched
	err    error
	since  time.Time
	logged time.Time
	tried  time.Time // of the fetch under way; zero: not fetched
	left   bool      // the brokers' fetch sessions (see leaveSessions)
	told   bool      // to Config.Stalled
}

// transient reports whether the stall will most likely be over soon. Then nobody need know.
func (s *stall) transient(now time.Time) bool {
	return (errors.Is(s.err, unpack.ErrNoRoom) || kerr.IsRetriable(s.err)) && now.Sub(s.since) < stuckAfter
}

// message returns what the log and Ready say about the stall.
func (s *stall) message(topic string, n int32, now time.Time) error {
	err := connect.GrantTopic(s.err, connect.Read, topic)
	if _, kafka := errors.AsType[*kerr.Error](s.err); kafka || errors.Is(s.err, unpack.ErrNoRoom) {
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
	s.err, s.tried, s.left, l.empty = err, time.Time{}, false, 0
	log := now.Sub(s.logged) >= stallLogEvery && !s.transient(now)
	if log {
		s.logged = now
	}
	l.mu.Unlock()
	c.client.PauseFetchPartitions(map[string][]int32{topic: {n}})
	if log {
		c.log.Error().Err(s.message(topic, n, now)).Dur("again_in_ms", stallRetry).Msg("partition stalled, reading all others")
	}
	if s.transient(now) && !unknown(err) {
		time.AfterFunc(transientRetry, func() { c.retryTransient(l) })
		return
	}
	signal(c.stalls)
}

// retryTransient fetches a lane again that was stalled by an error that passes.
func (c *Consumer) retryTransient(l *lane) {
	lc := c.lock()
	defer lc.unlock()
	if c.lanes[partition{l.topic.Name, l.partition}] != l {
		return
	}
	l.mu.Lock()
	if l.stalled != nil {
		l.stalled.tried = time.Now()
	}
	l.mu.Unlock()
	lc.resume(map[string][]int32{l.topic.Name: {l.partition}})
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
			c.stallUndecoded()
			c.leaveSessions()
			c.tellStalls()
			c.skipStalled(ctx)
		case <-tick.C:
			c.skipStalled(ctx)
			c.retryStalls(time.Now())
			c.tellStalls()
		}
	}
}

// tellStalls calls Config.Stalled for stalls that were not reported yet.
func (c *Consumer) tellStalls() {
	if c.cfg.Stalled == nil {
		return
	}
	now := time.Now()
	for _, l := range c.each() {
		l.mu.Lock()
		s := l.stalled
		tell, offset := s != nil && !s.told && !s.transient(now), int64(0)
		if tell {
			s.told, offset = true, s.offset
		}
		l.mu.Unlock()
		if tell {
			c.cfg.Stalled(l.topic.Name, l.partition, offset)
		}
	}
}

// emptyReads is how often a batch is read before it is taken for one that cannot be
// decoded: what stands in front of it has been polled by then.
const emptyReads = 3

// errUndecoded says that a batch unpacks to what are no records.
var errUndecoded = errors.New("a batch holds no record that can be decoded")

// undecoded finds batches of which franz-go can decode nothing. It returns no error for
// them: it goes on behind one that others follow, and fetches the last again and again.
type undecoded struct{ c *Consumer }

var _ kgo.HookFetchBatchRead = undecoded{}

// OnFetchBatchRead is called by franz-go when it has read a batch.
func (u undecoded) OnFetchBatchRead(_ kgo.BrokerMetadata, topic string, n int32, m kgo.FetchBatchMetrics) {
	if m.NumRecords > 0 || m.CompressedBytes == 0 || notUnpacked(m) {
		return
	}
	l := u.c.lane(topic, n)
	if l == nil {
		return
	}
	l.mu.Lock()
	l.empty++
	found := l.empty >= emptyReads
	l.mu.Unlock()
	if found {
		signal(u.c.stalls)
	}
}

// notUnpacked reports whether a batch could not be unpacked. franz-go then stops before
// the batch and returns the error itself: a gap in the fetch has another cause.
func notUnpacked(m kgo.FetchBatchMetrics) bool {
	return m.CompressionType != 0 && m.UncompressedBytes == m.CompressedBytes
}

// cut takes out of a fetch what stands behind a batch that undecoded has found, and
// reports whether there is such a batch.
func (l *lane) cut(p *kgo.FetchPartition) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.empty == 0 || l.next == unknownOffset {
		return false
	}
	next := l.next
	for i, rec := range p.Records {
		if rec.Offset != next {
			p.Records = p.Records[:i]
			return true
		}
		next++
	}
	return false
}

// stallUndecoded stalls the partitions that undecoded has found.
func (c *Consumer) stallUndecoded() {
	for _, l := range c.each() {
		l.mu.Lock()
		found := l.empty >= emptyReads && (l.stalled == nil || !l.stalled.tried.IsZero())
		if found {
			l.empty = 0
		}
		l.mu.Unlock()
		if found {
			c.stall(l.topic.Name, l.partition, errUndecoded)
		}
	}
}

// leaveSessions begins new fetch sessions where a topic may be gone. A broker may keep
// one that is in a session although it is fetched no more, and answer at once for it.
func (c *Consumer) leaveSessions() {
	beyond := make(map[string]map[int32]kgo.EpochOffset)
	for _, l := range c.each() {
		l.mu.Lock()
		if s := l.stalled; s != nil && unknown(s.err) && !s.left {
			s.left = true
			setOffset(beyond, l, s.offset+1) // until it is fetched again
		}
		l.mu.Unlock()
	}
	c.client.SetOffsets(beyond)
}

// retryStalls fetches stalled partitions again, and takes those for healed whose
// leader has answered without an error since the last try.
func (c *Consumer) retryStalls(now time.Time) {
	again := make(map[string][]int32)
	at := make(map[string]map[int32]kgo.EpochOffset)
	for _, l := range c.each() {
		locked := l.lock()
		s := l.stalled
		switch {
		case s == nil:
		case s.tried.IsZero():
			s.tried = now
			again[l.topic.Name] = append(again[l.topic.Name], l.partition)
			setOffset(at, l, s.offset)
		case c.answered(l, s.tried.Add(stallRetry/2)):
			locked.heal(now)
		}
		locked.unlock()
	}
	if len(again) == 0 {
		return
	}
	// An error can have moved franz-go's position, or stopped it for good until the
	// position is set.
	c.fetchFrom(at)
	lc := c.lock()
	defer lc.unlock()
	lc.resume(again)
}

// fetchFrom makes franz-go fetch partitions from these offsets on. It ignores an offset
// that it was set to before, so that another is set first.
func (c *Consumer) fetchFrom(at map[string]map[int32]kgo.EpochOffset) {
	beside := make(map[string]map[int32]kgo.EpochOffset, len(at))
	for topic, partitions := range at {
		beside[topic] = make(map[int32]kgo.EpochOffset, len(partitions))
		for n, o := range partitions {
			beside[topic][n] = kgo.EpochOffset{Epoch: o.Epoch, Offset: o.Offset + 1}
		}
	}
	c.client.SetOffsets(beside)
	c.client.SetOffsets(at)
}

func setOffset(at map[string]map[int32]kgo.EpochOffset, l *lane, offset int64) {
	if at[l.topic.Name] == nil {
		at[l.topic.Name] = make(map[int32]kgo.EpochOffset)
	}
	at[l.topic.Name][l.partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
}

// held reports whether the lane must not be fetched now.
func (l *lane) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.usage.paused || l.stalled != nil && l.stalled.tried.IsZero()
}

// heal ends a stall.
func (l *lockedLane) heal(now time.Time) {
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
	if s == nil || s.transient(now) {
		return nil
	}
	return s.message(l.topic.Name, l.partition, now)
}

// stalls returns why lanes do not read on, in the order of their partitions, so that
// an operator can skip all of them at once. It returns nil if all lanes read on.
func stalls(lanes []*lane, now time.Time) error {
	slices.SortFunc(lanes, func(a, b *lane) int {
		return cmp.Or(cmp.Compare(a.topic.Name, b.topic.Name), cmp.Compare(a.partition, b.partition))
	})
	var errs []error
	for _, l := range lanes {
		if err := l.stallOf(now); err != nil {
			errs = append(errs, err)
		}
	}
	if more := len(errs) - maxStallsNamed; more > 0 {
		errs = append(errs[:maxStallsNamed], fmt.Errorf("and %d more stalled", more))
	}
	return errors.Join(errs...)
}
