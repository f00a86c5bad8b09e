package deliver

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/control"
	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/internal/produce"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/target"
	"github.com/delayd-io/delayd/internal/transact"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/telemetry"
)

const (
	// DefaultMissingTargetWait is how long a target that does not exist is
	// waited for: long enough for a topic that is being created.
	DefaultMissingTargetWait = 10 * time.Second
	// WaitForEver waits for such a target without end, as 0 does here. In the
	// configuration of a program 0 is the default.
	WaitForEver = -1 * time.Nanosecond
	// DefaultGiveUp is how long a target may refuse what it could take later.
	DefaultGiveUp = 24 * time.Hour

	// maxBuffered is only there so that franz-go never blocks a produce: records
	// in flight are bounded by the lanes.
	maxBuffered = 1 << 20
	// defaultBatchBytes is what a record batch may hold until the topic's own
	// limit is known: Kafka's default of max.message.bytes.
	defaultBatchBytes = 1_000_012
	// produceTimeout is how long a broker may wait for its followers before it
	// answers. A connection's requests are answered one by one, so that one slow
	// partition holds up the others of its broker for this long at a time.
	produceTimeout = 3 * time.Second
	// deathLogs bounds the log lines about dead letters in a second. A service has two
	// outboxes, so it logs twice that.
	deathLogs = 5
	// lookLogs and lookLogPeriod bound the log lines about looks at the parked
	// topic that fail.
	lookLogs      = 1
	lookLogPeriod = 30 * time.Second
	// targetLogs bounds the log lines about single targets in a second.
	targetLogs = 5
	// idleQueue is how long a target without records is remembered. franz-go
	// keeps asking for one that does not exist.
	idleQueue = time.Minute
)

// Owner is who answers for a record: the work of a lane.
type Owner interface {
	// Done says that the record is handled, as of now: delivered, parked, or dead.
	Done(now time.Time)
	// Live says whether the record is still ours to deliver.
	Live() bool
	// Work returns the work, which knows its broker's clock and which transactions
	// commit. Nil, as in tests, is this host's clock, and no transactions.
	Work() *consume.Work
}

// Config says how an Outbox treats records that cannot be delivered.
type Config struct {
	Names             levels.Names
	MissingTargetWait time.Duration // 0 and WaitForEver: without end
	GiveUp            time.Duration
	MaxLate           time.Duration // 0: never too late
	TransactionalID   string        // begins the ids; "": at least once. See Outbox.Transact
	// Compression is the codec of what is written to targets, and in transactions of
	// all that is written. The zero value is none.
	Compression kgo.CompressionCodec
	// Owned returns the partitions of the parked topic that this process drains. Nil: none.
	Owned func() []int32
	// Cancelled is asked about each parked record before it is sent. Nil: none is cancelled.
	Cancelled Cancelled
	Log       zerolog.Logger
	Metrics   *metrics.Metrics
	Tracer    telemetry.Tracer // nil: no spans
}

// owned returns the partitions of the parked topic that this process drains.
func (o *Outbox) owned() []int32 {
	if o.cfg.Owned == nil {
		return nil
	}
	return o.cfg.Owned()
}

// Outbox writes records to their topics. It returns at once; a record that is
// written, parked or dead is reported to its owner. Records for one topic keep
// their order through every retry; a record that dies leaves it.
type Outbox struct {
	cfg    Config
	log    zerolog.Logger
	deaths *burst // at most deathLogs a second: the metric counts them all
	// lookErrors logs at most lookLogs each lookLogPeriod: the checks never stop.
	lookErrors zerolog.Logger
	// targetLog is at most targetLogs a second: names of targets can be invented.
	targetLog *burst

	opts   []kgo.Opt
	client *kgo.Client // it and what follows is set by Start
	adm    *kadm.Client

	producer *produce.Producer // of what is delivered at least once
	// compressors are those of its batches, for targets (nil: none) and for the
	// service's own topics.
	compressor, ownCompressor kgo.Compressor
	// missing counts the missing targets that are waited for, missingHeld their records
	// in memory.
	missing, missingHeld atomic.Int64
	passed               atomic.Int64 // records that were sent

	dead   string
	parked string

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup

	parkedQueue, deadQueue *queue
	parkedPartitions       parkedPartitions
	scans                  scans
	intake                 intake
	parkedIntake           intake // of what is parked, in transactions
	loops                  []*txnLoop
	topics                 *topicTable // in transactions

	// mu is taken before a queue's own, never inside it.
	mu     sync.Mutex
	queues map[queueKey]*queue
	pauses control.State
	limits topicLimits // of topics, where they were learned

	forgotten map[kind][]string // in transactions: topics whose queues are gone
}

type queueKey struct {
	topic string
	kind  kind
}

// NewOutbox returns an outbox; Start opens its producer client. opts say how to reach
// the cluster. It holds nothing that has to be closed until then.
func NewOutbox(cfg Config, opts ...kgo.Opt) (*Outbox, error) {
	if cfg.MissingTargetWait == WaitForEver {
		cfg.MissingTargetWait = 0
	}
	o := &Outbox{
		cfg:        cfg,
		log:        cfg.Log,
		deaths:     newBurst(cfg.Log, deathLogs),
		lookErrors: cfg.Log.Sample(&zerolog.BurstSampler{Burst: lookLogs, Period: lookLogPeriod}),
		targetLog:  newBurst(cfg.Log, targetLogs),

		opts:   opts,
		dead:   cfg.Names.Dead(),
		parked: cfg.Names.Parked(),
		queues: make(map[queueKey]*queue),
		limits: make(map[string]int32),
		intake: newIntake(),
	}
	o.parkedIntake = newIntake()
	if err := kgo.ValidateOpts(o.options()...); err != nil {
		return nil, fmt.Errorf("produce: %w", err)
	}
	own, err := kgo.DefaultCompressor(kgo.SnappyCompression())
	if err == nil {
		o.ownCompressor = produce.IfSmaller(own)
		o.compressor, err = kgo.DefaultCompressor(cfg.Compression)
	}
	if err != nil {
		return nil, fmt.Errorf("produce: %w", err)
	}
	return o, nil
}

// options are those of its client.
func (o *Outbox) options() []kgo.Opt { return append(connect.Serving(), o.opts...) }

// Start opens the client and begins to write. Close ends it.
func (o *Outbox) Start() error {
	client, err := kgo.NewClient(o.options()...)
	if err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	producer, err := produce.New(client, o.log)
	if err != nil {
		client.Close()
		return fmt.Errorf("produce: %w", err)
	}
	producer.Refuse(o.foreign)
	o.client, o.adm, o.producer = client, kadm.NewClient(client), producer
	o.ctx, o.stop = context.WithCancel(context.Background())
	if o.cfg.TransactionalID != "" {
		o.topics, o.forgotten = newTopicTable(o.askTopics, o.looked), make(map[kind][]string)
		o.wg.Go(o.lookUp)
	}
	now := time.Now()
	o.parkedQueue, o.deadQueue = o.queue(o.parked, own, now), o.queue(o.dead, own, now)
	o.wg.Go(o.watch)
	if o.cfg.TransactionalID == "" {
		o.wg.Go(o.deliverIntake)
	}
	return nil
}

// Transact has everything be delivered in transactions, from now on: exactly once,
// with the offsets of what it handles. parked commits those of what comes by
// Batch.Redeliver, nil where nothing does. It is called before the group is joined, and
// returns when no transaction of a former process with this id is open any more.
func (o *Outbox) Transact(ctx context.Context, committer, parked *consume.TxnCommitter) error {
	if err := transact.Supported(ctx, o.client, o.log); err != nil {
		return err
	}
	loops := []*txnLoop{o.newTxnLoop(direct, &o.intake, committer, transact.NameDirect)}
	if parked != nil {
		loops = append(loops, o.newTxnLoop(again, &o.parkedIntake, parked, transact.NameParked))
	}
	for _, l := range loops {
		if err := l.producers.Start(ctx); err != nil {
			for _, l := range loops {
				l.producers.Close()
			}
			return fmt.Errorf("exactly-once delivery: %w", err)
		}
	}
	o.loops = loops
	for _, l := range loops {
		o.wg.Go(l.run)
	}
	return nil
}

// Unstable says that offsets of the group have been pending for longer than any
// transaction takes: see transact.Producers.RewriteMarkers. Nothing else is under way here then.
func (o *Outbox) Unstable() {
	for _, l := range o.loops {
		l.unstable.Store(true)
		signal(l.intake.ready)
	}
}

// producerOptions are what delivery needs of a producer: acknowledged by all
// in-sync replicas, idempotent (both kgo's defaults), sent without lingering.
func producerOptions(opts []kgo.Opt) []kgo.Opt {
	return append(append(connect.Serving(), opts...),
		kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(maxBuffered),
		kgo.ProduceRequestTimeout(produceTimeout),
		kgo.RecordPartitioner(record.Partitioner()),
	)
}

// Close ends the outbox that Start has started. What is still on its way is dropped: its owner
// has not been called, so that it is read and delivered again.
func (o *Outbox) Close() {
	o.stop()
	o.producer.Close()
	o.client.Close()
	o.wg.Wait()
}

// DeadLetter writes src to the dead letters. In transactions use Batch.DeadLetter.
func (o *Outbox) DeadLetter(owner Owner, src *kgo.Record, f Facts, r Refusal, attempts int) {
	o.logDeadLetter(src, f, r)
	it := item{owner: owner, src: src, facts: f, rec: record.Dead(src, o.dead, f, r, attempts), code: r.Code}
	o.deadQueue.send(&it, time.Now())
}

// logDeadLetter logs a dead letter.
func (o *Outbox) logDeadLetter(src *kgo.Record, f Facts, r Refusal) {
	name := f.Topic
	if named, ok := record.Last(src.Headers, levels.HeaderTarget); ok && name == "" { // it was not even looked at
		name = record.Quote(named)
	}
	o.deaths.Warn().Str("code", string(r.Code)).Str("origin", record.OriginOf(&f, src)).Str("target", name).
		Msg("dead letter: " + r.Detail)
}

func (o *Outbox) queue(topic string, k kind, now time.Time) *queue {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := queueKey{topic, k}
	q := o.queues[key]
	if q == nil {
		paused := k != own && o.pauses.Paused(control.Target, topic)
		q = &queue{o: o, topic: topic, kind: k, target: target.New(k, paused, now)}
		o.queues[key] = q
		q.open()
	}
	q.used = now
	return q
}

// all returns the queues of now.
func (o *Outbox) all() []*queue {
	o.mu.Lock()
	defer o.mu.Unlock()
	qs := make([]*queue, 0, len(o.queues))
	for _, q := range o.queues {
		qs = append(qs, q)
	}
	return qs
}

// forgetIdle forgets the queues that nothing goes to any more: of a topic that does
// not exist, or takes nothing, at once, because anyone can invent names.
func (o *Outbox) forgetIdle(now time.Time) {
	if o.topics != nil {
		o.topics.sweep(now)
	}
	lo := o.lock()
	defer lo.unlock()
	for key, q := range o.queues {
		if q.kind == own || now.Sub(q.used) < askMissing || !q.empty() || now.Sub(q.used) < idleQueue && q.exists() {
			continue
		}
		delete(o.queues, key)
		lo.idle(key)
		q.leave()
	}
}

// limit is how large a batch for topic may be. franz-go asks when it first
// learns of a partition.
func (o *Outbox) limit(topic string) int32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := o.limits[topic]; n > 0 {
		return n
	}
	return defaultBatchBytes
}
