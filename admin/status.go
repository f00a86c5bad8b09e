package admin

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Status is what is on the topics of the service at one time.
type Status struct {
	At     time.Time     `json:"at"`
	Inbox  TopicStatus   `json:"inbox"`
	Levels []TopicStatus `json:"levels"` // from the shortest to the longest
	Parked TopicStatus   `json:"parked"`
	Dead   TopicStatus   `json:"dead"`
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
	// Overdue is how many of them should have been delivered by now. 0 but for
	// levels.
	Overdue int64 `json:"overdue"`
	// NextDue is when the first record that is not handled is due; nil where
	// nothing is pending, and but for levels. It is exact while deliveries keep
	// up. When records are overdue it is searched for, and may then be too early
	// by as much as 1/2000 of the time since the oldest record on the topic.
	NextDue *time.Time `json:"next_due"`
	// Members is how many members of the group have a partition of it assigned,
	// -1 when the group could not be looked at.
	Members int `json:"members"`
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
	counted, err := count(ctx, cl, spec, now)
	if err != nil {
		return counted.status(now), err
	}
	err = counted.findNextDue(ctx, cl, now)
	counted.findMembers(ctx, kadm.NewClient(cl))
	return counted.status(now), err
}
