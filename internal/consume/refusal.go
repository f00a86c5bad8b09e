package consume

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/delayd-io/delayd/internal/connect"
)

// A commit that is refused for a partition is tried again after refusalMin, then twice
// that, and so on up to refusalMax. Nothing is lost meanwhile: a successor would repeat
// what is not committed.
const (
	refusalMin = 100 * time.Millisecond
	refusalMax = 10 * time.Second
)

// refusal is what the group's coordinator says against the commits of one partition.
type refusal struct {
	err   error // nil: nothing
	n     int   // in a row
	since time.Time
	until time.Time // it is not tried again before
	bare  bool      // metadata was too large: only the topic's id is kept there
}

// aboutGroup reports whether a partition's error in the answer to a commit is about the
// group, its coordinator or our membership, and so about all partitions.
func aboutGroup(err error) bool {
	for _, of := range []error{
		kerr.FencedInstanceID, kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.StaleMemberEpoch, kerr.RebalanceInProgress,
		kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.RequestTimedOut,
		kerr.GroupAuthorizationFailed, kerr.InvalidGroupID,
		kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping, kerr.InvalidTxnState, kerr.ProducerFenced,
		kerr.TransactionalIDAuthorizationFailed, kerr.TransactionAbortable, kerr.ConcurrentTransactions,
	} {
		if errors.Is(err, of) {
			return true
		}
	}
	return false
}

// refuse handles an error of a commit that the answer gives for a partition.
func (c *Consumer) refuse(topic string, n int32, err error) {
	if aboutGroup(err) {
		c.commitError(err)
		return
	}
	if unknown(err) {
		c.doubt(topic)
	}
	l := c.lane(topic, n)
	if l == nil {
		return
	}
	now := time.Now()
	l.mu.Lock()
	r := &l.progress.refused
	if r.err == nil {
		r.since = now
	}
	r.err = err
	r.until = now.Add(min(refusalMin<<min(r.n, 10), refusalMax))
	r.n++
	if errors.Is(err, kerr.OffsetMetadataTooLarge) {
		r.bare = true
	}
	since := r.since
	l.mu.Unlock()
	c.tries.Warn().Err(connect.GrantTopic(err, connect.Read, topic)).Str("topic", topic).Int32("partition", n).
		Dur("for_ms", now.Sub(since)).Msg("commit refused for this partition: retried, and all others go on")
}

// unwanted reports whether nothing of the lane is to be committed now.
func (l *lane) unwanted(now time.Time) bool {
	if l.doubted.Load() || l.gone.Load() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Before(l.progress.refused.until)
}

// refusals returns how many commits of the lane were refused in a row.
func (l *lane) refusals() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.progress.refused.n
}

// refusedAll reports whether each of prefixes was refused for its own partition.
func (c *Consumer) refusedAll(prefixes []prefix) bool {
	for _, p := range prefixes {
		if p.lane.refusals() == 0 {
			return false
		}
	}
	return true
}

// refusedFor returns why the lane's commits have been refused for so long that
// somebody has to fix the cause, nil if they are not.
func (l *lane) refusedFor(now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.progress.refused
	if r.err == nil || now.Sub(r.since) < stuckAfter {
		return nil
	}
	return fmt.Errorf("%s/%d: commits refused at offset %d for %v: %w", l.topic.Name, l.partition, l.progress.committed.Offset,
		now.Sub(r.since).Round(time.Second), connect.GrantTopic(r.err, connect.Read, l.topic.Name))
}
