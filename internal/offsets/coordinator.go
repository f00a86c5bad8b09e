package offsets

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

const (
	// coordinatorWait is how long a group's coordinator is waited for; it is what
	// franz-go gives every other request.
	coordinatorWait = 30 * time.Second
	// coordinatorPause is the wait between two looks for it.
	coordinatorPause = 100 * time.Millisecond
)

// awaitCoordinator calls ask again while its group has no coordinator, until ctx ends
// or coordinatorWait is over. The first question for one on a new cluster has the
// brokers make the topic that groups are kept on, and they answer
// COORDINATOR_NOT_AVAILABLE until it is there; so they do while the broker that
// leads it is down.
//
// franz-go tries again when a request to a coordinator is refused so, but not when the
// search for the coordinator is: for a request that may go to several of them, what
// the search answered is the result.
func awaitCoordinator(ctx context.Context, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, coordinatorWait)
	defer cancel()
	for {
		err := ask()
		if !errors.Is(err, kerr.CoordinatorNotAvailable) && !errors.Is(err, kerr.CoordinatorLoadInProgress) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(coordinatorPause):
		}
	}
}
