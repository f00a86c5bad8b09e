package lane

import (
	"cmp"
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/offsets"
)

// Ledger commits what is handled as part of Kafka transactions, together with the
// records that the handling wrote (see Config.Transactional). Half of its methods
// are the steps of one commit, in this order:
//
//	Lock, Work.Done for each record, Handled, Committed or Work.Undo, Unlock
//
// Where it is not known how the transaction ended, Doubt takes the place of the
// last step but one, and Resolve follows. Like the transactions themselves, these
// steps are taken by one goroutine.
type Ledger struct {
	c        *Consumer
	aside    bool
	prefixes []prefix // what Handled returned last
}

// Ledger returns the ledger of all lanes, but for those with Topic.Aside, or of
// these. A lane is committed by one ledger only: two transactional ids could have
// their commits applied in the wrong order.
func (c *Consumer) Ledger(aside bool) *Ledger { return &Ledger{c: c, aside: aside} }

// Group is the group that it commits for.
func (l *Ledger) Group() string { return l.c.cfg.Group }

// Lock has nothing else be committed, and no partition be handed over, until
// Unlock: what is between them has to end in a bounded time.
func (l *Ledger) Lock() { l.c.committing.Lock() }

// Unlock is the end of what Lock began.
func (l *Ledger) Unlock() { l.c.committing.Unlock() }

// Handled is what is handled and not committed, as a request that lacks only its
// transaction, and how many records that is. The request names our membership, by
// which the broker refuses it when the partitions are another member's: without, it
// would take it from anyone. It is nil while there is no membership, or another than
// the records were read in.
func (l *Ledger) Handled() (req *kmsg.TxnOffsetCommitRequest, records int) {
	member, generation := l.c.client.GroupMetadata()
	if member == "" || generation < 0 {
		return nil, 0
	}
	req = kmsg.NewPtrTxnOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = l.c.cfg.Group, member, generation
	if l.c.cfg.Instance != "" {
		req.InstanceID = &l.c.cfg.Instance
	}
	topics := make(map[string]int)
	l.prefixes = l.prefixes[:0]
	for _, lane := range l.c.each() {
		if lane.topic.Aside != l.aside || lane.unwanted(time.Now()) {
			continue
		}
		p, n := lane.handled()
		if n == 0 {
			continue
		}
		if lane.member != member {
			return nil, 0
		}
		records += n
		l.prefixes = append(l.prefixes, p)
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
	return req, records
}

// Committed says that the transaction with what Handled returned has been
// committed, and that the request with the offsets was made at from.
func (l *Ledger) Committed(from time.Time) {
	for _, p := range l.prefixes {
		p.lane.commit(p)
	}
	l.c.lease.renew(from)
}

// Refused says that the group's coordinator has refused offsets. Where it is for one
// partition, the records of that one are left out until it is tried again.
func (l *Ledger) Refused(resp *kmsg.TxnOffsetCommitResponse) {
	names := make(map[[16]byte]string)
	for _, p := range l.prefixes {
		names[p.lane.id.topic] = p.lane.topic.Name
	}
	for _, t := range resp.Topics {
		topic := cmp.Or(t.Topic, names[t.TopicID])
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				l.c.refuse(topic, p.Partition, err)
			}
		}
	}
}

// Refused reports whether offsets of the record's partition cannot be committed now.
func (w *Work) Refused() bool { return w.lane.unwanted(time.Now()) }

// Doubt says that it is not known whether what Handled returned is committed.
// Until Resolve has found out nothing else is: it could take the commit back.
func (l *Ledger) Doubt() { l.c.doubts++ }

// Resolve reads whether what Handled returned has been committed. It waits as
// long as the broker itself does not know. Without an error, Lock, Committed or
// Work.Undo, Certain and Unlock follow.
func (l *Ledger) Resolve(ctx context.Context) (committed bool, err error) {
	topics := make(map[string][]int32)
	for _, p := range l.prefixes {
		topics[p.lane.topic.Name] = append(topics[p.lane.topic.Name], p.lane.partition)
	}
	commits, err := offsets.Stable(ctx, l.c.client, l.c.cfg.Group, topics)
	if err != nil {
		return false, err
	}
	for _, p := range l.prefixes {
		// All are committed, or none. Where a partition has been handed over its next
		// owner may have committed as much.
		if p.lane.live.Load() {
			o, ok := commits[offsets.Partition{Topic: p.lane.topic.Name, Partition: p.lane.partition}]
			return ok && o.Offset >= p.at.Offset, nil
		}
	}
	return false, nil // nothing of it is ours any more
}

// Certain ends the doubt.
func (l *Ledger) Certain() { l.c.doubts-- }

// Fail ends Consumer.Run with err.
func (l *Ledger) Fail(err error) {
	<-l.c.opened
	l.c.fail(err)
}

// Undo takes Done back: the transaction that the record was handled in has been
// aborted. It is on its way again.
func (w *Work) Undo() { w.lane.undo(w) }

// Source tells the records of one partition from those of others, as long as the
// partition is ours.
func (w *Work) Source() any { return w.lane }

func (l *lane) undo(w *Work) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.live.Load() {
		return // end has given everything back
	}
	w.state = sent
	l.unfinished++
	l.use(w.bytes)
	l.pool.bytes.Add(w.bytes)
}

// handled returns all that is handled at the front, and how many records that is:
// the rest are markers of transactions.
func (l *lane) handled() (p prefix, records int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.ring.handled()
	for _, w := range l.ring.works[:n] {
		if !w.marker() {
			records++
		}
	}
	return l.upTo(n), records
}

// marker says that the work is the end of a producer's transaction, which nothing
// is done for.
func (w *Work) marker() bool { return w.bytes == 0 }

// markers returns how many works at the front are markers.
func (r *ring) markers() int {
	n := 0
	for n < len(r.works) && r.works[n].marker() {
		n++
	}
	return n
}
