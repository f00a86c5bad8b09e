package deliver

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/target"
)

const (
	// metadataMaxAge is how old what is known of a topic may be when a record is
	// refused for it, and how often it asks whether a topic is there.
	metadataMaxAge = time.Second
)

// topicMetadata is what is known of a queue's topic before a record is written in a
// transaction, where a refusal would cost everyone the transaction. It is guarded by
// the queue's mu.
type topicMetadata struct {
	wanted     time.Time // when a look-up was asked for: older answers do not count
	at         time.Time // when the broker answered
	partitions int32     // 0: not known
	err        error     // why nothing can be written
	gone       time.Time // since when the topic is missing, as far as is known
}

// missing reports whether the topic does not exist, as far as we may know.
func (s *topicMetadata) missing() bool { return target.Absent(s.err) }

// lookUp looks up the queue's topic; its records are held until then.
func (q *lockedQueue) lookUp() {
	q.describing, q.metadata.wanted = true, time.Now()
	q.o.topics.want(q.topic)
}

// learned takes over what the broker said.
func (q *lockedQueue) learned(info topicInfo) {
	s := &q.metadata
	if info.limit > 0 {
		q.limit, q.told = int64(info.limit), info.limit
	}
	if info.err == nil {
		q.keyed = info.compacted
	}
	s.at, s.partitions, s.err = info.at, info.partitions, info.err
	switch {
	case !s.missing():
		s.gone = time.Time{}
	case s.gone.IsZero():
		s.gone = s.at
	}
	q.describing = false
	q.missing.Store(s.missing())
}

// stickyPartition is the partition of records without a key, ByKey while it is not known how many there are.
func (q *queue) stickyPartition(sticky int32) int32 {
	lq := q.lock()
	defer lq.unlock()
	if n := q.metadata.partitions; n > 0 {
		return sticky % n
	}
	return ByKey
}

// openKnown makes a new queue ready, in transactions. Where nothing is known about its
// topic, its records are held until there is.
func (q *queue) openKnown() {
	lq := q.lock() // which nobody else has: the queue is new
	defer lq.unlock()
	q.limit = defaultBatchBytes
	if n := q.o.limits[q.topic]; n > 0 {
		q.limit, q.told = int64(n), n
	}
	if info, known := q.o.topics.lookup(q.topic, time.Now()); known {
		q.o.limits.note(q.topic, info)
		lq.learned(info)
		return
	}
	lq.lookUp()
}

// topicLimits are the max.message.bytes of topics, which franz-go asks for.
type topicLimits map[string]int32

func (t topicLimits) note(topic string, info topicInfo) {
	if info.limit > 0 {
		t[topic] = info.limit
	}
}

// lookUp answers what the queues want to know of topics, until the outbox ends.
func (o *Outbox) lookUp() {
	o.topics.run(o.ctx, func(err error) {
		o.lookErrors.Warn().Err(err).Msg("looking up topics: retried")
	})
}

func (o *Outbox) askTopics(ctx context.Context, topics []string) (map[string]topicInfo, error) {
	foreign, err := o.foreign(ctx, topics)
	if err != nil {
		return nil, err
	}
	return askTopics(ctx, o.client, mayCreate(o.client), topics, foreign, func(topic string, err error) {
		if connect.Denied(err) {
			o.lookErrors.Warn().Err(connect.GrantTopic(err, connect.DescribeConfigs, topic)).Str("topic", topic).
				Msg("cannot read the topic's max.message.bytes: only a refusal shows that a record is too large")
		}
	})
}

// looked tells the queues of topics that there is an answer, and the loops, which
// have held records.
func (o *Outbox) looked(topics []string) {
	now := time.Now()
	for _, topic := range topics {
		info, known := o.topics.lookup(topic, now)
		if !known {
			continue
		}
		if info.err == nil {
			o.topics.release(topic)
		}
		for _, k := range []kind{direct, again, own} {
			o.mu.Lock()
			q := o.queues[queueKey{topic, k}]
			if q != nil {
				o.limits.note(topic, info)
			}
			o.mu.Unlock()
			if q == nil {
				continue
			}
			lq := q.lock()
			if info.asked.Before(q.metadata.wanted) {
				o.topics.want(topic)
			} else {
				lq.learned(info)
			}
			lq.unlock()
		}
	}
	signal(o.intake.ready)
	signal(o.parkedIntake.ready)
}

// has reports whether there is a queue.
func (o *Outbox) has(topic string, k kind) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.queues[queueKey{topic, k}] != nil
}

// lockedOutbox is an outbox whose lock is held, as lockedQueue is a queue.
type lockedOutbox Outbox

func (o *Outbox) lock() *lockedOutbox {
	o.mu.Lock()
	return (*lockedOutbox)(o)
}

func (o *lockedOutbox) unlock() { o.mu.Unlock() }

// idle notes that nothing is left of a topic's queue of that kind.
func (o *lockedOutbox) idle(key queueKey) {
	if o.topics == nil {
		return
	}
	if key.kind == direct {
		o.topics.release(key.topic)
	}
	if o.queues[queueKey{key.topic, direct}] == nil && o.queues[queueKey{key.topic, again}] == nil {
		delete(o.limits, key.topic)
	}
	o.forgotten[key.kind] = append(o.forgotten[key.kind], key.topic)
}

// forget removes the topics from the clients that nothing was written to for a while:
// they ask for each of them, again and again. It is not called within a transaction.
func (l *txnLoop) forget() {
	l.o.mu.Lock()
	var topics []string
	for _, topic := range l.o.forgotten[l.kind] {
		if l.o.queues[queueKey{topic, l.kind}] == nil {
			topics = append(topics, topic)
		}
	}
	delete(l.o.forgotten, l.kind)
	l.o.mu.Unlock()
	if len(topics) > 0 {
		l.producers.ForgetTopics(topics...)
	}
}

// errKeyless is why a compacted topic refuses a record, known before it is sent.
var errKeyless = fmt.Errorf("%w (the topic is compacted, and the record has no key)", kerr.InvalidRecord)
