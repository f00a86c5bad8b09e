package deliver

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// scoutEvery is how old what is known of a topic may be when a record is
	// refused for it, and how often it is looked whether a topic is there.
	scoutEvery = time.Second
	// deniedFor is how long a topic's refusal of all records is believed: trying
	// again costs everyone an aborted transaction.
	deniedFor = 5 * time.Second
)

// scouted is what is known of a queue's topic before a record is written in a
// transaction, where a refusal would cost everyone the transaction. It is guarded by
// the queue's mu.
type scouted struct {
	at         time.Time // when it was looked up
	partitions int32     // 0: not known
	missing    bool
	denied     time.Time // when the topic refused all records
	why        error
}

// scout has the queue look up its topic; its records are held until then. It needs
// q.mu, or that nobody else knows of the queue yet.
func (q *queue) scout() {
	q.mending, q.started = true, true
	q.o.wg.Go(func() {
		n, err := q.o.existing(q.topic)
		if err == nil {
			q.learn(0)
		}
		q.mu.Lock()
		q.scouted.at, q.scouted.partitions = time.Now(), n
		q.scouted.missing = errors.Is(err, kerr.UnknownTopicOrPartition)
		q.mending, q.started = false, false
		q.missing.Store(q.scouted.missing)
		q.mu.Unlock()
		signal(q.o.post.ready) // the cycles have held its records
		signal(q.o.parkedPost.ready)
	})
}

// existing returns how many partitions topic has. Where the clients may create
// topics it is created.
func (o *Outbox) existing(topic string) (int32, error) {
	if create, _ := o.client.OptValue(kgo.AllowAutoTopicCreation).(bool); !create {
		return o.partitions(topic)
	}
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = true
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(topic)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(o.ctx, o.client)
	if err != nil {
		return 0, err
	}
	for _, t := range resp.Topics {
		return int32(len(t.Partitions)), kerr.ErrorForCode(t.ErrorCode)
	}
	return 0, kerr.UnknownTopicOrPartition
}

// errKeyless is what is known of a record before it is sent.
var errKeyless = fmt.Errorf("%w (the topic is compacted, and the record has no key)", kerr.InvalidRecord)

// learn looks up the topic's limit; see Outbox.learn.
func (q *queue) learn(need int64) (news bool) {
	news = q.o.learn(q.topic, need)
	limit, keyed := q.o.limit(q.topic), !q.o.takesKeyless(q.topic)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limit, q.keyed = int64(limit), keyed
	return news
}
