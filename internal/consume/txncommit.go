package consume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/offsets"
)

// Outcome is how a transaction ended.
type Outcome int

const (
	// Unknown: it may have been committed or not.
	Unknown Outcome = iota
	// Committed: with all records and offsets.
	Committed
	// Aborted: nothing of it is committed, and never will be.
	Aborted
)

// Txn is a transaction that has written all its records and has their acknowledgements.
type Txn interface {
	// Commit adds offsets to the transaction, which lack only its producer, and commits
	// it, all in a bounded time. refused is the coordinator's answer to the offsets where
	// that is why it is Aborted. Only with Committed the error is nil.
	Commit(offsets *kmsg.TxnOffsetCommitRequest) (outcome Outcome, refused *kmsg.TxnOffsetCommitResponse, err error)
	// Decide follows Commit where the outcome is Unknown: it makes the broker decide.
	// After it returns nil the group's committed offsets tell the outcome. It returns an
	// error only when the process ends.
	Decide(ctx context.Context) error
	// Unstable says that the outcome cannot be read because the offsets have been pending
	// for offsets.UnstableFor. It is called once in that time.
	Unstable(ctx context.Context)
}

// TxnCommitter commits the offsets of handled records in Kafka transactions, together
// with the records that the handling wrote (see Config.Transactional). It belongs to one
// goroutine.
type TxnCommitter struct {
	c     *Consumer
	aside bool
}

// TxnCommitter returns the committer of all lanes but those with Topic.Aside, or of
// these. A lane has one committer only: the commits of two transactional ids could be
// applied in the wrong order.
func (c *Consumer) TxnCommitter(aside bool) *TxnCommitter { return &TxnCommitter{c: c, aside: aside} }

// Group returns the group that it commits for.
func (t *TxnCommitter) Group() string { return t.c.cfg.Group }

// Fail ends Consumer.Run with err.
func (t *TxnCommitter) Fail(err error) {
	<-t.c.opened
	t.c.fail(err)
}

// CommitTxn commits txn together with the offsets of works, whose records it wrote: of
// each lane the next that are not committed, without a gap. Their Done is not called by
// anyone else.
//
// Committed means that the offsets are committed and the works are done. In every other
// case nothing is, the works are in progress again, and the error says why. Aborted
// before or by Commit, the transaction has yet to be ended by the caller; after Decide it
// has ended. Unknown is returned only when ctx ended before the outcome was found out.
//
// Nothing else is committed and no partition is handed over while txn.Commit runs.
// Nothing else is committed until the outcome is known: it could take the commit back.
func (t *TxnCommitter) CommitTxn(ctx context.Context, works iter.Seq[*Work], txn Txn) (Outcome, error) {
	c, now := t.c, time.Now()
	c.committing.Lock()
	req, prefixes, err := t.handle(works, now)
	if err != nil {
		c.committing.Unlock()
		return Aborted, err
	}
	outcome, refused, err := txn.Commit(req)
	switch outcome {
	case Committed:
		c.committed(prefixes, now)
	case Aborted:
		undo(works)
		if refused != nil {
			c.refuseAll(refused, prefixes)
		}
	default:
		c.doubts++
	}
	c.committing.Unlock()
	if outcome != Unknown {
		return outcome, err
	}
	if outcome, err = t.resolve(ctx, prefixes, txn); outcome == Unknown {
		return Unknown, err
	}
	c.committing.Lock()
	defer c.committing.Unlock()
	c.doubts--
	if outcome == Committed {
		c.committed(prefixes, now)
		return Committed, nil
	}
	undo(works)
	return Aborted, errNotCommitted
}

var (
	errHandedOver   = errors.New("a partition was handed over, or its commits are refused")
	errNoMember     = errors.New("no member of the group")
	errNotCommitted = errors.New("the transaction was in doubt, and was not committed")
)

// handle marks works as done and returns what they allow to be committed. With an error
// nothing is marked.
func (t *TxnCommitter) handle(works iter.Seq[*Work], now time.Time) (*kmsg.TxnOffsetCommitRequest, []prefix, error) {
	n := 0
	for w := range works {
		if !w.Live() || w.Refused() {
			return nil, nil, errHandedOver
		}
		n++
	}
	for w := range works {
		w.Done(now)
	}
	req, prefixes, records := t.handled()
	var err error
	switch {
	case req == nil:
		err = errNoMember
	case records != n: // never; a record would be lost or delivered twice
		err = fmt.Errorf("%d records are written, and the offsets of %d would be committed", n, records)
		t.c.log.Error().Err(err).Msg("transaction aborted")
	default:
		return req, prefixes, nil
	}
	undo(works)
	return nil, nil, err
}

// handled returns what is handled and not committed, as a request that lacks only its
// transaction, and how many records that is. The request names our membership, by
// which the broker refuses it when the partitions are another member's: without, it
// would take it from anyone. It is nil while there is no membership, or another than
// the records were read in.
func (t *TxnCommitter) handled() (req *kmsg.TxnOffsetCommitRequest, prefixes []prefix, records int) {
	member, generation := t.c.client.GroupMetadata()
	if member == "" || generation < 0 {
		return nil, nil, 0
	}
	req = kmsg.NewPtrTxnOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = t.c.cfg.Group, member, generation
	if t.c.cfg.Instance != "" {
		req.InstanceID = &t.c.cfg.Instance
	}
	topics := make(map[string]int)
	for _, lane := range t.c.each() {
		if lane.topic.Aside != t.aside || lane.unwanted(time.Now()) {
			continue
		}
		p, n := lane.handled()
		if n == 0 {
			continue
		}
		if lane.member != member {
			return nil, nil, 0
		}
		records += n
		prefixes = append(prefixes, p)
		at, ok := topics[lane.topic.Name]
		if !ok {
			at = len(req.Topics)
			topics[lane.topic.Name] = at
			topic := kmsg.NewTxnOffsetCommitRequestTopic()
			topic.Topic, topic.TopicID = lane.topic.Name, lane.id.topic
			req.Topics = append(req.Topics, topic)
		}
		part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		part.Partition, part.Offset, part.LeaderEpoch, part.Metadata = lane.partition, p.at.Offset, p.at.Epoch, &p.meta
		req.Topics[at].Partitions = append(req.Topics[at].Partitions, part)
	}
	return req, prefixes, records
}

// committed notes that prefixes are committed, by a request that was made at from.
func (c *Consumer) committed(prefixes []prefix, from time.Time) {
	for _, p := range prefixes {
		p.lane.commit(p)
	}
	c.lease.renew(from)
}

// refuseAll notes that the group's coordinator has refused offsets. Where it is for one
// partition, the records of that one are left out until the next try.
func (c *Consumer) refuseAll(resp *kmsg.TxnOffsetCommitResponse, prefixes []prefix) {
	names := make(map[[16]byte]string)
	for _, p := range prefixes {
		names[p.lane.id.topic] = p.lane.topic.Name
	}
	for _, t := range resp.Topics {
		topic := cmp.Or(t.Topic, names[t.TopicID])
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				c.refuse(topic, p.Partition, err)
			}
		}
	}
}

// resolveEvery is how often it is asked how a transaction in doubt has ended.
const resolveEvery = 20 * time.Millisecond

// resolve finds out how txn ended. It asks until the broker knows, or ctx ends.
func (t *TxnCommitter) resolve(ctx context.Context, prefixes []prefix, txn Txn) (Outcome, error) {
	if err := txn.Decide(ctx); err != nil {
		return Unknown, err
	}
	for since := time.Now(); ; {
		outcome, err := t.read(ctx, prefixes)
		if err == nil {
			return outcome, nil
		}
		if errors.Is(err, kerr.UnstableOffsetCommit) && time.Since(since) >= offsets.UnstableFor {
			txn.Unstable(ctx)
			since = time.Now()
		}
		t.c.log.Debug().Err(err).Msg("transaction in doubt: asking again")
		select {
		case <-time.After(resolveEvery):
		case <-ctx.Done():
			return Unknown, ctx.Err()
		}
	}
}

// read reads from the group's offsets whether prefixes are committed: all are, or none.
func (t *TxnCommitter) read(ctx context.Context, prefixes []prefix) (Outcome, error) {
	topics := make(map[string][]int32)
	for _, p := range prefixes {
		topics[p.lane.topic.Name] = append(topics[p.lane.topic.Name], p.lane.partition)
	}
	commits, err := offsets.Stable(ctx, t.c.client, t.c.cfg.Group, topics)
	if err != nil {
		return Unknown, err
	}
	for _, p := range prefixes {
		// Where a partition has been handed over its next owner may have committed as much.
		if p.lane.live.Load() {
			o, ok := commits[offsets.Partition{Topic: p.lane.topic.Name, Partition: p.lane.partition}]
			if ok && (o.Offset > p.at.Offset || o.Offset == p.at.Offset && o.Metadata == p.meta) {
				return Committed, nil
			}
			return Aborted, nil
		}
	}
	return Aborted, nil // nothing of it is ours any more
}

// undo takes Done back: the transaction that handled works was aborted. They are in
// progress again.
func undo(works iter.Seq[*Work]) {
	for w := range works {
		w.lane.undo(w)
	}
}

// Refused reports whether the group's coordinator refuses the offsets of the record's
// partition just now.
func (w *Work) Refused() bool { return w.lane.unwanted(time.Now()) }

// Source tells the records of one partition from those of others, as long as the
// partition is ours.
func (w *Work) Source() any { return w.lane }

// Work returns w: it is how an owner names the work that it stands for.
func (w *Work) Work() *Work { return w }

func (l *lane) undo(w *Work) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.live.Load() {
		return // end has given everything back
	}
	w.state = sent
	l.usage.unfinished++
	l.usage.add(w.bytes)
	l.usage.pool.bytes.Add(w.bytes)
}

// handled returns what is handled: all at the front, and what overtook a record that is
// not. records is how many of it no commit has or lists; markers of transactions are not
// counted.
func (l *lane) handled() (p prefix, records int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.queue.handled()
	for _, w := range l.queue.works[:n] {
		if !w.marker() && !w.told {
			records++
		}
	}
	p = l.progress.upTo(&l.queue, n, true, l.terms())
	p.lane = l
	return p, records + len(p.told)
}

// marker says that the work is the end of a producer's transaction, which nothing
// is done for.
func (w *Work) marker() bool { return w.bytes == 0 }

// markers returns how many works at the front are markers.
func (q *dueQueue) markers() int {
	n := 0
	for n < len(q.works) && q.works[n].marker() {
		n++
	}
	return n
}
