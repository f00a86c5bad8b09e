package admin

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/cancel"
)

// Status is what is on the topics of the service at one time.
type Status struct {
	At     time.Time     `json:"at"`
	Clock  *Clock        `json:"clock,omitempty"` // nil where nothing is known
	Inbox  TopicStatus   `json:"inbox"`
	Levels []TopicStatus `json:"levels"` // from the shortest to the longest
	Parked TopicStatus   `json:"parked"`
	Dead   TopicStatus   `json:"dead"`
	// CancelsPending is how many cancels and replacements are kept, because records may wait
	// that they are meant for.
	CancelsPending int64 `json:"cancels_pending,omitempty"`
	// CancelsMax is how many the service allows; 0 where that is not known.
	CancelsMax int64 `json:"cancels_max,omitempty"`
}

// TopicStatus is what is on one topic. A topic that does not exist has no
// partitions.
type TopicStatus struct {
	// Level is the level's name, "" for the inbox, the parked and the dead
	// letters' topic.
	Level      string `json:"level,omitempty"`
	Topic      string `json:"topic"`
	Partitions int    `json:"partitions"`
	// Pending is how many records wait to be handled; on the dead letters'
	// topic, how many there are. The end of a producer's transaction counts as
	// a record until it is handled.
	Pending int64 `json:"pending"`
	// Held is how many of them are behind a producer's transaction that is not
	// ended: nobody can read those yet.
	Held int64 `json:"held,omitempty"`
	// Overdue is how many of them are due and not delivered yet. 0 but for
	// levels.
	Overdue int64 `json:"overdue"`
	// NextDue is when the first record that is not handled is due; nil where
	// nothing is pending, and but for levels. It is exact while deliveries keep
	// up. When records are overdue it is searched for, and may then be too early
	// by as much as 1/2000 of the time since the oldest record on the topic.
	NextDue *time.Time `json:"next_due"`
	// Oldest is since when the first record that is not handled is on the inbox or
	// the parked records' topic, where nothing should stay: found as NextDue is, and
	// as exact. nil where nothing is pending, and for levels.
	Oldest *time.Time `json:"oldest,omitempty"`
	// DueWithin is what becomes due soon; nil but for levels.
	DueWithin *DueWithin `json:"due_within,omitempty"`
	// Members is how many members of the group have a partition of it assigned,
	// -1 when the group could not be described.
	Members int `json:"members"`
	// Holders are those members, by instance id.
	Holders []Holder `json:"holders,omitempty"`
	// Retired marks a level that is not in the ladder any more. It is drained.
	Retired bool `json:"retired,omitempty"`
}

// Inspect counts what is on the topics, at a time that is normally the present,
// from offsets alone: append time rises with the offset, so that all that was
// appended before now − level is due. It costs the cluster a handful of requests
// whatever the number of records.
//
// The counts are exact for records that were written to a level topic; what the
// router put there can be due earlier by as much as the router was late. On a
// topic with the producers' timestamps they are a guess.
//
// On an error the Status holds what could be counted.
func Inspect(ctx context.Context, cl *kgo.Client, spec Spec, now time.Time) (Status, error) {
	_, status, err := inspected(ctx, cl, spec, now)
	return status, err
}

// inspected is Inspect, and returns what it has counted, too.
func inspected(ctx context.Context, cl *kgo.Client, spec Spec, now time.Time) (countings, Status, error) {
	counted, err := count(ctx, cl, spec, now)
	if err != nil {
		return counted, counted.status(now), err
	}
	err = errors.Join(counted.findNextDue(ctx, cl, now), counted.findDueWithin(ctx, cl, now))
	counted.findHolders(ctx, kadm.NewClient(cl))
	status := counted.status(now)
	status.Clock = counted.clock(ctx, cl)
	status.CancelsPending, _ = cancelsPending(ctx, cl, spec) // 0 where they can't be counted: nothing depends on it
	status.CancelsMax = spec.MaxCancels
	return counted, status, err
}

// cancelsPending counts the cancels and replacements that count against the most that the service
// allows, as the router does.
func cancelsPending(ctx context.Context, cl *kgo.Client, spec Spec) (int64, error) {
	spec = spec.withDefaults()
	return cancel.Outstanding(ctx, kadm.NewClient(cl), spec.Names.Cancel(), spec.countCancels())
}

// Late is for how long a topic has had a record that should have been handled: for
// how long a level's oldest has been overdue, and for how long the oldest has been on
// the inbox or parked. late is false where there is none; by is negative where there
// is one whose time could not be found.
func (t TopicStatus) Late(at time.Time) (by time.Duration, late bool) {
	since := t.Oldest
	switch {
	case t.Level != "" && t.Overdue == 0, t.Pending == 0:
		return 0, false
	case t.Level != "":
		since = t.NextDue
	}
	if since == nil {
		return -1, true
	}
	return max(0, at.Sub(*since)), true
}
