package record

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// TestAgain: a record that waits again has all that it had, and what is known of its
// earlier attempts, however often it goes round.
func TestAgain(t *testing.T) {
	src := &kgo.Record{
		Topic: "delay.level.1s", Partition: 1, Offset: 7, Key: []byte("k"), Value: []byte("v"),
		Headers: append(headers("a", "1", levels.HeaderTarget, "orders"), kgo.RecordHeader{Key: "a"}),
	}
	public := slices.Clone(src.Headers)
	f := levels.Facts{Partition: levels.ByKey, Due: 5000, Accepted: 1000, Granted: "1s"}
	for round := 1; round <= 3; round++ {
		rec := Again(src, "delay.level.10s", f, Retry{Attempts: round, Due: 2001})
		got, ok := ReadHop(rec.Headers)
		want := f
		want.ID = "delay.level.1s-1-7-1000"
		if !ok || got != want {
			t.Errorf("round %d: %+v, %t", round, got, ok)
		}
		if r := Read(rec.Headers).Retry(5000); r != (Retry{round, 2001}) {
			t.Errorf("round %d: %+v", round, r)
		}
		if rec.Topic != "delay.level.10s" || rec.Partition != levels.ByKey || string(rec.Key) != "k" || string(rec.Value) != "v" {
			t.Errorf("round %d: %+v", round, rec)
		}
		if kept := WithoutHop(rec.Headers, 0); len(kept) != len(public) || kept[2].Value != nil || len(rec.Headers) != len(public)+retryAdds {
			t.Errorf("round %d: headers %v", round, rec.Headers)
		}
		f.ID, src = got.ID, &kgo.Record{Topic: rec.Topic, Offset: int64(round), Key: rec.Key, Value: rec.Value, Headers: rec.Headers}
	}
}

// TestReadRetry: what a producer forges can only make a record die sooner.
func TestReadRetry(t *testing.T) {
	for _, c := range []struct {
		headers []kgo.RecordHeader
		want    Retry
	}{
		{nil, Retry{0, 5000}},
		{headers(KeyAttempt, "3", KeyFirstDue, "4000"), Retry{3, 4000}},
		{headers(KeyAttempt, "3", KeyFirstDue, "6000"), Retry{3, 5000}},
		{headers(KeyAttempt, "3"), Retry{3, 5000}},
		{headers(KeyFirstDue, "4000"), Retry{0, 5000}},
		{headers(KeyAttempt, "-3", KeyFirstDue, "4000"), Retry{0, 5000}},
		{headers(KeyAttempt, "9999999999", KeyFirstDue, "4000"), Retry{0, 5000}},
		{headers(KeyAttempt, "2", KeyFirstDue, "soon"), Retry{2, 5000}},
	} {
		if got := Read(c.headers).Retry(5000); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.headers, got, c.want)
		}
	}
}
