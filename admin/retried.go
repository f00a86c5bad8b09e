package admin

import (
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// Retried is what a record says of its retries: its consumers failed, and sent it back.
// Whoever may write to the inbox can write that.
type Retried struct {
	// Attempt is the number of the retry that it waits or waited for; 0 where the record
	// has none, or none that can be read.
	Attempt int `json:"attempt"`
	// Cause is why a consumer failed last, and FirstCause why one failed at first: text of
	// a few hundred bytes, without control characters; "" where nobody said.
	Cause      string `json:"cause,omitempty"`
	FirstCause string `json:"first_cause,omitempty"`
}

// NewRetried returns what a record says of its retries, nil for nothing.
func NewRetried(rec *kgo.Record) *Retried {
	n, counted := record.Number(rec.Headers, levels.HeaderAttempt, math.MaxInt32)
	first, last := record.Causes(rec.Headers)
	if !counted && last == nil && first == nil {
		return nil
	}
	return &Retried{Attempt: int(n), Cause: string(last), FirstCause: string(first)}
}

// String is the number and the causes in words; "" for nil.
func (r *Retried) String() string {
	if r == nil {
		return ""
	}
	text := "not retried"
	if r.Attempt > 0 {
		text = fmt.Sprintf("retry %d", r.Attempt)
	}
	switch {
	case r.Cause == "" && r.FirstCause == "":
		return text
	case r.FirstCause == "" || r.FirstCause == r.Cause:
		return text + ": " + r.Cause
	case r.Cause == "":
		return text + "; at first: " + r.FirstCause
	}
	return text + ": " + r.Cause + "; at first: " + r.FirstCause
}
