package cancel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
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
	// purgeEvery is how often marks are purged.
	purgeEvery = time.Minute
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

	table    sharedTable
	progress *progress
	told     string // the error that was logged last; owned by run

	mu sync.Mutex
	// stalled is where routers have said that partitions of the inbox stall: the last of each.
	// Whether one still does is seen by what the router has committed. Guarded by mu.
	stalled map[int32]int64
}

// NewMarks returns marks of a topic; Start reads them. keep is how long a mark counts. gauge
// shows how many there are.
func NewMarks(topic string, keep time.Duration, log zerolog.Logger, gauge series.Gauge, opts ...kgo.Opt) *Marks {
	return &Marks{
		topic: topic, keep: keep, opts: opts, log: log,
		table: sharedTable{gauge: gauge}, progress: newProgress(topic), stalled: make(map[int32]int64),
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
func (m *Marks) Len() int64 { return m.table.n.Load() }

// Hit reports whether a mark hits a record.
func (m *Marks) Hit(s *record.Subject) bool { return m.table.hit(s) }

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
	before := now.Add(-m.keep)
	if seeded.purgeEarly {
		before = now.Add(-time.Second)
	}
	m.table.purge(before.UnixMilli())
}

// ready returns an error while what is cancelled can't be read for long.
func (m *Marks) ready(now time.Time) error { return m.progress.ready(now) }

func (m *Marks) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := m.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		m.progress.stop(err)
		m.tell(err)
		wait := followAgain
		if Missing(err) {
			wait = absentAgain
		}
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
	if Missing(err) {
		m.log.Info().Str("topic", m.topic).Msg("cancel topic missing, nothing can be cancelled; run `delayd admin provision`")
		return
	}
	m.log.Warn().Err(err).Msg("cannot read what is cancelled: retried")
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
	m.progress.start(client, next)
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
			time.AfterFunc(3*time.Second, func() { m.table.add(mark) })
			return
		}
		m.table.add(mark)
	})
	m.progress.advance(next)
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
		client, moved, absent, fault := m.progress.state()
		switch {
		case absent:
			return false, nil
		case client != nil:
			ends, err := m.ends(ctx, client)
			if Missing(err) {
				return false, nil
			}
			if err == nil && m.progress.await(ctx, client, ends) {
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

func (m *Marks) ends(ctx context.Context, client *kgo.Client) (map[int32]int64, error) {
	listed, err := kadm.NewClient(client).ListEndOffsets(ctx, m.topic)
	if err = offsets.ListFault(listed, err); err != nil {
		return nil, fmt.Errorf("look for what is cancelled: %w", connect.GrantTopic(err, connect.Read, m.topic))
	}
	ends := make(map[int32]int64)
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends, nil
}
