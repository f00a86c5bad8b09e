package lane

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/metrics"
)

// Fetch sizes. A lane's fetch is small so that dozens of lanes fit in memory;
// one batch that is larger is still returned whole.
const (
	fetchMaxBytes          = 8 << 20
	fetchMaxPartitionBytes = 256 << 10
	// fetchMaxWait is how long an idle fetch waits at the broker for a record;
	// the first byte ends it.
	fetchMaxWait = 5 * time.Second
)

// primeRetry is the pause between looks at what a new assignment starts from.
const primeRetry = 100 * time.Millisecond

// Config says what a Consumer reads.
type Config struct {
	Group    string
	Instance string // static member id; "" is a dynamic member
	Topics   []Topic
	Budget   int64

	PurgeAfter time.Duration // PurgeOff: never

	// Assigned is called before lanes of a new assignment start. Its error is
	// retried. Nil: nothing.
	Assigned func(context.Context) error

	Log     zerolog.Logger
	Metrics *metrics.Metrics
}

// Consumer is a member of a group and owns the lanes of the partitions that are
// assigned to it.
type Consumer struct {
	cfg    Config
	log    zerolog.Logger
	opts   []kgo.Opt
	topics map[string]*Topic

	ahead, aside *pool
	room         chan struct{}
	held         atomic.Bool // some lane is held back
	lease        *lease
	handled      atomic.Int64  // since the last commit
	some         chan struct{} // has room for one: there is something to commit
	full         chan struct{} // has room for one: CommitRecords are handled
	committing   sync.Mutex    // one commit at a time, and none across a hand-over

	opened chan struct{}           // closed when Run has set what follows
	fail   context.CancelCauseFunc // ends Run with an error
	work   context.Context         // ends when Run has drained
	client *kgo.Client
	adm    *kadm.Client

	mu    sync.Mutex
	lanes map[partition]*lane
}

type partition struct {
	topic string
	n     int32
}

// New returns a consumer; Run starts it. opts say how to reach the cluster.
func New(cfg Config, opts ...kgo.Opt) (*Consumer, error) {
	room := make(chan struct{}, 1)
	c := &Consumer{
		cfg:    cfg,
		log:    cfg.Log.With().Str("group", cfg.Group).Logger(),
		topics: make(map[string]*Topic),
		ahead:  newPool(cfg.Budget, room),
		aside:  newPool(cfg.Budget/4, room),
		room:   room,
		lease:  newLease(),
		some:   make(chan struct{}, 1),
		full:   make(chan struct{}, 1),
		opened: make(chan struct{}),
		lanes:  make(map[partition]*lane),
	}
	names := make([]string, 0, len(cfg.Topics))
	for i := range cfg.Topics {
		c.topics[cfg.Topics[i].Name] = &cfg.Topics[i]
		names = append(names, cfg.Topics[i].Name)
	}
	c.opts = append(opts[:len(opts):len(opts)],
		kgo.ConsumerGroup(cfg.Group),
		kgo.ConsumeTopics(names...),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(SessionTimeout),
		kgo.HeartbeatInterval(HeartbeatInterval),
		kgo.RebalanceTimeout(RebalanceTimeout),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		// Never skip: kgo's default would start a minute ago where no offset is
		// committed.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(fetchMaxBytes),
		kgo.FetchMaxPartitionBytes(fetchMaxPartitionBytes),
		kgo.FetchMaxWait(fetchMaxWait),
		kgo.OnPartitionsAssigned(c.assigned),
		kgo.OnPartitionsRevoked(c.revoked),
		kgo.OnPartitionsLost(c.lost),
	)
	if cfg.Instance != "" {
		c.opts = append(c.opts, kgo.InstanceID(cfg.Instance))
	}
	if err := kgo.ValidateOpts(c.opts...); err != nil {
		return nil, fmt.Errorf("consume as group %s: %w", cfg.Group, err)
	}
	return c, nil
}

// Run joins the group and handles records until ctx ends, then stops taking,
// lets what is on its way end (DrainTimeout), commits, and returns nil. Any other
// error means that this process must not go on: ErrFenced, or a topic that cannot
// be read.
func (c *Consumer) Run(ctx context.Context) error {
	ctx, c.fail = context.WithCancelCause(ctx)
	defer c.fail(nil)
	var end context.CancelFunc
	c.work, end = context.WithCancel(context.WithoutCancel(ctx))
	defer end()

	client, err := kgo.NewClient(c.opts...)
	if err != nil {
		return fmt.Errorf("consume as group %s: %w", c.cfg.Group, err)
	}
	c.client, c.adm = client, kadm.NewClient(client)
	close(c.opened)

	var tasks sync.WaitGroup
	tasks.Go(func() { c.commitLoop(c.work) })
	tasks.Go(func() { c.keepHouse(c.work) })
	if c.cfg.PurgeAfter != PurgeOff {
		p := purger{c: c, after: c.cfg.PurgeAfter}
		tasks.Go(func() { p.loop(ctx) })
	}
	c.poll(ctx)
	c.drain()
	end()
	tasks.Wait()
	client.CloseAllowingRebalance()
	if fault := context.Cause(ctx); !errors.Is(fault, context.Canceled) && !errors.Is(fault, context.DeadlineExceeded) {
		return fault
	}
	return nil
}

// poll appends what is fetched to the lanes. It never waits for a due time: a
// rebalance is blocked only while records are being appended.
func (c *Consumer) poll(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := c.client.PollFetches(ctx)
		if fetches.IsClientClosed() {
			return
		}
		fetches.EachError(c.fetchError)
		now := time.Now()
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if l := c.lane(p.Topic, p.Partition); l != nil && len(p.Records) > 0 {
				l.push(p.FetchPartition, now)
			}
		})
		c.client.AllowRebalance()
		if c.ahead.pressed() || c.aside.pressed() {
			c.throttle(now)
		}
	}
}

func (c *Consumer) lane(topic string, n int32) *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lanes[partition{topic, n}]
}

// each returns the lanes of now.
func (c *Consumer) each() []*lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	lanes := make([]*lane, 0, len(c.lanes))
	for _, l := range c.lanes {
		lanes = append(lanes, l)
	}
	return lanes
}

// fetchError tells what heals by itself from what has to end this member or
// start a topic anew: franz-go never again fetches a partition whose error
// cannot be retried.
func (c *Consumer) fetchError(topic string, n int32, err error) {
	var loss *kgo.ErrDataLoss
	var session *kgo.ErrGroupSession
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed):
	case errors.Is(err, kerr.FencedInstanceID):
		c.fenced()
	case errors.As(err, &session):
		c.log.Error().Err(session.Err).Msg("joining the group: retried")
	case errors.As(err, &loss):
		c.cfg.Metrics.DataLoss.Inc()
		c.log.Error().Str("topic", loss.Topic).Int32("partition", loss.Partition).
			Int64("consumed_to", loss.ConsumedTo).Int64("reset_to", loss.ResetTo).
			Msg("records were lost by the broker before they were delivered")
	case topic == "":
		c.log.Error().Err(err).Msg("fetch")
	default:
		c.fail(fmt.Errorf("fetch %s/%d: %w: check the topic and the right to read it, then start again", topic, n, err))
	}
}

func (c *Consumer) fenced() {
	c.lease.lose()
	c.fail(fmt.Errorf("group %s, instance %q: %w", c.cfg.Group, c.cfg.Instance, ErrFenced))
}

// assigned makes the lanes of a new assignment. It runs before their first
// fetch and never overlaps with poll appending.
func (c *Consumer) assigned(ctx context.Context, _ *kgo.Client, added map[string][]int32) {
	if len(added) == 0 {
		return
	}
	<-c.opened // franz-go joins the group before NewClient returns
	lanes := make(map[partition]*lane)
	for topic, ns := range added {
		for _, n := range ns {
			lanes[partition{topic, n}] = c.newLane(topic, n)
		}
	}
	for c.prime(ctx, lanes) != nil {
		select {
		case <-time.After(primeRetry):
		case <-ctx.Done():
			return
		case <-c.work.Done():
			return
		}
	}
	c.mu.Lock()
	for p, l := range lanes {
		c.lanes[p] = l
	}
	c.mu.Unlock()
	c.log.Info().Int("lanes", len(lanes)).Int("total", len(c.each())).Msg("partitions assigned")
	ready := make(chan struct{})
	for _, l := range lanes {
		l.ready = ready
		l.halt, l.stop = context.WithCancel(c.work)
		go l.run() // ended by lane.end, waited for by settle
	}
	go func() { // ends with c.work at the latest
		defer close(ready)
		c.prepare()
	}()
}

func (c *Consumer) newLane(topic string, n int32) *lane {
	t := c.topics[topic]
	l := &lane{
		c: c, topic: t, partition: n, pool: c.ahead,
		wake: make(chan struct{}, 1), halted: make(chan struct{}),
	}
	if t.Aside {
		l.pool = c.aside
	}
	l.live.Store(true)
	return l
}

// prime reads where lanes start: the last commit, or the log's start where
// there is none. What was first seen when comes from the commit's metadata.
func (c *Consumer) prime(ctx context.Context, lanes map[partition]*lane) error {
	topics := make(map[string]bool)
	for p := range lanes {
		topics[p.topic] = true
	}
	names := make([]string, 0, len(topics))
	for t := range topics {
		names = append(names, t)
	}
	commits, err := c.adm.FetchOffsetsForTopics(ctx, c.cfg.Group, names...)
	if err == nil {
		err = commits.Error()
	}
	if err != nil {
		c.log.Warn().Err(err).Msg("reading the group's offsets: retried")
		return err
	}
	starts, err := c.adm.ListStartOffsets(ctx, names...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		c.log.Warn().Err(err).Msg("reading the topics' first offsets: retried")
		return err
	}
	for p, l := range lanes {
		start, _ := starts.Lookup(p.topic, p.n)
		l.committed = kgo.EpochOffset{Epoch: -1, Offset: start.Offset}
		if o, ok := commits.Lookup(p.topic, p.n); ok && o.At >= 0 {
			l.committed = kgo.EpochOffset{Epoch: o.LeaderEpoch, Offset: o.At}
			l.marks = parseMarks(o.Metadata)
		}
		if lost := start.Offset - l.committed.Offset; lost > 0 {
			c.cfg.Metrics.DataLoss.Inc()
			c.log.Error().Str("topic", p.topic).Int32("partition", p.n).Int64("offsets", lost).
				Msg("offsets that were never delivered are gone from the topic: check its retention")
		}
	}
	return nil
}

// prepare does what has to be done before a new lane sends its first record:
// the caller's own preparations, and a commit that proves the membership.
func (c *Consumer) prepare() {
	for c.cfg.Assigned != nil && c.work.Err() == nil {
		err := c.cfg.Assigned(c.work)
		if err == nil {
			break
		}
		c.log.Warn().Err(err).Msg("preparing the lanes: retried")
		select {
		case <-time.After(primeRetry):
		case <-c.work.Done():
		}
	}
	c.renewLease()
}

// revoked hands partitions over: no more is sent, what was sent may end, and
// what is handled is committed while the partitions are still ours.
func (c *Consumer) revoked(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	lanes := c.pick(gone)
	if len(lanes) == 0 {
		return
	}
	c.settle(lanes, HandOver)
	c.forget(gone)
	c.log.Info().Int("lanes", len(lanes)).Msg("partitions handed over")
}

// lost drops partitions that are another member's already.
func (c *Consumer) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	if len(c.pick(gone)) == 0 {
		return
	}
	c.lease.lose()
	c.forget(gone)
	c.log.Warn().Msg("partitions lost: what was on its way may be delivered twice")
}

func (c *Consumer) pick(parts map[string][]int32) []*lane {
	var lanes []*lane
	for topic, ns := range parts {
		for _, n := range ns {
			if l := c.lane(topic, n); l != nil {
				lanes = append(lanes, l)
			}
		}
	}
	return lanes
}

// settleEvery is how often a lane that is handed over is asked whether all is
// answered.
const settleEvery = 5 * time.Millisecond

// settle stops lanes from sending, waits for what they have sent, and commits.
func (c *Consumer) settle(lanes []*lane, within time.Duration) {
	ctx, cancel := context.WithTimeout(c.work, within)
	defer cancel()
	for _, l := range lanes {
		l.stop()
	}
	for _, l := range lanes {
		select {
		case <-l.halted:
		case <-ctx.Done():
		}
		for !l.idle() && ctx.Err() == nil {
			select {
			case <-time.After(settleEvery):
			case <-ctx.Done():
			}
		}
	}
	c.commit(c.work)
}

// forget ends lanes and takes them out of service. It waits for a commit under
// way, which may still name them.
func (c *Consumer) forget(gone map[string][]int32) {
	c.committing.Lock()
	defer c.committing.Unlock()
	for _, l := range c.pick(gone) {
		l.end()
		c.mu.Lock()
		delete(c.lanes, partition{l.topic.Name, l.partition})
		c.mu.Unlock()
	}
	// franz-go remembers a pause over a rebalance, which would halt the
	// partition in silence when it comes back.
	c.client.ResumeFetchPartitions(gone)
}

// drain is the end of the process: as a hand-over of everything.
func (c *Consumer) drain() {
	lanes := c.each()
	c.settle(lanes, DrainTimeout)
	gone := make(map[string][]int32)
	for _, l := range lanes {
		gone[l.topic.Name] = append(gone[l.topic.Name], l.partition)
	}
	c.forget(gone)
}

// Ready returns nil when the group is joined and no lane is stuck.
func (c *Consumer) Ready() error {
	select {
	case <-c.opened:
	default:
		return fmt.Errorf("group %s: not started", c.cfg.Group)
	}
	if _, generation := c.client.GroupMetadata(); generation < 0 {
		return fmt.Errorf("group %s: not joined yet", c.cfg.Group)
	}
	lanes := c.each()
	now := time.Now()
	if age := c.lease.age(now); len(lanes) > 0 && (age == 0 || age > SessionTimeout) {
		return fmt.Errorf("group %s: the lease is lost: no commit succeeded for %v", c.cfg.Group, age.Round(time.Millisecond))
	}
	for _, l := range lanes {
		if d := l.stuck(now); d > 0 {
			return fmt.Errorf("%s/%d: overdue by %v and not moving", l.topic.Name, l.partition, d.Round(time.Second))
		}
	}
	return nil
}

// keepHouse looks at the budgets while they are short, sets the gauges, and
// wakes the lanes when the wall clock has jumped: their timers follow the other
// clock, which stands still while a machine is suspended.
func (c *Consumer) keepHouse(ctx context.Context) {
	timer := time.NewTimer(houseEvery)
	defer timer.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.room:
		case <-timer.C:
		}
		now := time.Now()
		if jump := now.Round(0).Sub(last.Round(0)) - now.Sub(last); jump.Abs() > clockJump {
			c.log.Warn().Dur("jump_ms", jump).Msg("the wall clock was set, or the machine was suspended")
			for _, l := range c.each() {
				l.nudge()
			}
		}
		last = now
		c.cfg.Metrics.LeaseAge.WithLabelValues(c.cfg.Group).Set(c.lease.age(now).Seconds())
		c.cfg.Metrics.Queued.WithLabelValues(c.cfg.Group).Set(float64(c.ahead.bytes.Load() + c.aside.bytes.Load()))
		every := houseEvery
		if c.held.Load() || c.ahead.pressed() || c.aside.pressed() {
			c.throttle(now)
			every = throttleEvery
		}
		timer.Reset(every)
	}
}

// throttle stops and starts the fetching of lanes, as their pools' budgets say.
func (c *Consumer) throttle(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reaches := make(map[*pool][]reach, 2)
	for _, l := range c.lanes {
		reaches[l.pool] = append(reaches[l.pool], l.reach())
	}
	held := 0
	pause, resume := make(map[string][]int32), make(map[string][]int32)
	for p, lanes := range reaches {
		fetch, hold := share(p.budget, lanes, now)
		held += len(hold)
		for _, l := range hold {
			l.hold(true, pause)
		}
		for _, l := range fetch {
			l.hold(false, resume)
		}
	}
	if len(pause) > 0 {
		c.client.PauseFetchPartitions(pause)
	}
	if len(resume) > 0 {
		c.client.ResumeFetchPartitions(resume)
	}
	c.held.Store(held > 0)
}

// hold notes whether the lane is held back, and adds it to changed when that
// is new.
func (l *lane) hold(paused bool, changed map[string][]int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused == paused {
		return
	}
	l.paused = paused
	l.caughtUp = false
	changed[l.topic.Name] = append(changed[l.topic.Name], l.partition)
}
