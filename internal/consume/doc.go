// Package consume reads topics in a consumer group and handles each record when
// it is due.
//
// A lane is one assigned partition: the records that were fetched ahead of their due
// time, a goroutine that sleeps until the next one is due, and the order in which
// they were read. So only a contiguous handled prefix is ever committed. A record
// that was merely polled is never committed. The metadata of each commit lists what
// was handled ahead of a record that waits.
//
// The rules that keep a delivery service safe live here, once, for the router's
// inbox and for the forwarder's levels:
//
//   - uncommitted work is bounded (CommitRecords), so a crash repeats little;
//   - work starts only under the lease (see lease), so a process that was
//     frozen and lost its partitions does not repeat its successor's work;
//   - memory is bounded by one budget for all lanes (see pool), and for what is being
//     unpacked (see package unpack);
//   - an error costs its partition and nothing else: a batch that cannot be read, a
//     topic that is gone, a commit that is refused (see stall, gone and refusal);
//   - an offset belongs to the topic that it was committed for (see identity);
//   - handled records are deleted from the topic behind the commit (see purger).
package consume

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// SessionTimeout is the broker's floor (group.min.session.timeout.ms): a
	// dead instance's partitions move after this.
	SessionTimeout = 6 * time.Second
	// HeartbeatInterval leaves room for three heartbeats in a session.
	HeartbeatInterval = 1500 * time.Millisecond
	// RebalanceTimeout bounds a hand-over, HandOver below included.
	RebalanceTimeout = 30 * time.Second

	// coordinatorWait is how long a request to a coordinator that does not answer is
	// tried again. franz-go gives up a heartbeat with the session, and the partitions
	// with it, so that what is not committed is delivered twice. But a coordinator that
	// is down gives them to nobody, and its successor, which brokers choose after 9 s
	// (broker.session.timeout.ms), starts the session anew. Until it answers the lease
	// keeps us from sending.
	coordinatorWait = 30 * time.Second

	// CommitInterval and CommitRecords say when handled records are committed:
	// whichever comes first. At most twice CommitRecords are uncommitted.
	CommitInterval = 100 * time.Millisecond
	CommitRecords  = 10_000
	// commitFrom is from how many handled records on a commit is begun. Half, so
	// that in a release lanes need not stop while it is on its way.
	commitFrom = CommitRecords / 2
	// TransactionRecords takes the place of CommitRecords in transactions. There a
	// crash repeats nothing, and to end one costs as much as thousands of records.
	TransactionRecords = 40_000

	// leaseTime is how long a commit proves that the partitions are still ours.
	// Half the session: the broker gives them away a whole session after it.
	leaseTime = SessionTimeout / 2
	// leaseRenewal is when a commit is made although nothing was handled.
	leaseRenewal = leaseTime / 3

	// surely is how short a wait has to be to be slept through. Of a longer one
	// half is, and then the wall clock is read again.
	surely = time.Second
	// lastStretch is how much of a wait is slept by a sleeper, which nothing can
	// interrupt. Go's timers are late by less than that.
	lastStretch = 2 * time.Millisecond
	// maintainEvery is how often it is checked that the wall clock has not jumped,
	// by more than clockJump against the one that timers follow.
	maintainEvery = time.Second
	clockJump     = 10 * time.Millisecond

	// HandOver is how long a revoked lane waits for what it has sent.
	HandOver = 3 * time.Second
	// DrainTimeout is the same at the end of the process.
	DrainTimeout = 10 * time.Second

	// stuckAfter is when an overdue lane that does not move makes the process
	// unready.
	stuckAfter = 10 * time.Second

	// DefaultBudget bounds what is fetched ahead by all lanes together.
	DefaultBudget = 16 << 20
	// DefaultPurgeAfter is how long handled records stay on their topic.
	DefaultPurgeAfter = 10 * time.Minute
	// PurgeOff leaves deletion to the topic's retention.
	PurgeOff = -1 * time.Nanosecond
	// PurgeAtOnce deletes records as soon as they are handled, as 0 does here. In the
	// configuration of a program 0 is the default.
	PurgeAtOnce = -2 * time.Nanosecond
)

// ErrFenced says that another process joined the group with the same instance
// id: this one has lost its partitions for good.
var ErrFenced = errors.New("fenced: another process uses the same instance id")

// Why the context of a work ends.
var (
	// ErrRevoked says that the partition of a record was taken away: another member of
	// the group has it now, or its topic is gone.
	ErrRevoked = errors.New("the record's partition was taken away")
	// ErrStopped says that Run was asked to end, and has waited DrainTimeout.
	ErrStopped = errors.New("the forwarder has stopped, and waits no longer")
)

// Handler says when a topic's records are due and what happens to them then.
type Handler interface {
	// Due returns when rec is to be handled; the zero time is at once. It is
	// called once a record, in the order of the partition, from the poll loop.
	// seen is when the record was first fetched, by whichever process. free reports
	// whether the record is handled in the order of due times whatever its key is:
	// records with its key neither wait for it nor hold it up.
	Due(rec *kgo.Record, seen time.Time) (at time.Time, free bool)
	// Handle starts the handling of works, all due, in their order, and may return
	// before it ends; each work's Done tells its end. Calls for one partition never
	// overlap, and follow the due times, then the offsets. works is the lane's.
	Handle(works []*Work)
}

// Topic is one topic to be read.
type Topic struct {
	Name string
	// Label is what the topic is called in metrics: the level's name, inbox or
	// parked.
	Label   string
	Handler Handler
	// Wait is the longest that a record of this topic waits. Non-zero has the
	// time at which records were first seen kept with the commit, so that a
	// restart does not start the wait again on a CreateTime topic.
	Wait time.Duration
	// Slack is how far from its append time plus Wait a record that is free (see
	// Handler) may be due, earlier or later.
	Slack time.Duration
	// Aside gives the topic a budget and a share of uncommitted work of its
	// own: its records may be stuck for hours without holding up the others.
	Aside bool
	// OneByOne makes the lane call Handle for one record at a time, for handlers that
	// take their time: the lease is checked before each call. A handler that returns
	// before it begins checks it again; see Work.Await.
	OneByOne bool
	// Retired is a topic that is read until it is empty and may be deleted at any
	// time: that it is gone makes nobody unready.
	Retired bool
	// Screen is asked about each record that is due, before it takes a slot. Nil: all pass.
	Screen Screen
}
