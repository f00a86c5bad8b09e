//go:build synctests

package router

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// consumed is the record as its target's consumer gets it that waits on a level.
func consumed(rec *kgo.Record, granted string) *kgo.Record {
	return record.Final(rec, levels.Facts{Topic: "orders", Partition: levels.ByKey, Granted: granted, Due: 1, Accepted: 1700000000123})
}

// TestProducerRetry sends a record back as often as its policy says, and once more.
func TestProducerRetry(t *testing.T) {
	cfg := ProducerConfig{CheckTarget: true}
	cfg.Retry, _ = levels.ParseRetryPolicy("1s 8s 3d")
	onVirtualTime(t, cfg, func(t *testing.T, r *rig) {
		rec := &kgo.Record{Topic: "orders", Partition: 2, Offset: 7, Timestamp: time.UnixMilli(1699999999000), Key: []byte("k"), Value: []byte("v"),
			Headers: headers("x", "1", "delay-id", "mine", "delay-granted", "10s", "delay-accepted", "1699999999000", "delay-sent", "5")}
		kept := *rec
		for attempt, level := range []string{"1s", "10s", "2h"} {
			attempt++
			if attempt == 3 { // the rig has no topic for it: decide without writing
				made, err := r.producer.PrepareRetry(rec, errors.New("third"), time.Now())
				if err != nil || made.Topic != "delay.level.2h" {
					t.Fatalf("%+v, %v", made, err)
				}
				rec = consumed(made, level)
				break
			}
			cause := errors.New([]string{"first\n", "second"}[attempt-1])
			receipt, err := r.producer.Retry(t.Context(), rec, cause)
			if err != nil || receipt.Attempt != attempt || receipt.ID != "mine" || receipt.Level.String() != level || receipt.Due.IsZero() {
				t.Fatalf("retry %d: %+v, %v", attempt, receipt, err)
			}
			written := r.read("delay.level."+level, 1)[0]
			rec = consumed(written, level)
		}
		want := headers("x", "1", "delay-attempt", "3", "delay-retry-cause", "third", "delay-retry-first-cause", "first",
			"delay-first-accepted", "1699999999000", "delay-sent", "5", "delay-id", "mine", "delay-due", "1",
			"delay-accepted", "1700000000123", "delay-granted", "2h", "delay-requested", "2h")
		if diff := cmp.Diff(want, rec.Headers); diff != "" || string(rec.Key) != "k" || string(rec.Value) != "v" {
			t.Errorf("after the third retry (- want, + got):\n%s", diff)
		}
		if diff := cmp.Diff(kept.Headers, headers("x", "1", "delay-id", "mine", "delay-granted", "10s", "delay-accepted", "1699999999000", "delay-sent", "5")); diff != "" {
			t.Errorf("the caller's record was changed: %s", diff)
		}

		rec.Partition, rec.Offset = 2, 9
		receipt, err := r.producer.Retry(t.Context(), rec, errors.New("last"))
		if err != nil || receipt.Topic != "delay.dead" || receipt.Attempt != 0 || receipt.ID != "mine" || !receipt.Due.IsZero() || receipt.Offset != 0 {
			t.Fatalf("after the last retry: %+v, %v", receipt, err)
		}
		letter := r.read("delay.dead", 1)[0]
		for key, want := range map[string]string{
			levels.HeaderError: "retries-exhausted", levels.HeaderOrigin: "orders/2/9", levels.HeaderLevel: "retry", levels.HeaderTarget: "orders",
			levels.HeaderAttempt: "3", levels.HeaderRetryCause: "last", levels.HeaderRetryFirstCause: "first", levels.HeaderID: "mine",
			levels.HeaderErrorDetail: `the record was retried 3 times, and the policy has no more retries; the first cause: "first"; the last: "last"`,
		} {
			if got, _ := record.Last(letter.Headers, key); string(got) != want {
				t.Errorf("letter: %s is %q, want %q", key, got, want)
			}
		}
	})
}

func TestProducerRetryRefuses(t *testing.T) {
	onVirtualTime(t, ProducerConfig{}, func(t *testing.T, r *rig) {
		for header, code := range map[string]levels.Code{"delay-attempt": levels.BadRetry, "delay-retry-policy": levels.BadRetry} {
			_, err := r.producer.Retry(t.Context(), &kgo.Record{Topic: "orders", Headers: headers(header, "x")}, nil)
			refusal := new(Refusal)
			if !errors.As(err, &refusal) || refusal.Code != code || !strings.HasPrefix(err.Error(), `retry a record of "orders": `) {
				t.Errorf("%s: %v", header, err)
			}
		}
		if n := r.count("orders"); n != 0 {
			t.Errorf("%d records on the target", n)
		}
	})
}

// TestPrepareRetry: a policy alone makes the same record, of one that was never delayed.
func TestPrepareRetry(t *testing.T) {
	rec := &kgo.Record{Topic: "orders", Key: []byte("k"), Headers: headers("delay-retry-policy", "45m")}
	made, err := Policy{Rounding: levels.Exact}.PrepareRetry(rec, nil, time.UnixMilli(1700000000123))
	if err != nil {
		t.Fatal(err)
	}
	id, _ := record.Last(made.Headers, levels.HeaderID)
	want := headers("delay-retry-policy", "45m", "delay-attempt", "1", "delay-id", string(id), "delay-for", "45m", "delay-target", "orders", "delay-sent", "1700000000123")
	if diff := cmp.Diff(want, made.Headers); diff != "" || made.Topic != "delay.level.30m" || len(id) == 0 {
		t.Errorf("to %s (- want, + got):\n%s", made.Topic, diff)
	}
}
