package cancel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/series"
	"github.com/delayd-io/delayd/internal/unpack"
)

const (
	// KeepAfter is for how much longer than the longest wait a mark counts. A record that is
	// overdue by more, because its target or the service was away, can be delivered though
	// it was cancelled.
	KeepAfter = 24 * time.Hour

	// fetchWait is how long an idle fetch waits at the broker. The first mark ends it. A
	// partition that is added joins with the next fetch, and records wait for that.
	fetchWait = 5 * time.Second
	// restEvery is the pause after a fetch of fewer marks than restBelow, so that cancels that
	// come one by one do not cost a fetch each. A mark is known two pauses later, which
	// Notice has room for.
	restEvery = 50 * time.Millisecond
	restBelow = 1000
	// followAgain is the pause before a topic that cannot be read is read again, and
	// absentAgain before the reader asks again for one that does not exist.
	followAgain = 250 * time.Millisecond
	absentAgain = 10 * time.Second
	// startsAfter is how long no marks may arrive before the reader checks that the topic still
	// has them.
	startsAfter = time.Second
	// purgeEvery is how often marks are purged.
	purgeEvery = time.Minute
	// shards is in how many parts the table is locked, so that nobody waits for a purge.
	shards = 64
)

// Keep returns how long marks count on an installation where no record waits longer than a
// time.
func Keep(longest time.Duration) time.Duration { return longest + KeepAfter }

// Marks are all marks that count, read from the cancel topic. All partitions are read, so
// that nothing moves with the partitions of levels.
type Marks struct {
	topic string
	keep  time.Duration
	opts  []kgo.Opt
	log   zerolog.Logger
	gauge series.Gauge

	n      atomic.Int64 // marks
	byID   atomic.Int64 // those of them that name an id alone
	tables [shards]struct {
		sync.RWMutex
		t Table
	}

	mu     sync.Mutex
	client *kgo.Client // while the topic is followed
	next   map[int32]int64
	moved  chan struct{} // closed and replaced when next has changed
	fault  error         // why the topic is not followed
	since  time.Time     // it is not
	absent bool          // for the reason that it is not there
	told   string
	// stalled is where routers have said that partitions of the inbox stall: the last of each.
	// Whether one still does is seen by what the router has committed.
	stalled map[int32]int64
}

// NewMarks returns marks of a topic; Start reads them. keep is how long a mark counts. gauge
// shows how many there are.
func NewMarks(topic string, keep time.Duration, log zerolog.Logger, gauge series.Gauge, opts ...kgo.Opt) *Marks {
	return &Marks{
		topic: topic, keep: keep, opts: opts, log: log, gauge: gauge,
		next: make(map[int32]int64), moved: make(chan struct{}), stalled: make(map[int32]int64),
	}
}

// Start reads in a goroutine of its own, which stop ends and waits for. It goes on when ctx
// has ended, while the last records are handled.
func (m *Marks) Start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var tasks sync.WaitGroup
	tasks.Go(func() { m.run(ctx) })
	tasks.Go(func() { m.keepPurging(ctx) })
	return func() { cancel(); tasks.Wait() }
}

// Len returns how many marks there are.
func (m *Marks) Len() int64 { return m.n.Load() }

// Hit reports whether a mark hits a record.
func (m *Marks) Hit(s *record.Subject) bool {
	if s.Key != nil && m.hit(NameOf(s.ID, s.Key), s, true) {
		return true
	}
	return m.byID.Load() > 0 && m.hit(NameOf(s.ID, nil), s, false) // a hash is most of what a record costs
}

func (m *Marks) hit(name Name, s *record.Subject, byKey bool) bool {
	shard := &m.tables[name[0]%shards]
	shard.RLock()
	defer shard.RUnlock()
	if byKey {
		return hits(shard.t.byKey, name, s)
	}
	return hits(shard.t.byID, name, s)
}

func (m *Marks) add(mark Mark) {
	shard := &m.tables[mark.Name[0]%shards]
	shard.Lock()
	defer shard.Unlock()
	before, ids := shard.t.Len(), len(shard.t.byID)
	shard.t.Add(mark)
	m.count(shard.t.Len()-before, len(shard.t.byID)-ids)
}

// count notes that there are n more marks, of which ids name an id alone.
func (m *Marks) count(n, ids int) {
	m.byID.Add(int64(ids))
	m.gauge.Set(float64(m.n.Add(int64(n))))
}

func (m *Marks) keepPurging(ctx context.Context) {
	timer := time.NewTicker(purgeEvery)
	defer timer.Stop()
	for {
		select {
		case now := <-timer.C:
			m.purge(now)
		case <-ctx.Done():
			return
		}
	}
}

func (m *Marks) purge(now time.Time) {
	if m.Len() == 0 {
		return
	}
	before := now.Add(-m.keep).UnixMilli()
	if seeded.purgeEarly {
		before = now.Add(-time.Second).UnixMilli()
	}
	for i := range m.tables {
		shard := &m.tables[i]
		shard.Lock()
		ids := len(shard.t.byID)
		n := shard.t.Purge(before)
		m.count(-n, len(shard.t.byID)-ids)
		shard.Unlock()
	}
}

func (m *Marks) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := m.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := followAgain
		m.mu.Lock()
		if m.fault == nil {
			m.since = time.Now()
		}
		m.client, m.fault = nil, err
		if m.absent = errors.Is(err, kerr.UnknownTopicOrPartition); m.absent {
			wait = absentAgain
		}
		m.wakeLocked()
		m.mu.Unlock()
		m.tell(err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// tell logs an error of following once.
func (m *Marks) tell(err error) {
	if err.Error() == m.told {
		return
	}
	m.told = err.Error()
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		m.log.Info().Str("topic", m.topic).Msg("cancel topic missing, nothing can be cancelled; run `delayd admin provision`")
		return
	}
	m.log.Warn().Err(err).Msg("cannot read what is cancelled: retried")
}

// wakeLocked tells who waits for progress. It needs m.mu.
func (m *Marks) wakeLocked() {
	close(m.moved)
	m.moved = make(chan struct{})
}

// ready returns an error while what is cancelled can't be read for long.
func (m *Marks) ready(now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fault == nil || m.absent || now.Sub(m.since) < readyAfter {
		return nil
	}
	return fmt.Errorf("what is cancelled cannot be read: %w", m.fault)
}

// follow reads the topic from what can still matter on. It returns when it cannot go on. Marks
// count as soon as they are written, in a transaction or not: what they ask for has been
// accepted.
func (m *Marks) follow(ctx context.Context) error {
	var room unpack.Room
	client, err := kgo.NewClient(append(append(connect.Timing(), m.opts...), kgo.FetchMaxWait(fetchWait),
		kgo.WithDecompressor(unpack.New(&room, nil)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()), kgo.KeepControlRecords())...)
	if err != nil {
		return err
	}
	defer client.Close()
	next, err := m.from(ctx, client)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.client, m.next, m.fault, m.absent = client, next, nil, false
	m.wakeLocked()
	m.mu.Unlock()
	m.told = ""
	// Not before: clients that may create topics would create this one.
	at := make(map[int32]kgo.Offset, len(next))
	for p, o := range next {
		at[p] = kgo.NewOffset().At(o)
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{m.topic: at})
	for {
		fetches := client.PollFetches(ctx)
		room.Reset()
		if err := fetches.Err(); err != nil && !errors.Is(err, unpack.ErrNoRoom) { // fetched again
			return fmt.Errorf("read %s: %w", m.topic, connect.GrantTopic(err, connect.Read, m.topic))
		}
		m.take(fetches)
		if fetches.NumRecords() >= restBelow {
			continue
		}
		select {
		case <-time.After(restEvery):
		case <-ctx.Done():
		}
	}
}

// from returns where each partition has to be read from: the first mark that counts.
func (m *Marks) from(ctx context.Context, client *kgo.Client) (map[int32]int64, error) {
	adm := kadm.NewClient(client)
	after := time.Now().Add(-m.keep)
	if seeded.lostAtStart {
		after = time.Now()
	}
	listed, err := adm.ListOffsetsAfterMilli(ctx, after.UnixMilli(), m.topic)
	if err = offsets.ListFault(listed, err); err != nil {
		return nil, fmt.Errorf("look for what is cancelled: %w", connect.GrantTopic(err, connect.Read, m.topic))
	}
	next := make(map[int32]int64)
	listed.Each(func(o kadm.ListedOffset) { next[o.Partition] = o.Offset })
	return next, nil
}

// take adds the marks that were fetched.
func (m *Marks) take(fetches kgo.Fetches) {
	next := make(map[int32]int64)
	fetches.EachRecord(func(rec *kgo.Record) {
		next[rec.Partition] = rec.Offset + 1
		if rec.Attrs.IsControl() {
			return
		}
		if partition, offset, ok := parseStall(string(rec.Value)); ok {
			m.mu.Lock()
			m.stalled[partition] = offset
			m.mu.Unlock()
			return
		}
		mark, err := Parse(string(rec.Value))
		if err != nil {
			m.log.Warn().Err(err).Str("topic", m.topic).Int32("partition", rec.Partition).Int64("offset", rec.Offset).
				Msg("record of the cancel topic ignored; only the router writes to it")
			return
		}
		if seeded.readLate {
			time.AfterFunc(3*time.Second, func() { m.add(mark) })
			return
		}
		m.add(mark)
	})
	if len(next) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.Copy(m.next, next)
	m.wakeLocked()
}

// stalls returns where routers have said that partitions of the inbox stall.
func (m *Marks) stalls() map[int32]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.stalled)
}

// Read waits until all marks are known that were written before it was called. ok is false
// where there is no cancel topic, and nothing can be cancelled. It retries for as long as ctx
// lasts, but for the first error where once is true.
func (m *Marks) Read(ctx context.Context, once bool) (ok bool, err error) {
	for {
		client, moved, absent, fault := m.following()
		switch {
		case absent:
			return false, nil
		case client != nil:
			ends, err := m.ends(ctx, client)
			if errors.Is(err, kerr.UnknownTopicOrPartition) {
				return false, nil
			}
			if err == nil && m.await(ctx, client, ends) {
				return true, nil
			}
			fault = err
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if once && fault != nil {
			return false, fault
		}
		select {
		case <-moved:
		case <-time.After(followAgain):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

func (m *Marks) following() (client *kgo.Client, moved <-chan struct{}, absent bool, fault error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.client, m.moved, m.absent, m.fault
}

func (m *Marks) ends(ctx context.Context, client *kgo.Client) (map[int32]int64, error) {
	listed, err := kadm.NewClient(client).ListEndOffsets(ctx, m.topic)
	if err = offsets.ListFault(listed, err); err != nil {
		return nil, fmt.Errorf("look for what is cancelled: %w", connect.GrantTopic(err, connect.Read, m.topic))
	}
	ends := make(map[int32]int64)
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends, nil
}

// await waits until all partitions are read to their ends. It returns false when the topic is
// not followed any more by client.
func (m *Marks) await(ctx context.Context, client *kgo.Client, ends map[int32]int64) bool {
	m.adopt(client, ends)
	for {
		m.mu.Lock()
		moved, same := m.moved, m.client == client
		lagging := false
		for p, end := range ends {
			lagging = lagging || m.next[p] < end
		}
		m.mu.Unlock()
		if !same || !lagging {
			return same
		}
		select {
		case <-moved:
		case <-time.After(startsAfter):
			m.skip(ctx, client)
		case <-ctx.Done():
			return false
		}
	}
}

// skip passes what the topic does not have any more.
func (m *Marks) skip(ctx context.Context, client *kgo.Client) {
	starts, err := kadm.NewClient(client).ListStartOffsets(ctx, m.topic)
	if offsets.ListFault(starts, err) != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	starts.Each(func(o kadm.ListedOffset) {
		if next, known := m.next[o.Partition]; known && m.client == client {
			m.next[o.Partition] = max(next, o.Offset)
		}
	})
}

// adopt has partitions be read that were added to the topic.
func (m *Marks) adopt(client *kgo.Client, ends map[int32]int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	added := make(map[int32]kgo.Offset)
	for p := range ends {
		if _, known := m.next[p]; !known && m.client == client {
			m.next[p], added[p] = 0, kgo.NewOffset().At(0)
		}
	}
	if len(added) > 0 {
		client.AddConsumePartitions(map[string]map[int32]kgo.Offset{m.topic: added})
		client.ForceMetadataRefresh()
	}
}
