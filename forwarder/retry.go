package forwarder

import (
	"fmt"

	"github.com/delayd-io/delayd/levels"
)

// uncounted refuses a record that was written straight to a level and asks for a retry:
// nobody has counted it, and it would come back without end.
func (w *worker) uncounted() *levels.Refusal {
	return &levels.Refusal{Code: levels.BadRetry, Detail: fmt.Sprintf(
		"%s %q on topic %s: the router counts retries; write the record to %s",
		levels.HeaderLevel, levels.RetryLevel, w.names.Level(levels.Level{Delay: w.delay}), w.names.Inbox())}
}
