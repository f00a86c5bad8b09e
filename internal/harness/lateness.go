package harness

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// latest is the greatest lateness; a greater one counts as that.
	latest = time.Hour
	// digits is how many digits of a lateness are kept.
	digits = 3
)

// Lateness counts how late records are.
type Lateness struct {
	*hdrhistogram.Histogram // of units
	unit                    time.Duration
}

// NewLateness returns an empty one. unit is how fine the clocks behind it are.
func NewLateness(unit time.Duration) Lateness {
	return Lateness{hdrhistogram.New(1, int64(latest/unit), digits), unit}
}

// Add counts a record. One that is early is not late at all.
func (l Lateness) Add(late time.Duration) {
	// It cannot fail: the value is within the bounds of NewLateness.
	_ = l.RecordValue(int64(min(latest, max(0, late)) / l.unit))
}
