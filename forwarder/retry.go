package forwarder

import (
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// uncounted refuses a record that was written straight to a level and asks for a retry:
// nobody has counted it, and it would come back without end.
func (w *worker) uncounted() *levels.Refusal {
	return &levels.Refusal{Code: levels.BadRetry, Detail: fmt.Sprintf(
		"%s %q on topic %s: the router counts retries; write the record to %s",
		levels.HeaderLevel, levels.RetryLevel, w.names.Level(levels.Level{Delay: w.delay}), w.names.Inbox())}
}

// retried returns how many attempts at a record have failed: what a forwarder counted, or
// what the record says if it was sent back to a service before.
func retried(src *kgo.Record, counted int) int {
	if _, other := record.Last(src.Headers, levels.HeaderGranted); other { // it counts as a new message
		return counted
	}
	n, _ := record.Number(src.Headers, levels.HeaderAttempt, math.MaxInt32-1)
	return max(counted, int(n))
}

// next is decide by the policy. It puts the cause on the record, and on one that waits the
// number of the retry.
func (h *handing) next(t *task, attempt int, err error) verdict {
	src := *t.src
	src.Headers = append(t.asGiven(),
		kgo.RecordHeader{Key: levels.HeaderRetryCause, Value: record.Cause([]byte(brief(err)))})
	wait, refusal := record.RetryWait(src.Headers, h.policy, attempt)
	if refusal != nil {
		if refusal.Code == levels.RetriesExhausted {
			t.src = &src
		}
		return verdict{counts: true, refusal: refusal}
	}
	t.src = record.Retried(&src, attempt)
	if h.inPlace {
		return verdict{counts: true, wait: wait}
	}
	h.metrics.Retries.Inc()
	return verdict{counts: true, wait: wait}
}

// asGiven returns a fresh slice of the headers with which the record is what its handler
// was given: one that was delivered before is a new message, and keeps the id of that.
func (t *task) asGiven() []kgo.RecordHeader {
	if _, again := record.Last(t.src.Headers, levels.HeaderGranted); !again {
		return record.WithoutHop(t.src.Headers, 1)
	}
	given := record.Final(t.src, t.facts).Headers
	headers := record.Without(t.src.Headers, levels.HeaderID, levels.HeaderPreviousID, levels.HeaderGranted, levels.HeaderAccepted,
		levels.HeaderAttempt, levels.HeaderRetryCause, levels.HeaderRetryFirstCause, levels.HeaderFirstAccepted)
	for _, key := range []string{levels.HeaderID, levels.HeaderPreviousID} {
		if value, ok := record.Last(given, key); ok {
			headers = append(headers, kgo.RecordHeader{Key: key, Value: value})
		}
	}
	return headers
}
