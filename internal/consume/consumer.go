package consume

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/internal/unpack"
)

// unpacking is what the process's consumers share for what is unpacked and not yet in a
// lane.
var unpacking unpack.Room

// Fetch sizes. A lane's fetch is small so that dozens of lanes fit in memory;
// one batch that is larger is still returned whole.
const (
	fetchMaxBytes          = 8 << 20
	fetchMaxPartitionBytes = 256 << 10
	// fetchMaxWait is how long an idle fetch waits at the broker for a record; the
	// first byte ends it. A partition that is assigned, or fetched again after it
	// was held back, joins with the next fetch: it waits this long at most. Lower
	// costs an idle service more requests.
	fetchMaxWait = 250 * time.Millisecond
)

// fetching are the options that a caller may set otherwise.
func fetching() []kgo.Opt {
	return append(connect.Serving(),
		kgo.FetchMaxBytes(fetchMaxBytes),
		kgo.FetchMaxPartitionBytes(fetchMaxPartitionBytes),
		kgo.FetchMaxWait(fetchMaxWait),
	)
}

// What is retried ten times a second is logged this often.
const (
	tryLogs      = 3
	tryLogPeriod = 30 * time.Second
)

// Config says what a Consumer reads.
type Config struct {
	Group    string
	Instance string // static member id; "" is a dynamic member
	// LeaveOnStop makes a static member leave the group when Run ends cleanly. A dynamic
	// one always does.
	LeaveOnStop bool
	Topics      []Topic
	Budget      int64
	// Gather is how long records may lie at the broker before they are fetched,
	// for topics whose records wait longer than that in any case: a fetch for each
	// of them would cost more than its delivery. 0: not at all.
	Gather time.Duration

	PurgeAfter time.Duration // PurgeOff: never; 0 and PurgeAtOnce: at once
	// PurgedGroup is a group whose offsets say up to where an operator has deleted
	// what was pending: that is no loss. "": nobody does.
	PurgedGroup string
	// SkippedGroup is a group whose offsets say behind what an operator has skipped a
	// partition goes on that stalls. "": nobody skips.
	SkippedGroup string

	// Discover finds retired topics that are there besides Topics, before the group
	// is joined and from time to time after that. Nil: there are none.
	Discover func(context.Context, *kadm.Client) ([]Topic, error)

	// Transactional leaves the commits to TxnCommitters, as part of transactions. What is
	// handled has to be a prefix of what each partition has sent then.
	Transactional bool

	// Assigned is called before lanes of a new assignment start. Its error is
	// retried. Nil: nothing.
	Assigned func(context.Context) error
	// Stalled is called once for each stall of a partition: where it cannot be read on. It
	// returns at once. Nil: nothing.
	Stalled func(topic string, partition int32, offset int64)

	// ProbeTopic is a topic of the service on which a record may be written that asks
	// a broker for its time. It is read as Aside, or by nobody. "": none.
	ProbeTopic string

	// Unstable is called, from time to time, while a new assignment cannot start
	// because offsets of the group are pending in a transaction. Nil: nothing.
	Unstable func()

	Log     zerolog.Logger
	Metrics *metrics.Metrics
}

// Consumer is a member of a group and owns the lanes of the partitions that are
// assigned to it.
type Consumer struct {
	cfg   Config
	log   zerolog.Logger
	tries zerolog.Logger // what is tried all the time until it works
	opts  []kgo.Opt

	metadataLimit metadataLimit
	main, aside   *pool
	held          atomic.Bool           // some lane is held back
	eased         chan struct{}         // has room for one: memory is free that lanes are held back for
	taken         atomic.Bool           // the first assignment has its lanes
	unjoined      atomic.Pointer[error] // why the group could not be joined; nil when it was
	stuck         atomic.Bool           // the budget is used by records that do not move
	vain          time.Time             // when the poll loop last waited for the pool aside in vain
	lease         *lease
	reads         reads
	clocks        clocks
	prober        prober
	handled       atomic.Int64   // since the last commit
	some          chan struct{}  // has room for one: there is something to commit
	full          chan struct{}  // has room for one: commitFrom are handled
	committing    chanLock       // one commit at a time, and none across a hand-over
	doubts        int            // transactions of unknown outcome; guarded by committing
	asides        sync.WaitGroup // of abandon

	opened chan struct{}   // closed when Run has set what follows
	fail   func(error)     // ends Run with an error
	asked  context.Context // ends when Run is to end
	work   context.Context // ends when Run has drained
	client *kgo.Client
	adm    *kadm.Client

	mu       sync.Mutex
	topics   map[string]*Topic   // that are read
	gone     map[string]*gone    // topics that are not read until they can be
	absences absences            // topics that have not been seen yet
	doubted  map[string]int      // topics that may be gone; in how many checks they were missing
	ids      map[string]identity // of the topics that are read
	lanes    map[partition]*lane
	stalls   chan struct{} // has room for one: a partition has stalled
	suspects chan struct{} // has room for one: a topic has come into doubt

	joined atomic.Pointer[string] // the id of the member that was last assigned partitions
	absent atomic.Bool            // from the group, since an error of its session; until the next assignment

	suspended map[string]bool // by Suspend; never changed, only replaced
}

type partition struct {
	topic string
	n     int32
}

// New returns a consumer; Run starts it. opts say how to reach the cluster.
func New(cfg Config, opts ...kgo.Opt) (*Consumer, error) {
	if cfg.PurgeAfter == PurgeAtOnce {
		cfg.PurgeAfter = 0
	}
	log := cfg.Log.With().Str("group", cfg.Group).Logger()
	c := &Consumer{
		cfg:    cfg,
		log:    log,
		tries:  log.Sample(&zerolog.BurstSampler{Burst: tryLogs, Period: tryLogPeriod}),
		main:   newPool(cfg.Budget, cfg.Transactional),
		aside:  newPool(cfg.Budget/4, cfg.Transactional),
		lease:  newLease(),
		some:   make(chan struct{}, 1),
		full:   make(chan struct{}, 1),
		opened: make(chan struct{}),

		eased: make(chan struct{}, 1),

		prober:     prober{soon: make(chan struct{}, 1), lock: make(chanLock, 1)},
		committing: make(chanLock, 1),
		topics:     make(map[string]*Topic),
		gone:       make(map[string]*gone),
		absences:   newAbsences(cfg.Topics),
		doubted:    make(map[string]int),
		ids:        make(map[string]identity),
		stalls:     make(chan struct{}, 1),
		suspects:   make(chan struct{}, 1),
		lanes:      make(map[partition]*lane),
	}
	c.main.eased = c.eased
	for i := range cfg.Topics {
		c.topics[cfg.Topics[i].Name] = &cfg.Topics[i]
	}
	c.opts = append(fetching(), opts...)
	c.opts = append(c.opts,
		kgo.WithDecompressor(unpack.New(&unpacking, func() int64 { return c.main.bytes.Load() + c.aside.bytes.Load() })),
		kgo.WithHooks(&c.reads, undecoded{c}),
		kgo.ConsumerGroup(cfg.Group),
		kgo.Balancers(newBalancer()),
		kgo.SessionTimeout(SessionTimeout),
		kgo.HeartbeatInterval(HeartbeatInterval),
		kgo.RebalanceTimeout(RebalanceTimeout),
		kgo.RetryTimeoutFn(retryTimeout),
		kgo.DisableAutoCommit(),
		kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()), // of probes: nothing else is written
		kgo.BlockRebalanceOnPoll(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		// Else it asks again at once for a partition that cannot be read just now,
		// without a pause, if others of the broker can be.
		kgo.KeepRetryableFetchErrors(),
		// Never skip: kgo's default would start a minute ago where no offset is
		// committed.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.AdjustFetchOffsetsFn(c.place),
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

// retryTimeout is how long a request is tried again: franz-go's times, but that of
// heartbeats.
func retryTimeout(key int16) time.Duration {
	switch kmsg.Key(key) {
	case kmsg.JoinGroup, kmsg.SyncGroup:
		return SessionTimeout
	}
	return coordinatorWait
}

// Run joins the group and handles records until ctx ends, then stops taking,
// waits for records in flight (DrainTimeout), commits, and returns nil. Any error
// means that this process must not go on: ErrFenced, or a fault that a TxnCommitter reports.
func (c *Consumer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	c.fail = func(err error) { cancel(fault{err}) }
	defer cancel(nil)
	c.asked = ctx
	var end context.CancelFunc
	c.work, end = context.WithCancel(context.WithoutCancel(ctx))
	defer end()

	client, err := kgo.NewClient(c.opts...)
	if err != nil {
		return fmt.Errorf("consume as group %s: %w", c.cfg.Group, err)
	}
	c.client, c.adm = client, kadm.NewClient(client)
	close(c.opened)

	c.discover(ctx)
	client.AddConsumeTopics(c.names()...)
	var tasks sync.WaitGroup
	if c.cfg.Discover != nil {
		tasks.Go(func() { c.keepDiscovering(ctx) })
	}
	tasks.Go(func() { c.commitLoop(c.work) })
	tasks.Go(func() { c.maintain(c.work) })
	tasks.Go(func() { c.keepClocks(c.work) })
	tasks.Go(func() { c.watchLoss(ctx) })
	tasks.Go(func() { c.watchStalls(ctx) })
	tasks.Go(func() { c.watchTopics(ctx) })
	if c.cfg.PurgeAfter != PurgeOff {
		p := purger{c: c, after: c.cfg.PurgeAfter, others: offsets.NewOthers(c.cfg.Group, c.cfg.PurgedGroup, c.cfg.SkippedGroup)}
		tasks.Go(func() { p.loop(ctx) })
	}
	c.poll(ctx)
	c.drain()
	end()
	tasks.Wait()
	c.asides.Wait()
	defer client.CloseAllowingRebalance()
	if f, ok := context.Cause(ctx).(fault); ok { // else the caller has ended it, whatever its cause
		return f.error
	}
	if c.cfg.LeaveOnStop && c.cfg.Instance != "" {
		c.leave()
	}
	return nil
}

// fault is what ends Run with an error.
type fault struct{ error }

// poll appends what is fetched to the lanes. It never waits for a due time: a
// rebalance is blocked only while records are being appended.
func (c *Consumer) poll(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		c.awaitRoom(ctx)
		c.awaitAside(ctx)
		fetches := c.client.PollFetches(ctx)
		if fetches.IsClientClosed() {
			return
		}
		now, more := time.Now(), false
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			l := c.lane(p.Topic, p.Partition)
			if l == nil {
				return
			}
			cut := l.cut(&p.FetchPartition)
			if len(p.Records) > 0 {
				more = l.push(p.FetchPartition, c.received(p.Topic, p.Partition, now)) || more
			}
			if cut {
				c.stall(p.Topic, p.Partition, errUndecoded)
			}
		})
		fetches.EachError(c.fetchError) // behind what came before it
		c.client.AllowRebalance()
		if c.main.pressed() {
			c.throttle(now, false)
		}
		if c.cfg.Gather > 0 && !more {
			timer.Reset(c.cfg.Gather)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		}
	}
}

// stopping reports whether Run is to end, so that lanes end for that and not because
// their partitions are another member's.
func (c *Consumer) stopping() bool { return c.asked.Err() != nil }

func (c *Consumer) lane(topic string, n int32) *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lanes[partition{topic, n}]
}

// each returns the lanes of now, but for those of topics that are gone.
func (c *Consumer) each() []*lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	lanes := make([]*lane, 0, len(c.lanes))
	for _, l := range c.lanes {
		if !l.gone.Load() {
			lanes = append(lanes, l)
		}
	}
	return lanes
}
