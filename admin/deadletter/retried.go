package deadletter

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// retried changes the headers of a letter whose record a consumer sent back; others stay as
// they are. It is the message that it was, and keeps its id. After the last retry, and with
// another delay, its retries begin anew. On the topic of a level it waits for the retry that
// was counted.
func (r *resending) retried(headers []kgo.RecordHeader, l *Letter) []kgo.RecordHeader {
	if asked, refusal := record.ReadAsked(headers); refusal != nil || !asked.Retry() {
		return headers
	}
	headers = record.Without(headers, levels.HeaderGranted)
	if l.Code == levels.RetriesExhausted || r.Level != "" {
		headers = record.Without(headers, levels.HeaderAttempt)
	}
	if r.Level != "" {
		if _, refusal := record.RetryPolicy(headers, levels.RetryPolicy{}); refusal != nil {
			headers = record.Without(headers, levels.HeaderRetryPolicy)
		}
	}
	if r.way(l) != r.names.Inbox() {
		headers = record.Without(headers, levels.HeaderLevel)
	}
	return headers
}

// cannotRetry says why the router refuses a record that asks for a retry; "" where it does
// not, as far as can be known without the service's policy.
func cannotRetry(h []kgo.RecordHeader) string {
	_, refusal := record.NextAttempt(h)
	if refusal == nil {
		_, refusal = record.RetryPolicy(h, levels.RetryPolicy{})
	}
	if refusal != nil {
		return refusal.Detail + "; or send it with another delay"
	}
	return ""
}
