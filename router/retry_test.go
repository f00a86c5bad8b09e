package router

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// sentBack is a delivered record as a consumer that failed writes it to the inbox.
func sentBack(delivered *kgo.Record, offset int64, cause string) *kgo.Record {
	rec := *delivered
	rec.Topic, rec.Partition, rec.Offset = "delay.inbox", 0, offset
	rec.Headers = append(rec.Headers[:len(rec.Headers):len(rec.Headers)],
		headers("delay-level", "retry", "delay-target", delivered.Topic, "delay-retry-cause", cause)...)
	return &rec
}

// TestRetryTrips follows a record of another topic through all of its retries. Nothing
// piles up on it.
func TestRetryTrips(t *testing.T) {
	p := defaults()
	p.Retry, _ = levels.ParseRetryPolicy("1s 5s 30s")
	at := acceptedAt
	rec := &kgo.Record{Topic: "orders", Key: []byte("k"), Headers: headers("x", "1", "x", "2")}
	for attempt, wait := range []time.Duration{time.Second, 5 * time.Second, 30 * time.Second} {
		attempt++
		back := sentBack(rec, int64(attempt), fmt.Sprintf("cause %d", attempt))
		rec = deliverFrom(t, p, back, at)
		want := headers("x", "1", "x", "2", "delay-attempt", fmt.Sprint(attempt), "delay-retry-cause", fmt.Sprintf("cause %d", attempt),
			"delay-retry-first-cause", "cause 1")
		if attempt > 1 {
			want = append(want, headers("delay-first-accepted", fmt.Sprint(acceptedAt.UnixMilli()))...)
		}
		want = append(want, headers("delay-id", "delay.inbox-0-1-1700000000123",
			"delay-due", fmt.Sprint(at.Add(wait).UnixMilli()+1), "delay-accepted", fmt.Sprint(at.UnixMilli()),
			"delay-granted", levels.FormatDelay(wait), "delay-requested", "retry")...)
		if diff := cmp.Diff(want, rec.Headers); diff != "" || rec.Topic != "orders" || string(rec.Key) != "k" {
			t.Fatalf("retry %d to %s (- want, + got):\n%s", attempt, rec.Topic, diff)
		}
		at = at.Add(time.Hour)
	}
	last := p.Decide(sentBack(rec, 4, "cause 4"), at)
	if want := `the record was retried 3 times, and the policy has no more retries; the first cause: "cause 1"; the last: "cause 4"`; last.Kind != Dead ||
		last.Refusal.Code != levels.RetriesExhausted || last.Refusal.Detail != want {
		t.Errorf("after the last retry: %+v, want %s", last.Refusal, want)
	}
}

// TestRetryKeepsTheID: of a record with an id of its producer's, and of one that was
// delivered before and sent on.
func TestRetryKeepsTheID(t *testing.T) {
	p := defaults()
	sent := &kgo.Record{Topic: "delay.inbox", Offset: 1, Headers: headers("delay-level", "10s", "delay-target", "orders", "delay-id", "mine")}
	first := deliverFrom(t, p, sent, acceptedAt)
	second := deliverFrom(t, p, sentBack(first, 2, "why"), acceptedAt.Add(time.Minute))
	if diff := cmp.Diff(headers("delay-attempt", "1", "delay-retry-cause", "why", "delay-retry-first-cause", "why",
		"delay-first-accepted", "1700000000123", "delay-id", "mine", "delay-due", "1700000070124", "delay-accepted", "1700000060123",
		"delay-granted", "10s", "delay-requested", "retry"), second.Headers); diff != "" {
		t.Errorf("- want, + got:\n%s", diff)
	}

	on := &kgo.Record{Topic: "delay.inbox", Offset: 3, Headers: append(second.Headers, headers("delay-level", "1m", "delay-target", "other")...)}
	third := deliverFrom(t, p, on, acceptedAt.Add(time.Hour))
	if diff := cmp.Diff(headers("delay-id", "delay.inbox-0-3-1700003600123", "delay-previous-id", "mine", "delay-due", "1700003660124",
		"delay-accepted", "1700003600123", "delay-granted", "1m", "delay-requested", "1m"), third.Headers); diff != "" {
		t.Errorf("sent on as a new message (- want, + got):\n%s", diff)
	}
	fourth := deliverFrom(t, p, sentBack(third, 4, ""), acceptedAt.Add(2*time.Hour))
	for key, want := range map[string]string{"delay-id": "delay.inbox-0-3-1700003600123", "delay-previous-id": "mine", "delay-attempt": "1"} {
		if got, _ := record.Last(fourth.Headers, key); string(got) != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

// TestRetryForged: what a forger can write makes no difference to when a record is
// delivered, and comes out as text that is short.
func TestRetryForged(t *testing.T) {
	p := defaults()
	rec := sentBack(&kgo.Record{Topic: "orders", Headers: headers("delay-hop-due", "1", "delay-hop-accepted", "1", "delay-hop-granted", "2h",
		"delay-hop-id", "z", "delay-hop-attempt", "9", "delay-granted", "\xff", "delay-due", "99999999999999", "delay-accepted", "-7",
		"delay-first-accepted", "soon", "delay-attempt", "1", "delay-retry-first-cause", "\x1b[2J\n"+strings.Repeat("\xff\u202e", 5000))},
		7, "a\r\nb\x00"+strings.Repeat("\U0001f4a3", 5000))
	got := deliverFrom(t, p, rec, acceptedAt)
	want := map[string]string{"delay-attempt": "2", "delay-due": "1700000030124", "delay-accepted": "1700000000123", "delay-granted": "30s"}
	for _, h := range got.Headers {
		if strings.HasPrefix(h.Key, record.KeyPrefix) || h.Key == levels.HeaderFirstAccepted {
			t.Errorf("%s arrived", h.Key)
		}
		if value, ok := want[h.Key]; ok && value != string(h.Value) {
			t.Errorf("%s is %q, want %q", h.Key, h.Value, value)
		}
		if len(h.Value) > record.MaxCause || strings.ContainsAny(string(h.Value), "\x00\x1b\n\r\u202e") {
			t.Errorf("%s is %q", h.Key, h.Value)
		}
	}
	for _, prefix := range []string{"a  b\ufffd\U0001f4a3"} {
		if cause, _ := record.Last(got.Headers, levels.HeaderRetryCause); !strings.HasPrefix(string(cause), prefix) || !strings.HasSuffix(string(cause), "...") {
			t.Errorf("the cause is %q", cause)
		}
	}
}
