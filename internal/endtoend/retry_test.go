//go:build synctests

package endtoend

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// retries is a router's policy for these tests.
func retries(t *testing.T, spec string) levels.RetryPolicy {
	t.Helper()
	p, err := levels.ParseRetryPolicy(spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// failing is a consumer of orders that sends back all that it gets, for which it keeps what
// it got.
func (w *world) failing(back func(*kgo.Record)) *arrivals {
	w.t.Helper()
	as := &arrivals{more: make(chan struct{}, 1)}
	cl := w.newClient(kgo.ConsumerGroup("failing"), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.DisableAutoCommit())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			recs := cl.PollFetches(ctx).Records()
			for _, r := range recs {
				as.mu.Lock()
				as.all = append(as.all, arrival{r, time.Now()})
				as.mu.Unlock()
				back(r)
			}
			if err := cl.CommitRecords(ctx, recs...); err != nil && ctx.Err() == nil {
				w.t.Error(err)
			}
		}
	}()
	w.ends = append(w.ends, func() { cancel(); <-done; cl.Close() })
	return as
}

// checkAttempts checks that each value was delivered at first and then for each retry in
// order, at its time, and died with the first cause and the last.
func checkAttempts(t *testing.T, got, dead []arrival, values int, waits ...time.Duration) {
	t.Helper()
	by := make(map[string][]arrival)
	for _, a := range got {
		by[string(a.Value)] = append(by[string(a.Value)], a)
	}
	if len(by) != values {
		t.Errorf("%d records, want %d", len(by), values)
	}
	for value, all := range by {
		if len(all) != len(waits)+1 {
			t.Errorf("%s was delivered %d times, want %d", value, len(all), len(waits)+1)
			continue
		}
		id := all[1].header(levels.HeaderID)
		for i, a := range all[1:] {
			want := map[string]string{
				levels.HeaderAttempt: strconv.Itoa(i + 1), levels.HeaderID: id, "a": "1", levels.HeaderPreviousID: "",
				levels.HeaderRetryCause: fmt.Sprintf("cause %d", i+1), levels.HeaderRetryFirstCause: "cause 1",
			}
			for key, v := range want {
				if a.header(key) != v {
					t.Errorf("%s, retry %d: %s is %q, want %q", value, i+1, key, a.header(key), v)
				}
			}
			due, _ := strconv.ParseInt(a.header(levels.HeaderDue), 10, 64)
			accepted, _ := strconv.ParseInt(a.header(levels.HeaderAccepted), 10, 64)
			if wait := time.Duration(due-accepted-1) * time.Millisecond; wait != waits[i] {
				t.Errorf("%s, retry %d waited %v, want %v", value, i+1, wait, waits[i])
			}
			if late := a.late(); late < 0 || late > time.Second {
				t.Errorf("%s, retry %d was %v late", value, i+1, late)
			}
			if len(a.Headers) != len(all[1].Headers) { // nothing piles up
				t.Errorf("%s, retry %d has %d headers, the first had %d", value, i+1, len(a.Headers), len(all[1].Headers))
			}
		}
	}
	if len(dead) != values {
		t.Errorf("%d dead letters, want %d", len(dead), values)
	}
	for _, l := range dead {
		all := by[string(l.Value)]
		if code := l.header(levels.HeaderError); code != string(levels.RetriesExhausted) {
			t.Errorf("%s: %s: %s", l.Value, code, l.header(levels.HeaderErrorDetail))
		}
		want := fmt.Sprintf("the record was retried %d times, and the policy has no more retries; the first cause: \"cause 1\"; the last: \"cause %d\"",
			len(waits), len(waits)+1)
		if got := l.header(levels.HeaderErrorDetail); got != want || len(all) > 1 && l.header(levels.HeaderID) != all[1].header(levels.HeaderID) {
			t.Errorf("%s (%s): %s, want %s", l.Value, l.header(levels.HeaderID), got, want)
		}
	}
}

// cause is the cause of the failure of a record as it was consumed.
func cause(rec *kgo.Record) string {
	n, _ := strconv.Atoi(headerOf(rec, levels.HeaderAttempt))
	return fmt.Sprintf("cause %d", n+1)
}

// TestRetries: a consumer sends all records back, with three headers or with a Producer, in
// both deliveries; once with exact waits. Half of them were delayed before they came to it at
// first.
func TestRetries(t *testing.T) {
	const records = 20
	for _, way := range []string{"headers", "exact", "producer"} {
		bothDeliveries(t, func(t *testing.T, delivery change, _ time.Duration) {
			virtual(t, "1s 5s 10s", []string{"orders"}, func(w *world) {
				policy := retries(t, "1s 4s 10s")
				s := w.serve("one", delivery, func(rc *router.Config, _ *forwarder.Config) {
					rc.Retry = policy
					if way == "exact" {
						rc.Rounding = levels.Exact
					}
				})
				defer s.stop()
				s.joined()
				back := func(rec *kgo.Record) {
					w.send(&kgo.Record{Topic: w.Names.Inbox(), Partition: -1, Key: rec.Key, Value: rec.Value, Headers: append(rec.Headers,
						kgo.RecordHeader{Key: levels.HeaderLevel, Value: []byte("retry")}, kgo.RecordHeader{Key: levels.HeaderTarget, Value: []byte(rec.Topic)},
						kgo.RecordHeader{Key: levels.HeaderRetryCause, Value: []byte(cause(rec))})})
				}
				if way == "producer" {
					p, err := router.NewProducer(router.ProducerConfig{Policy: router.Policy{Ladder: w.Ladder, Names: w.Names, Retry: policy}}, w.Opts()...)
					if err != nil {
						t.Fatal(err)
					}
					w.ends = append(w.ends, func() { _ = p.Close(context.Background()) })
					back = func(rec *kgo.Record) {
						if _, err := p.Retry(context.Background(), rec, errors.New(cause(rec))); err != nil {
							t.Error(err)
						}
					}
				}
				got, dead := w.failing(back), w.watchCommitted(w.Names.Dead())
				for i := range records {
					rec := w.request("1s", "orders", "k"+strconv.Itoa(i%3), strconv.Itoa(i), kgo.RecordHeader{Key: "a", Value: []byte("1")})
					if i%2 == 0 {
						rec.Topic, rec.Headers = "orders", append(rec.Headers[2:], kgo.RecordHeader{Key: levels.HeaderAccepted, Value: []byte("17")})
					}
					w.send(rec)
				}
				letters := dead.wait(records, 5*time.Minute)
				time.Sleep(time.Minute)
				all := got.now()
				second := 5 * time.Second // to the nearest level
				if way == "exact" {
					second = 4 * time.Second
				}
				checkAttempts(t, all, letters, records, time.Second, second, 10*time.Second)
			})
		})
	}
}

// TestRetryStraightToALevel: nobody counts there, so that it is a dead letter that says so.
func TestRetryStraightToALevel(t *testing.T) {
	virtual(t, "1s", []string{"orders"}, func(w *world) {
		s := w.serve("one")
		defer s.stop()
		s.joined()
		dead := w.watch(w.Names.Dead())
		w.send(w.direct("1s", "orders", "k", "v", kgo.RecordHeader{Key: levels.HeaderLevel, Value: []byte("retry")}))
		letters := dead.wait(1, time.Minute)
		want := `delay-level "retry" on topic delay.level.1s: the router counts retries; write the record to delay.inbox`
		if len(letters) != 1 || letters[0].header(levels.HeaderError) != string(levels.BadRetry) || letters[0].header(levels.HeaderErrorDetail) != want {
			t.Errorf("%d dead letters: %v", len(letters), letters)
		}
	})
}

// TestHandlerRetryPolicy: a program that owns its delay has the same retries, also of a
// record that brings a policy, or was delivered before.
func TestHandlerRetryPolicy(t *testing.T) {
	virtual(t, "1s 5s 10s", nil, func(w *world) {
		o := w.owns(1)
		dead := w.watch(o.names.Dead())
		var mu sync.Mutex
		given := make(map[string][]*kgo.Record)
		ids := make(map[string]map[string]bool)
		stop := o.run(func(ctx context.Context, rec *kgo.Record) error {
			mu.Lock()
			defer mu.Unlock()
			v := string(rec.Value)
			given[v] = append(given[v], rec)
			if ids[v] == nil {
				ids[v] = make(map[string]bool)
			}
			ids[v][forwarder.InfoOf(ctx).ID] = true
			if n := strconv.Itoa(len(given[v]) - 1); headerOf(rec, levels.HeaderAttempt) != n && n != "0" || forwarder.InfoOf(ctx).Attempt != len(given[v]) {
				t.Errorf("%s: attempt %s of %v, want %s", v, headerOf(rec, levels.HeaderAttempt), forwarder.InfoOf(ctx).Attempt, n)
			}
			return fmt.Errorf("cause %d", len(given[v]))
		}, func(cfg *forwarder.Config) { cfg.RetryPolicy = retries(t, "1s 5s") })
		defer stop()
		o.send("1s", "k", "plain")
		o.send("1s", "k", "own", kgo.RecordHeader{Key: levels.HeaderRetryPolicy, Value: []byte("1s 1s 1s")})
		o.send("1s", "k", "bad", kgo.RecordHeader{Key: levels.HeaderRetryPolicy, Value: []byte("soon")})
		o.send("1s", "k", "before", kgo.RecordHeader{Key: levels.HeaderID, Value: []byte("old")}, kgo.RecordHeader{Key: levels.HeaderGranted, Value: []byte("1s")},
			kgo.RecordHeader{Key: levels.HeaderAttempt, Value: []byte("7")}, kgo.RecordHeader{Key: levels.HeaderRetryFirstCause, Value: []byte("old")})
		letters := dead.wait(4, 2*time.Minute)
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		for v, want := range map[string]struct {
			calls  int
			detail string
		}{
			"plain":  {3, `the record was retried 2 times, and the policy has no more retries; the first cause: "cause 1"; the last: "cause 3"`},
			"own":    {4, `the record was retried 3 times, and the policy has no more retries; the first cause: "cause 1"; the last: "cause 4"`},
			"bad":    {1, `delay-retry-policy "soon": wait 1 "soon": does not begin with a number; write the waits with spaces between them, such as 1s 5s 30s`},
			"before": {3, `the record was retried 2 times, and the policy has no more retries; the first cause: "cause 1"; the last: "cause 3"`},
		} {
			if len(given[v]) != want.calls || len(ids[v]) != 1 {
				t.Errorf("%s: %d calls with the ids %v, want %d", v, len(given[v]), ids[v], want.calls)
			}
			found := false
			for _, l := range letters {
				found = found || string(l.Value) == v && l.header(levels.HeaderErrorDetail) == want.detail
				if string(l.Value) == v && !ids[v][l.header(levels.HeaderID)] {
					t.Errorf("%s died as %q, and was handed out as %v", v, l.header(levels.HeaderID), ids[v])
				}
			}
			if !found {
				t.Errorf("%s: no letter with %s", v, want.detail)
			}
		}
	})
}
