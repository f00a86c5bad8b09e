package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

const (
	// stormTopic is what the failing consumer reads. The history knows nothing of it.
	stormTopic = "storms"
	// stormHeader marks its records wherever they are.
	stormHeader = "storm"
	// stormPolicy is how often and how long they wait.
	stormPolicy = "1s 2s 1s 5s"
	// stormEvery is how often one is written.
	stormEvery = 5 * time.Millisecond
	// stormPasses: the consumer handles one record in stormPasses in the end, after
	// retry stormAttempt.
	stormPasses, stormAttempt = 10, 2
	// stormWait is how long the last ones may take.
	stormWait = time.Minute
)

// stormRows are consumers that fail.
var stormRows = []row{{
	name:       "retry-storm",
	about:      "a consumer fails nine of ten records to the end and sends them back, while delayd is killed and started over and over",
	deliveries: bothDeliveries,
	limits:     limits{worst: 5 * time.Second, recover: 3*time.Second + echo},
	run: func(ctx context.Context, w *world) error {
		if err := w.createTarget(ctx, stormTopic); err != nil {
			return err
		}
		s := &storm{world: w, records: make(map[int64]*stormRecord)}
		reading, stop := context.WithCancel(ctx)
		defer stop()
		var running sync.WaitGroup
		errs := make(chan error, 3)
		for _, part := range []func(context.Context) error{s.send, s.fail, s.readDead} {
			running.Go(func() { errs <- part(reading) })
		}
		for w.whileLoad(ctx, w.between(3*time.Second, 6*time.Second)) {
			if err := w.killAndRestart(ctx, "one", 500*time.Millisecond); err != nil {
				return err
			}
		}
		for begun := time.Now(); s.missing() > 0 && time.Since(begun) < stormWait; {
			if err := sleep(ctx, 100*time.Millisecond); err != nil {
				return err
			}
		}
		if err := sleep(ctx, calm); err != nil { // for duplicates
			return err
		}
		stop()
		running.Wait()
		s.verdict()
		return errors.Join(<-errs, <-errs, <-errs)
	},
}}

// isStorm reports whether a record is one of a storm's.
func isStorm(rec *kgo.Record) bool {
	_, ok := record.Last(rec.Headers, stormHeader)
	return ok
}

// storm is the records of a consumer that fails, and what became of them.
type storm struct {
	*world
	mu       sync.Mutex
	records  map[int64]*stormRecord
	done     int   // that are dead letters, or were handled
	twice    int64 // deliveries and dead letters beyond the first
	attempts int64 // deliveries, each counted once
}

// stormRecord is one of them.
type stormRecord struct {
	next    int // the attempt that comes next; 0 is its first delivery
	id      string
	handled bool
	letters int
}

// send writes records until the load is over.
func (s *storm) send(ctx context.Context) error {
	cl, err := s.connect("torture-storm")
	if err != nil {
		return err
	}
	defer cl.Close()
	for n := int64(0); s.whileLoad(ctx, stormEvery); n++ {
		s.mu.Lock()
		s.records[n] = new(stormRecord)
		s.mu.Unlock()
		cl.Produce(context.WithoutCancel(ctx), &kgo.Record{
			Topic: stormTopic, Partition: byKey, Key: strconv.AppendInt(nil, n%50, 10), Value: []byte(strconv.FormatInt(n, 10)),
			Headers: []kgo.RecordHeader{{Key: stormHeader}, {Key: levels.HeaderRetryPolicy, Value: []byte(stormPolicy)}},
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				s.violated("the storm could not send: %v", err)
			}
		})
	}
	return cl.Flush(context.WithoutCancel(ctx))
}

func (s *storm) connect(name string, opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(connect.Options(s.cluster.Brokers(), name, s.log), append(opts, kgo.RecordPartitioner(record.Partitioner()))...)...)
}

// fail is the consumer: it sends back what it does not handle, and then commits.
func (s *storm) fail(ctx context.Context) error {
	cl, err := s.connect("torture-failing", kgo.ConsumerGroup("failing"), kgo.ConsumeTopics(stormTopic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	for ctx.Err() == nil {
		var back []*kgo.Record
		for _, rec := range cl.PollFetches(ctx).Records() {
			if attempt, again := s.delivered(rec); again {
				back = append(back, &kgo.Record{Topic: s.names.Inbox(), Partition: byKey, Key: rec.Key, Value: rec.Value, Headers: append(rec.Headers,
					kgo.RecordHeader{Key: levels.HeaderLevel, Value: []byte(levels.RetryLevel)},
					kgo.RecordHeader{Key: levels.HeaderTarget, Value: []byte(rec.Topic)},
					kgo.RecordHeader{Key: levels.HeaderRetryCause, Value: []byte(stormCause(attempt))})})
			}
		}
		if err := cl.ProduceSync(context.WithoutCancel(ctx), back...).FirstErr(); err != nil {
			return fmt.Errorf("send back: %w", err)
		}
		if err := cl.CommitUncommittedOffsets(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("commit what was sent back: %w", err)
		}
	}
	return nil
}

func stormCause(attempt int) string { return fmt.Sprintf("cause %d", attempt) }

// delivered takes a delivery, and reports whether the record is to be sent back.
func (s *storm) delivered(rec *kgo.Record) (attempt int, again bool) {
	n, err := strconv.ParseInt(string(rec.Value), 10, 64)
	count, _ := record.Number(rec.Headers, levels.HeaderAttempt, 1000)
	id, _ := record.Last(rec.Headers, levels.HeaderID)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[n]
	attempt = int(count)
	switch {
	case err != nil || r == nil:
		s.violated("%s is none of the storm's: %q", place(rec), rec.Value)
		return attempt, false
	case attempt < r.next:
		s.twice++
		return attempt, false
	case attempt > r.next || r.handled:
		s.violated("storm's %d came as retry %d, want %d (handled: %v)", n, attempt, r.next, r.handled)
		return attempt, false
	}
	s.attempts++
	if attempt == 1 {
		r.id = string(id)
	} else if attempt > 1 && (string(id) != r.id || r.id == "") {
		s.violated("the id of the storm's %d was %q, and is %q at retry %d", n, r.id, id, attempt)
	}
	for key, want := range map[string]string{levels.HeaderRetryCause: stormCause(attempt - 1), levels.HeaderRetryFirstCause: stormCause(0)} {
		if got, _ := record.Last(rec.Headers, key); attempt > 0 && string(got) != want {
			s.violated("storm's %d, retry %d: %s is %q, want %q", n, attempt, key, got, want)
		}
	}
	r.next++
	if n%stormPasses == 0 && attempt == stormAttempt {
		r.handled = true
		s.done++
		return attempt, false
	}
	return attempt, true
}

// readDead reads the dead letters.
func (s *storm) readDead(ctx context.Context) error {
	cl, err := s.connect("torture-letters", kgo.ConsumeTopics(s.names.Dead()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer cl.Close()
	last := stormRetries()
	for ctx.Err() == nil {
		for _, rec := range cl.PollFetches(ctx).Records() {
			if !isStorm(rec) {
				continue
			}
			n, _ := strconv.ParseInt(string(rec.Value), 10, 64)
			code, _ := record.Last(rec.Headers, levels.HeaderError)
			detail, _ := record.Last(rec.Headers, levels.HeaderErrorDetail)
			want := fmt.Sprintf("the record was retried %d times, and the policy has no more retries; the first cause: %q; the last: %q",
				last, stormCause(0), stormCause(last))
			s.mu.Lock()
			switch r := s.records[n]; {
			case r == nil || string(code) != string(levels.RetriesExhausted) || string(detail) != want:
				s.violated("storm's %s is a dead letter, %s: %s; want %s", rec.Value, code, detail, want)
			case r.next != last+1 || r.handled:
				s.violated("storm's %d died before retry %d (handled: %v)", n, r.next, r.handled)
			default:
				if r.letters++; r.letters == 1 {
					s.done++
				} else {
					s.twice++
				}
			}
			s.mu.Unlock()
		}
	}
	return nil
}

// stormRetries is how often a record comes back.
func stormRetries() int {
	p, err := levels.ParseRetryPolicy(stormPolicy)
	if err != nil {
		panic(err)
	}
	return p.Len()
}

// missing is how many records have not come to their end.
func (s *storm) missing() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records) - s.done
}

// verdict says what became of the records.
func (s *storm) verdict() {
	s.mu.Lock()
	defer s.mu.Unlock()
	lost := 0
	for _, n := range slices.Sorted(maps.Keys(s.records)) {
		if r := s.records[n]; !r.handled && r.letters == 0 {
			if lost++; lost <= mostExamples {
				s.violated("storm's %d is lost: retry %d did not come", n, r.next)
			}
		}
	}
	s.measured("retried: %d records, %d deliveries, %d lost, %d twice", len(s.records), s.attempts, lost, s.twice)
	if len(s.records) == 0 {
		s.violated("the storm had no records")
	}
	switch {
	case lost > 0:
		s.violated("%d of the storm's %d records are lost", lost, len(s.records))
	case s.twice > 0 && s.delivery == exactlyOnce:
		s.violated("%d of the storm's records came twice", s.twice)
	}
}
