package offsets

import (
	"cmp"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/delayd-io/delayd/internal/connect"
)

// ListFault is the first fault in an answer of kadm's about offsets, which came
// with err: which partition it is about, and where a right is missing, which.
func ListFault(listed kadm.ListedOffsets, err error) error {
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err != nil {
			err = cmp.Or(err, fmt.Errorf("%s/%d: %w", o.Topic, o.Partition, connect.GrantTopic(o.Err, connect.Describe, o.Topic)))
		}
	})
	return err
}

// CommitFault is the same for an answer about the commits of a group.
func CommitFault(group string, commits kadm.OffsetResponses, err error) error {
	commits.Each(func(o kadm.OffsetResponse) {
		if o.Err != nil {
			err = cmp.Or(err, fmt.Errorf("%s/%d: %w", o.Topic, o.Partition, connect.GrantTopic(o.Err, connect.Describe, o.Topic)))
		}
	})
	return connect.GrantGroup(err, connect.Describe, group)
}
