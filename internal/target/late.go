package target

import (
	"fmt"
	"time"

	"github.com/delayd-io/delayd/levels"
)

// TooLate returns why a record that is due at dueMs, in Unix milliseconds, and still not
// delivered is a dead letter, nil if it is not too late. now is by the clock that due
// times follow. A maxLate of 0 or less is no bound.
func TooLate(maxLate time.Duration, dueMs int64, now time.Time) *levels.Refusal {
	due := time.UnixMilli(dueMs)
	late := now.Sub(due)
	if maxLate <= 0 || late <= maxLate {
		return nil
	}
	return &levels.Refusal{Code: levels.TooLate, Detail: fmt.Sprintf("due at %s, and not delivered %v later; --max-late is %v",
		due.UTC().Format("2006-01-02T15:04:05.000Z"), late.Round(time.Millisecond), maxLate)}
}
