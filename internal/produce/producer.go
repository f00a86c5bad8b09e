package produce

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// answerTimeout is how long a broker may wait for its followers before it
	// answers. A connection's requests are answered one by one, so one slow
	// partition holds up the others of its broker for this long at a time.
	answerTimeout = 3 * time.Second
	// askTimeout bounds a request for metadata or for a producer id; another broker
	// is asked then.
	askTimeout = 3 * time.Second
	// requestsInFlight bounds the produce requests in flight per broker. With one, a
	// record that comes due during a request would wait for its answer.
	requestsInFlight = 4
	// requestBytes is how many bytes of batches go into one request; a single larger
	// batch gets a request of its own. Brokers take 100 MiB (socket.request.max.bytes).
	requestBytes = 4 << 20

	backoffMin = 20 * time.Millisecond
	backoffMax = 2 * time.Second

	// logEvery bounds the log lines about what is retried.
	logEvery = 30 * time.Second
)

// Feed gives the batches of a topic's partitions to a producer, and takes the
// answers. Its methods are called from the producer's goroutines, without a lock.
type Feed interface {
	// Next returns the batch to send to a partition: a new one, or the former one
	// again after an error. Nil: there is nothing to send.
	Next(partition int32) *Batch
	// Answered reports how the batch of a partition ended that Next returned.
	Answered(partition int32, b *Batch, a Answer)
	// Located reports how many partitions the topic has, or why that is not known:
	// kerr.UnknownTopicOrPartition where it does not exist.
	Located(partitions int32, err error)
}

// Answer is how the attempt to write a batch ended.
type Answer struct {
	// Err is nil when the batch is written. A *kerr.Error is the broker's answer;
	// anything else is a failure to get one.
	Err error
	// Offset is that of the first record, negative where the broker did not say.
	Offset int64
	// Appended is when the broker appended the batch, by its clock, of a topic with
	// LogAppendTime; zero of others.
	Appended time.Time
	// Faulty are the indices of the records that the broker names as the reason of a
	// refusal (KIP-467).
	Faulty []int
}

// Producer writes batches to partitions.
type Producer struct {
	client   *kgo.Client
	smallest kgo.Compressor // of batches with Batch.Small
	create   bool           // topics may be created by looking them up
	tries    zerolog.Logger // what is retried until it works
	hooks    []kgo.HookProduceBatchWritten
	vet      func(context.Context, []string) (map[string]error, error) // see Refuse; nil: all are good

	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	lookups chan struct{} // has room for one: topics are wanted

	mu         sync.Mutex
	topics     map[string]*topic
	wanted     []*topic // to be asked for
	brokers    map[int32]*broker
	id         identity
	renewing   bool
	unnumbered []*partition // wait for a new id
}

// topic is what is known of a topic. It is guarded by Producer.mu.
type topic struct {
	name       string
	id         [16]byte
	feeds      []Feed
	partitions []*partition
	wanted     bool      // stands in Producer.wanted, or is being asked for
	looked     time.Time // when the last answer came
}

// partition is one partition of a topic, guarded by Producer.mu.
type partition struct {
	topic    *topic
	n        int32
	leader   int32  // negative: none is known
	ready    []Feed // that have something to send, in turn
	busy     bool   // stands in its leader's list, or has a batch in flight
	current  *Batch // in flight
	unsent   *sent  // waits for a producer id
	unknown  *sent  // may be written or not: no other batch gets its number
	sequence sequence
}

// New returns a producer that sends with client.
func New(client *kgo.Client, log zerolog.Logger) (*Producer, error) {
	smallest, err := kgo.DefaultCompressor(kgo.GzipCompression())
	if err != nil {
		return nil, fmt.Errorf("produce: %w", err)
	}
	create, _ := client.OptValue(kgo.AllowAutoTopicCreation).(bool)
	p := &Producer{
		client: client, smallest: IfSmaller(smallest), create: create,
		hooks:   batchHooks(client),
		tries:   log.Sample(&zerolog.BurstSampler{Burst: 1, Period: logEvery}),
		lookups: make(chan struct{}, 1),
		topics:  make(map[string]*topic),
		brokers: make(map[int32]*broker),
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.wg.Go(p.lookLoop)
	return p, nil
}

// batchHooks returns the client's hooks that want to know of written batches: franz-go
// calls them for its own alone. The option's type is not exported.
func batchHooks(client *kgo.Client) (hooks []kgo.HookProduceBatchWritten) {
	all := reflect.ValueOf(client.OptValue(kgo.WithHooks))
	for i := range all.Len() {
		if h, ok := all.Index(i).Interface().(kgo.HookProduceBatchWritten); ok {
			hooks = append(hooks, h)
		}
	}
	return hooks
}

// Close ends the producer. Batches in flight get no answer.
func (p *Producer) Close() {
	p.stop()
	p.wg.Wait()
}

// Ready says that feed has something to send to a partition that Located told of.
func (p *Producer) Ready(name string, n int32, feed Feed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.topics[name]
	if t == nil || int(n) >= len(t.partitions) {
		return
	}
	part := t.partitions[n]
	for _, f := range part.ready {
		if f == feed {
			return
		}
	}
	part.ready = append(part.ready, feed)
	if !part.busy {
		p.schedule(part)
	}
}

// nextFeed returns which of the feeds that are ready is next, or -1. Where the answer to a
// batch is not known, it is that batch's: the next one would get the same number, and the
// broker would take the one for the other.
func (part *partition) nextFeed() int {
	switch {
	case part.unknown != nil:
		return slices.Index(part.ready, part.unknown.feed)
	case len(part.ready) == 0:
		return -1
	}
	return 0
}

// Abandon gives up a batch whose answer is not known: Answered is not called for
// it any more. It may be written all the same.
func (p *Producer) Abandon(name string, n int32, b *Batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.topics[name]
	if t == nil || int(n) >= len(t.partitions) {
		return
	}
	part := t.partitions[n]
	b.abandoned = true
	if b.attempts > 0 || part.current == b {
		part.sequence.doubt = true
	}
	if part.unknown != nil && part.unknown.batch == b {
		p.giveUp(part)
	}
}

// giveUp forgets the batch whose answer is not known, and lets the others go on, with a
// new producer id. It needs p.mu.
func (p *Producer) giveUp(part *partition) {
	part.unknown, part.sequence.doubt = nil, true
	if !part.busy {
		p.schedule(part)
	}
}

// schedule puts a partition into its leader's list, if there is anything to send. It
// needs p.mu.
func (p *Producer) schedule(part *partition) {
	part.busy = false
	if part.unsent == nil && part.nextFeed() < 0 {
		return
	}
	if part.leader < 0 {
		p.look(part.topic)
		return // scheduled when the leader is known
	}
	part.busy = true
	b := p.brokers[part.leader]
	if b == nil {
		b = &broker{p: p, id: part.leader, node: p.client.Broker(int(part.leader)), wake: make(chan struct{}, 1), slots: make(chan struct{}, requestsInFlight)}
		p.brokers[part.leader] = b
		p.wg.Go(b.run)
	}
	b.list = append(b.list, part)
	signal(b.wake)
}

// release ends a partition's turn, and begins the next where somebody waits for
// it. It needs p.mu.
func (p *Producer) release(part *partition) {
	part.current = nil
	p.schedule(part)
}

// signal leaves a note in a channel that has room for one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
