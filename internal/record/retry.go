package record

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// Retry is what is known of the earlier attempts at a record that a Go handler failed
// to handle, and that waits on a level again. The zero value is a record that was never
// handed out.
type Retry struct {
	// Attempts is how many failed.
	Attempts int
	// Due is when the record was due at first, in Unix milliseconds.
	Due int64
}

// retryAdds is how many headers Again puts on.
const retryAdds = hopAdds + 2

// Again is the record that waits on a level's topic until src is handed out again, at
// f.Due at the latest: src with its request, as Hop leaves it, and what is known of
// earlier attempts.
func Again(src *kgo.Record, topic string, f levels.Facts, r Retry) *kgo.Record {
	headers := WithoutHop(src.Headers, retryAdds)
	v := newValues(hopSize(src, &f) + 2*maxNumber)
	headers = add(headers, KeyAttempt, v.number(int64(r.Attempts)))
	headers = add(headers, KeyFirstDue, v.number(r.Due))
	headers = appendHop(headers, &v, src, &f) // last, where ReadHop looks first
	return &kgo.Record{Topic: topic, Partition: levels.ByKey, Key: src.Key, Value: src.Value, Headers: headers}
}
