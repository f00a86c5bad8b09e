package produce

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// broker sends to the partitions that one broker leads.
type broker struct {
	p     *Producer
	id    int32
	node  *kgo.Broker
	wake  chan struct{} // has room for one: list is not empty
	slots chan struct{} // one for each request in flight

	list []*partition // with something to send; guarded by Producer.mu
}

// sent is a batch in a request.
type sent struct {
	part  *partition
	feed  Feed
	batch *Batch
}

// run sends requests until the producer is closed.
func (b *broker) run() {
	for {
		select {
		case <-b.wake:
		case <-b.p.ctx.Done():
			return
		}
		for {
			runtime.Gosched() // whoever has more for these partitions comes first
			select {
			case b.slots <- struct{}{}:
			case <-b.p.ctx.Done():
				return
			}
			batches := b.gather()
			if len(batches) == 0 {
				<-b.slots
				break
			}
			b.p.wg.Go(func() {
				defer func() { <-b.slots }()
				b.send(batches)
			})
		}
	}
}

// gather takes the next batch of each partition in the list, as many as fit in one
// request.
func (b *broker) gather() (batches []sent) {
	p := b.p
	p.mu.Lock()
	list := b.list
	b.list = nil
	p.mu.Unlock()
	size := 0
	for i, part := range list {
		if size >= requestBytes {
			p.mu.Lock()
			b.list = append(list[i:len(list):len(list)], b.list...)
			p.mu.Unlock()
			break
		}
		s, ok := b.take(part)
		if !ok {
			continue
		}
		batches = append(batches, s)
		size += len(s.batch.raw)
	}
	return batches
}

// take asks the feed that is next for the partition's next batch. It returns
// false when there is none to be sent now.
func (b *broker) take(part *partition) (s sent, ok bool) {
	p := b.p
	p.mu.Lock()
	next := part.nextFeed()
	switch {
	case part.unsent != nil:
		s, part.unsent = *part.unsent, nil
	case next >= 0:
		s = sent{part: part, feed: part.ready[next]}
		part.ready = slices.Delete(part.ready, next, next+1)
	default: // its feed has left, or its topic was recreated
		p.release(part)
		p.mu.Unlock()
		return s, false
	}
	p.mu.Unlock()
	if s.batch == nil {
		s.batch = s.feed.Next(part.n)
	}
	if s.batch != nil && len(s.batch.raw) == 0 {
		s.batch.encode(p.codec(s.batch))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case s.batch == nil, s.batch.abandoned:
		p.release(part)
		return s, false
	case !p.number(part, s.batch):
		part.unsent = &s
		p.unnumbered = append(p.unnumbered, part) // still busy
		return s, false
	}
	part.current = s.batch
	s.batch.attempts++
	return s, true
}

// codec returns the compressor of a batch.
func (p *Producer) codec(b *Batch) kgo.Compressor {
	if b.Small {
		return p.smallest
	}
	return b.Compressor
}

// send writes one request and hands out the answers.
func (b *broker) send(batches []sent) {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, int32(answerTimeout.Milliseconds())
	at := make(map[string]int)
	for _, s := range batches {
		t := s.part.topic
		i, ok := at[t.name]
		if !ok {
			i = len(req.Topics)
			at[t.name] = i
			topic := kmsg.NewProduceRequestTopic()
			topic.Topic, topic.TopicID = t.name, b.p.topicID(t) // by name or by id, as the broker's version has it
			req.Topics = append(req.Topics, topic)
		}
		partition := kmsg.NewProduceRequestTopicPartition()
		partition.Partition, partition.Records = s.part.n, s.batch.raw
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, partition)
	}
	resp, err := b.node.Request(b.p.ctx, req)
	if b.p.ctx.Err() != nil {
		return
	}
	answers := make(map[*partition]*kmsg.ProduceResponseTopicPartition, len(batches))
	if err == nil {
		b.match(resp.(*kmsg.ProduceResponse), req, batches, answers)
	} else {
		err = fmt.Errorf("produce: no answer: %w", err)
	}
	for _, s := range batches {
		a := Answer{Err: err, Offset: -1}
		if answered := answers[s.part]; answered != nil {
			a = answer(answered)
		} else if err == nil {
			a.Err = errors.New("produce: the broker's answer lacks the partition")
		}
		if a.Err == nil {
			b.tellHooks(s)
		}
		b.p.answered(s, a)
	}
}

// tellHooks tells the client's hooks, such as metrics, of a batch that is written.
func (b *broker) tellHooks(s sent) {
	for _, h := range b.p.hooks {
		h.OnProduceBatchWritten(kgo.BrokerMetadata{NodeID: b.id}, s.part.topic.name, s.part.n, kgo.ProduceBatchMetrics{
			NumRecords: len(s.batch.Records), UncompressedBytes: s.batch.plain,
			CompressedBytes: len(s.batch.raw) - headerBytes, CompressionType: s.batch.codec,
		})
	}
}

// match finds the answer of each batch.
func (b *broker) match(resp *kmsg.ProduceResponse, req *kmsg.ProduceRequest, batches []sent, answers map[*partition]*kmsg.ProduceResponseTopicPartition) {
	type place struct {
		topic string
		n     int32
	}
	parts := make(map[place]*partition, len(batches))
	for _, s := range batches {
		parts[place{s.part.topic.name, s.part.n}] = s.part
	}
	names := make(map[[16]byte]string, len(req.Topics))
	for i := range req.Topics {
		names[req.Topics[i].TopicID] = req.Topics[i].Topic
	}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		name := t.Topic
		if name == "" {
			name = names[t.TopicID]
		}
		for j := range t.Partitions {
			if part := parts[place{name, t.Partitions[j].Partition}]; part != nil {
				answers[part] = &t.Partitions[j]
			}
		}
	}
}

// answer reads what a broker says of one batch.
func answer(p *kmsg.ProduceResponseTopicPartition) Answer {
	a := Answer{Err: kerr.ErrorForCode(p.ErrorCode), Offset: p.BaseOffset}
	if errors.Is(a.Err, kerr.DuplicateSequenceNumber) {
		a.Err, a.Offset = nil, -1 // an earlier attempt has written it
	}
	if a.Err != nil {
		if said := p.ErrorMessage; said != nil && *said != "" && !strings.Contains(a.Err.Error(), *said) {
			a.Err = fmt.Errorf("%w: %s", a.Err, *said)
		}
		for _, rec := range p.ErrorRecords {
			a.Faulty = append(a.Faulty, int(rec.RelativeOffset))
		}
		return a
	}
	if p.LogAppendTime >= 0 {
		a.Appended = time.UnixMilli(p.LogAppendTime)
	}
	return a
}

// answered notes how a batch ended, and tells its feed.
func (p *Producer) answered(s sent, a Answer) {
	p.mu.Lock()
	seq := &s.part.sequence
	abandoned := s.batch.abandoned
	s.part.unknown = nil
	switch {
	case a.Err == nil:
		if s.batch.id == seq.id && !seq.doubt {
			seq.advance(len(s.batch.Records))
		}
		if a.Offset >= 0 && !abandoned {
			for i, rec := range s.batch.Records {
				rec.Partition, rec.Offset = s.part.n, a.Offset+int64(i)
			}
		}
	case forgotten(a.Err):
		seq.doubt = true
	case Refused(a.Err):
		a.Faulty = slices.DeleteFunc(a.Faulty, func(i int) bool { return i < 0 || i >= len(s.batch.Records) })
		seq.doubt = seq.doubt || s.batch.attempts > 1 // an earlier attempt may have written it
	default:
		if !abandoned {
			unknown := s // s itself would be allocated for every answer
			s.part.unknown = &unknown
		}
		if moved(a.Err) {
			p.look(s.part.topic)
		}
	}
	p.mu.Unlock()
	if !abandoned {
		s.feed.Answered(s.part.n, s.batch, a)
	}
	p.mu.Lock()
	p.release(s.part)
	p.mu.Unlock()
}

// topicID returns the id of a topic.
func (p *Producer) topicID(t *topic) [16]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return t.id
}

// Refused reports whether err is a broker's refusal of the batch itself: the same
// batch would be refused again, and nothing of it is written.
func Refused(err error) bool {
	return is(err, kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTimestamp,
		kerr.PolicyViolation, kerr.UnsupportedForMessageFormat, kerr.CorruptMessage, kerr.UnsupportedCompressionType,
		kerr.TopicAuthorizationFailed, kerr.InvalidTopicException)
}

// forgotten reports whether the broker does not know the batch's producer id, or
// expects another number of it.
func forgotten(err error) bool {
	return is(err, kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.InvalidProducerEpoch,
		kerr.InvalidProducerIDMapping, kerr.ProducerFenced)
}

// moved reports whether the topic may have another leader, or be another topic.
func moved(err error) bool {
	var answer *kerr.Error
	return !errors.As(err, &answer) || is(err, kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.FencedLeaderEpoch,
		kerr.UnknownLeaderEpoch, kerr.ReplicaNotAvailable, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID,
		kerr.InconsistentTopicID, kerr.KafkaStorageError, kerr.BrokerNotAvailable)
}

func is(err error, any ...*kerr.Error) bool {
	for _, e := range any {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
