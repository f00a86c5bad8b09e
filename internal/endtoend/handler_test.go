//go:build synctests

package endtoend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// errAway is what a handler returns in these tests whose backend is away.
var errAway = errors.New("the backend is away")

// owner is a program that owns its delay, with topics of its own.
type owner struct {
	w     *world
	names levels.Names
	calls calls
}

// call is one call of a handler.
type call struct {
	*kgo.Record
	forwarder.Info
	from, to time.Time
	err      error
	end      error // why its context had ended when it returned
}

// calls are those that have returned.
type calls struct {
	mu  sync.Mutex
	all []call
}

func (cs *calls) add(c call) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.all = append(cs.all, c)
}

func (cs *calls) now() []call {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return slices.Clone(cs.all)
}

// owns makes the topics of a program that owns its delay.
func (w *world) owns(partitions int32) *owner {
	w.t.Helper()
	o := &owner{w: w, names: levels.Names{Prefix: "mine"}}
	spec := admin.Spec{Ladder: w.Ladder, Names: o.names, Partitions: partitions, Replicas: -1}
	if _, err := admin.Ensure(context.Background(), w.Client, spec); err != nil {
		w.t.Fatal(err)
	}
	return o
}

// run starts an instance of the program and returns what stops it.
func (o *owner) run(handler forwarder.Handler, change ...func(*forwarder.Config)) (stop func()) {
	o.w.t.Helper()
	cfg := forwarder.DefaultConfig()
	cfg.Ladder, cfg.Names, cfg.PurgeAfter = o.w.Ladder, o.names, forwarder.PurgeOff
	if testing.Verbose() {
		cfg.Log = zerolog.New(zerolog.NewTestWriter(o.w.t)).Level(zerolog.InfoLevel)
	}
	if handler != nil {
		cfg.Handler = o.note(handler)
	}
	for _, c := range change {
		c(&cfg)
	}
	f, err := forwarder.New(cfg, o.w.Opts()...)
	if err != nil {
		o.w.t.Fatal(err)
	}
	stop = o.w.run(f.Run)
	for f.Ready() != nil {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(5 * time.Second)
	return sync.OnceFunc(stop)
}

// note has the owner note the calls of handler.
func (o *owner) note(handler forwarder.Handler) forwarder.Handler {
	return func(ctx context.Context, rec *kgo.Record) error {
		c := call{Record: rec, Info: forwarder.InfoOf(ctx), from: time.Now()}
		defer func() {
			c.to, c.end = time.Now(), context.Cause(ctx)
			o.calls.add(c)
		}()
		c.err = handler(ctx, rec)
		return c.err
	}
}

// send writes a record to the topic of a level.
func (o *owner) send(level, key, value string, headers ...kgo.RecordHeader) {
	o.w.t.Helper()
	d, err := levels.ParseDelay(level)
	if err != nil {
		o.w.t.Fatal(err)
	}
	rec := &kgo.Record{Topic: o.names.Level(levels.Level{Delay: d}), Partition: -1, Value: []byte(value), Headers: headers}
	if key != "" {
		rec.Key = []byte(key)
	}
	o.w.send(rec)
}

// values are the values of calls in their order.
func values(cs []call) (values []string) {
	for _, c := range cs {
		values = append(values, string(c.Value))
	}
	return values
}

func headerOf(rec *kgo.Record, key string) string { return arrival{Record: rec}.header(key) }

// noRetry makes the first failure the last.
func noRetry(cfg *forwarder.Config) {
	cfg.Retry = func(int, error) (time.Duration, bool) { return 0, false }
}

// TestHandlerPanics: a handler that panics, or ends its goroutine, costs the record and
// nothing else.
func TestHandlerPanics(t *testing.T) {
	virtual(t, "1s", nil, func(w *world) {
		o := w.owns(1)
		dead := w.watch(o.names.Dead())
		stop := o.run(func(_ context.Context, rec *kgo.Record) error {
			switch string(rec.Value) {
			case "map":
				write(nil)
			case "error":
				panic(fmt.Errorf("wrapped: %w", errAway))
			case "nil":
				panic(nil)
			case "goexit":
				runtime.Goexit()
			case "long":
				return errors.New(strings.Repeat("é", 10_000))
			}
			return nil
		}, noRetry)
		defer stop()
		bad := map[string]string{
			"map":    "panic: assignment to entry in nil map, in endtoend.write (handler_test.go:",
			"error":  "panic: wrapped: the backend is away, in endtoend.TestHandlerPanics",
			"nil":    "panic called with nil argument",
			"goexit": "runtime.Goexit ended the call, as t.FailNow does, in endtoend.TestHandlerPanics",
			"long":   "ééé...",
		}
		want := 0
		for value := range bad {
			for i := range 10 {
				o.send("1s", "k", strconv.Itoa(i))
			}
			o.send("1s", "k", value)
			want += 11
		}
		letters := dead.wait(len(bad), time.Minute)
		if len(letters) != len(bad) {
			t.Errorf("%d dead letters, want %d", len(letters), len(bad))
		}
		for _, l := range letters {
			detail := l.header(levels.HeaderErrorDetail)
			if !strings.Contains(detail, bad[string(l.Value)]) || len(detail) > 2<<10 {
				t.Errorf("%s: %d bytes of detail: %s", l.Value, len(detail), detail)
			}
			if code, n := l.header(levels.HeaderError), l.header(levels.HeaderAttempts); code != string(levels.GaveUp) || n != "1" {
				t.Errorf("%s: %s after %s attempts", l.Value, code, n)
			}
		}
		time.Sleep(time.Minute)
		if n := len(o.calls.now()); n != want {
			t.Errorf("%d calls, want %d", n, want)
		}
	})
}

// write panics without a map.
func write(m map[string]int) { m["x"]++ }

// TestHandlerOwnsItsRecord: what an attempt does to its record is not seen by the next.
func TestHandlerOwnsItsRecord(t *testing.T) {
	virtual(t, "1s", nil, func(w *world) {
		o := w.owns(1)
		var seen []string
		stop := o.run(func(_ context.Context, rec *kgo.Record) error {
			seen = append(seen, fmt.Sprint(string(rec.Key), string(rec.Value), rec.Topic, len(rec.Headers)))
			rec.Headers[0] = kgo.RecordHeader{Key: "changed"}
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: "more"})
			rec.Key, rec.Value, rec.Topic = nil, nil, "other"
			if len(seen) < 3 {
				return errAway
			}
			return nil
		}, func(cfg *forwarder.Config) { cfg.RetryInPlace = true })
		defer stop()
		o.send("1s", "k", "v", kgo.RecordHeader{Key: "a", Value: []byte("1")})
		time.Sleep(time.Minute)
		synctest.Wait() // what the handler has done is seen
		if len(seen) != 3 || seen[1] != seen[0] || seen[2] != seen[0] {
			t.Errorf("attempts saw %q", seen)
		}
	})
}

// TestHandlerStops: a call that goes on when Run is to end has ten seconds. Then its
// context ends, and what it returns is nothing that the record dies of: it is handed out
// again.
func TestHandlerStops(t *testing.T) {
	virtual(t, "1s", nil, func(w *world) {
		o := w.owns(1)
		dead := w.watch(o.names.Dead())
		var log bytes.Buffer
		stop := o.run(func(ctx context.Context, _ *kgo.Record) error {
			<-ctx.Done()
			return ctx.Err()
		}, noRetry, func(cfg *forwarder.Config) { cfg.Log = zerolog.New(zerolog.SyncWriter(&log)) })
		o.send("1s", "k", "v")
		time.Sleep(30 * time.Second)
		begun := time.Now()
		stop()
		if took := time.Since(begun); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("the drain took %v", took)
		}
		time.Sleep(time.Second)
		cs := o.calls.now()
		if len(cs) != 1 || !errors.Is(cs[0].end, forwarder.ErrStopped) {
			t.Errorf("calls %+v", cs)
		}
		if strings.Contains(log.String(), "dead letter") || len(dead.now()) > 0 {
			t.Errorf("the drain made a dead letter: %s", log.String())
		}
		stop = o.run(func(context.Context, *kgo.Record) error { return nil })
		defer stop()
		if cs := o.calls.now(); len(cs) != 2 || cs[1].Attempt != 1 || cs[1].ID != cs[0].ID {
			t.Errorf("calls %+v", cs)
		}
	})
}

// TestHandlerOutage: the backend of a handler is away for a minute, and no record dies
// of it, or changes.
func TestHandlerOutage(t *testing.T) {
	virtual(t, "", nil, func(w *world) {
		const records = 400
		o := w.owns(4)
		dead := w.watch(o.names.Dead())
		var from time.Time
		stop := o.run(func(context.Context, *kgo.Record) error {
			if since := time.Since(from); since > 10*time.Second && since < 70*time.Second {
				return errAway
			}
			return nil
		})
		defer stop()
		from = time.Now()
		for i := range records {
			o.send("1s", strconv.Itoa(i), strconv.Itoa(i),
				kgo.RecordHeader{Key: "a", Value: []byte("1")}, kgo.RecordHeader{Key: "a"})
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(5 * time.Minute)
		handled, first := make(map[string]bool), make(map[string]call)
		for _, c := range o.calls.now() {
			v := string(c.Value)
			if handled[v] {
				t.Errorf("%s: handed out after it was handled", v)
			}
			handled[v] = c.err == nil
			if c.Attempt == 1 {
				first[v] = c
				continue
			}
			f := first[v]
			if c.ID != f.ID || c.ID == "" || !c.Due.Equal(f.Due) || c.Level != "1s" || string(c.Key) != v {
				t.Errorf("%s: %+v, at first %+v", v, c.Info, f.Info)
			}
			if !slices.EqualFunc(c.Headers, f.Headers, func(a, b kgo.RecordHeader) bool {
				return a.Key == b.Key && bytes.Equal(a.Value, b.Value) && (a.Value == nil) == (b.Value == nil)
			}) {
				t.Errorf("%s: headers %v, at first %v", v, c.Headers, f.Headers)
			}
		}
		for v, ok := range handled {
			if !ok {
				t.Errorf("%s was not handled", v)
			}
		}
		if n := len(dead.now()); n > 0 || len(handled) != records {
			t.Errorf("%d dead letters, %d records handled", n, len(handled))
		}
	})
}

// TestHandlerRetries: a record that always fails climbs the levels, and its partition
// goes on.
func TestHandlerRetries(t *testing.T) {
	virtual(t, "", nil, func(w *world) {
		w.idle = time.Minute
		o := w.owns(1)
		stop := o.run(func(_ context.Context, rec *kgo.Record) error {
			if string(rec.Value) == "bad" {
				return errAway
			}
			return nil
		})
		defer stop()
		for _, v := range []string{"good", "bad", "next"} {
			o.send("1s", "k", v)
		}
		time.Sleep(5 * time.Hour)
		letters := w.watch(o.names.Dead()).wait(1, time.Minute)
		if len(letters) != 1 {
			t.Fatalf("%d dead letters", len(letters))
		}
		l := letters[0]
		if detail := l.header(levels.HeaderErrorDetail); detail != "the handler failed 17 times: the backend is away" ||
			l.header(levels.HeaderError) != string(levels.GaveUp) || l.header(levels.HeaderAttempts) != "17" {
			t.Errorf("%s: %s after %s attempts", l.header(levels.HeaderError), detail, l.header(levels.HeaderAttempts))
		}
		var bad, good []call
		for _, c := range o.calls.now() {
			if string(c.Value) == "bad" {
				bad = append(bad, c)
			} else {
				good = append(good, c)
			}
		}
		if len(bad) != 17 || len(good) != 2 {
			t.Fatalf("%d attempts, %d others", len(bad), len(good))
		}
		if l.header(levels.HeaderID) != bad[0].ID {
			t.Errorf("the dead letter is %q, the record was %q", l.header(levels.HeaderID), bad[0].ID)
		}
		if late := good[1].from.Sub(good[1].Due); late > time.Second {
			t.Errorf("the record behind it was %v late", late)
		}
		for i, c := range bad[1:] {
			want, _ := forwarder.DefaultRetry(i+1, nil)
			if wait := c.from.Sub(bad[i].from); wait < want || wait > want+time.Second {
				t.Errorf("attempt %d came after %v, want %v", c.Attempt, wait, want)
			}
			if c.Attempt != i+2 {
				t.Errorf("attempt %d is %d", i+2, c.Attempt)
			}
		}
		if all := bad[16].from.Sub(bad[0].from).Round(time.Minute); all != 4*time.Hour+46*time.Minute {
			t.Errorf("retried for %v", all)
		}
	})
}

// TestHandlerRetriesInPlace keeps the order of a partition, and gives up when told to.
func TestHandlerRetriesInPlace(t *testing.T) {
	virtual(t, "1s", nil, func(w *world) {
		o := w.owns(1)
		dead := w.watch(o.names.Dead())
		var from time.Time
		stop := o.run(func(context.Context, *kgo.Record) error {
			if time.Since(from) < time.Minute {
				return errAway
			}
			return nil
		}, func(cfg *forwarder.Config) { cfg.RetryInPlace = true })
		from = time.Now()
		for i := range 5 {
			o.send("1s", strconv.Itoa(i), strconv.Itoa(i))
		}
		time.Sleep(2 * time.Minute)
		cs := o.calls.now()
		if !slices.IsSorted(values(cs)) || len(dead.now()) > 0 {
			t.Errorf("%d dead letters, calls %q", len(dead.now()), values(cs))
		}
		if last := cs[len(cs)-1]; string(last.Value) != "4" || last.from.Sub(from) > time.Minute+10*time.Second {
			t.Errorf("%s was handled after %v", last.Value, last.from.Sub(from))
		}
		begun := time.Now()
		from = begun.Add(time.Hour)
		o.send("1s", "k", "stop")
		time.Sleep(time.Minute)
		begun = time.Now()
		stop() // while it waits
		if took := time.Since(begun); took > time.Second {
			t.Errorf("the drain took %v", took)
		}
	})
}

// TestHandlerErrors: a handler's error decides when it is Never or Later.
func TestHandlerErrors(t *testing.T) {
	virtual(t, "1s 1m", nil, func(w *world) {
		w.idle = time.Minute
		o := w.owns(1)
		var put int
		stop := o.run(func(_ context.Context, rec *kgo.Record) error {
			if string(rec.Value) == "never" {
				return fmt.Errorf("look at it: %w", forwarder.Never(errAway))
			}
			if put++; put <= 30 {
				return fmt.Errorf("not yet: %w", forwarder.Later(50*time.Second))
			}
			return nil
		})
		defer stop()
		o.send("1s", "k", "never")
		o.send("1s", "k", "later")
		time.Sleep(45 * time.Minute)
		cs := o.calls.now()
		if len(cs) != 32 {
			t.Fatalf("calls %q", values(cs))
		}
		for i, c := range cs {
			if c.Attempt != 1 {
				t.Errorf("%s: attempt %d", c.Value, c.Attempt)
			}
			if wait := c.from.Sub(cs[max(i-1, 0)].from); i >= 2 && (wait < time.Minute || wait > time.Minute+time.Second) {
				t.Errorf("%s came again after %v", c.Value, wait)
			}
		}
		letters := w.watch(o.names.Dead()).wait(1, time.Minute)
		if len(letters) != 1 || letters[0].header(levels.HeaderError) != string(levels.Rejected) ||
			letters[0].header(levels.HeaderErrorDetail) != "the handler refuses the record: the backend is away" ||
			letters[0].header(levels.HeaderAttempts) != "1" {
			t.Errorf("dead letters %v", letters)
		}
	})
}

// TestHandlerContext: the context has what is known of a record, its producer's trace,
// and the end of Config.Timeout.
func TestHandlerContext(t *testing.T) {
	virtual(t, "1s 5s", nil, func(w *world) {
		o := w.owns(1)
		var parents []any
		stop := o.run(func(ctx context.Context, _ *kgo.Record) error {
			parents = append(parents, ctx.Value(traceparent{}))
			<-ctx.Done()
			if len(parents) == 1 {
				return ctx.Err()
			}
			return nil
		}, func(cfg *forwarder.Config) { cfg.Timeout, cfg.Tracing = 3*time.Second, new(tracer) })
		defer stop()
		const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		sent := time.Now()
		o.send("5s", "k", "v",
			kgo.RecordHeader{Key: "traceparent", Value: []byte(parent)},
			kgo.RecordHeader{Key: levels.HeaderTarget, Value: []byte("remind")}, kgo.RecordHeader{Key: levels.HeaderID, Value: []byte("mine")})
		time.Sleep(time.Minute)
		cs := o.calls.now()
		if len(cs) != 2 {
			t.Fatalf("calls %q", values(cs))
		}
		for i, c := range cs {
			want := forwarder.Info{ID: "mine", Attempt: i + 1, Due: c.Due, Level: "5s", Target: "remind"}
			if due := c.Due.Sub(sent); c.Info != want || due < 5*time.Second || due > 6*time.Second {
				t.Errorf("%+v, due after %v", c.Info, due)
			}
			if took := c.to.Sub(c.from); took != 3*time.Second {
				t.Errorf("a call took %v", took)
			}
			if parents[i] != parent {
				t.Errorf("the context has %v of the producer's trace", parents[i])
			}
		}
		if forwarder.InfoOf(context.Background()) != (forwarder.Info{}) {
			t.Error("a context that is no call's has an Info")
		}
	})
}

// TestHandlerRevoked: the context of a call ends when its partition is taken away, and
// no record is in two calls at a time.
func TestHandlerRevoked(t *testing.T) {
	virtual(t, "1s", nil, func(w *world) {
		o := w.owns(4)
		const long = 15 * time.Second // longer than a hand-over waits
		var mu sync.Mutex
		in := make(map[string]bool)
		handler := func(ctx context.Context, rec *kgo.Record) error {
			v := string(rec.Value)
			mu.Lock()
			if in[v] {
				t.Errorf("%s is in two calls", v)
			}
			in[v] = true
			mu.Unlock()
			time.Sleep(long)
			mu.Lock()
			in[v] = false
			mu.Unlock()
			return ctx.Err()
		}
		stop := o.run(handler)
		defer stop()
		for i := range 40 {
			o.send("1s", strconv.Itoa(i), strconv.Itoa(i))
		}
		time.Sleep(5 * time.Second)
		joined := time.Now()
		defer o.run(handler)()
		time.Sleep(10 * time.Minute)
		revoked, handled := 0, make(map[string]int)
		for _, c := range o.calls.now() {
			if errors.Is(c.end, forwarder.ErrRevoked) {
				revoked++
				if c.from.After(joined.Add(10 * time.Second)) {
					t.Errorf("%s was revoked, and began %v after the other had joined", c.Value, c.from.Sub(joined))
				}
			} else {
				handled[string(c.Value)]++
				if c.end != nil {
					t.Errorf("%s: %v", c.Value, c.end)
				}
			}
		}
		if revoked == 0 || len(handled) != 40 {
			t.Errorf("%d calls ended with their partition, %d records were handled", revoked, len(handled))
		}
		for v, n := range handled {
			if n != 1 {
				t.Errorf("%s was handled %d times", v, n)
			}
		}
	})
}

// TestHandlerFenced: where another process takes the instance id, calls end at once.
func TestHandlerFenced(t *testing.T) {
	virtual(t, "1s", nil, func(w *world) {
		o := w.owns(1)
		cfg := forwarder.DefaultConfig()
		cfg.Ladder, cfg.Names, cfg.PurgeAfter, cfg.Instance = w.Ladder, o.names, forwarder.PurgeOff, "one"
		cfg.Handler = o.note(func(ctx context.Context, _ *kgo.Record) error { <-ctx.Done(); return ctx.Err() })
		first, err := forwarder.New(cfg, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- first.Run(context.Background()) }()
		o.send("1s", "k", "v")
		time.Sleep(10 * time.Second)
		stop := o.run(func(context.Context, *kgo.Record) error { return nil }, func(cfg *forwarder.Config) { cfg.Instance = "one" })
		defer stop()
		if err := <-ended; !errors.Is(err, forwarder.ErrFenced) {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if cs := o.calls.now(); len(cs) != 2 || !errors.Is(cs[0].end, forwarder.ErrRevoked) || cs[1].err != nil {
			t.Errorf("calls %+v", cs)
		}
	})
}

// TestHandlerConcurrency: calls at a time keep records on time, in order by key.
func TestHandlerConcurrency(t *testing.T) {
	virtual(t, "10s", nil, func(w *world) {
		const (
			records    = 2000
			partitions = 4
			keys       = 300
			atOnce     = 16
		)
		o := w.owns(partitions)
		var mu sync.Mutex
		in, most := make(map[int32]int), 0
		stop := o.run(func(_ context.Context, rec *kgo.Record) error {
			count := func(by int) {
				mu.Lock()
				defer mu.Unlock()
				in[rec.Partition] += by
				most = max(most, in[rec.Partition])
			}
			count(1)
			defer count(-1)
			time.Sleep(20 * time.Millisecond)
			return nil
		}, func(cfg *forwarder.Config) { cfg.Concurrency = atOnce })
		defer stop()
		var recs []*kgo.Record
		for i := range records {
			key := []byte(strconv.Itoa(i % keys))
			if i%3 == 0 {
				key = nil
			}
			recs = append(recs, &kgo.Record{
				Topic: o.names.Level(levels.Level{Delay: 10 * time.Second}), Partition: -1, Key: key, Value: []byte(strconv.Itoa(i)),
			})
		}
		w.send(recs...)
		time.Sleep(time.Minute)
		cs := o.calls.now()
		seen, last := make(map[string]bool), make(map[string]call)
		for _, c := range cs {
			seen[string(c.Value)] = true
			if late := c.from.Sub(c.Due); late > 2*time.Second {
				t.Errorf("%s began %v late", c.Value, late)
			}
			if c.Key == nil {
				continue
			}
			if before, ok := last[string(c.Key)]; ok && (c.Offset < before.Offset || c.from.Before(before.to)) {
				t.Errorf("key %s: %s from %v, then %s from %v", c.Key, before.Value, before.from, c.Value, c.from)
			}
			last[string(c.Key)] = c
		}
		if len(seen) != records || len(cs) != records || most > atOnce {
			t.Errorf("%d calls for %d records, up to %d of a partition at a time", len(cs), len(seen), most)
		}
		waitCommitted(t, o, "10s", records)
	})
}

// waitCommitted wants n records of a level to be committed soon.
func waitCommitted(t *testing.T, o *owner, level string, n int64) {
	t.Helper()
	d, err := levels.ParseDelay(level)
	if err != nil {
		t.Fatal(err)
	}
	topic := o.names.Level(levels.Level{Delay: d})
	commits, err := o.w.Admin.FetchOffsets(context.Background(), o.names.ForwarderGroup())
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	commits.Each(func(r kadm.OffsetResponse) {
		if r.Topic == topic {
			sum += r.At
		}
	})
	if sum != n {
		t.Errorf("%d records of %s are committed, want %d", sum, level, n)
	}
}

// TestHandlerKeyThatFails: with several calls at a time a key that is retried in
// place holds up itself alone.
func TestHandlerKeyThatFails(t *testing.T) {
	virtual(t, "1s", nil, func(w *world) {
		o := w.owns(1)
		var from time.Time
		stop := o.run(func(_ context.Context, rec *kgo.Record) error {
			if string(rec.Key) == "bad" && time.Since(from) < time.Minute {
				return errAway
			}
			return nil
		}, func(cfg *forwarder.Config) { cfg.Concurrency, cfg.RetryInPlace = 4, true })
		defer stop()
		from = time.Now()
		for i := range 50 {
			o.send("1s", []string{"bad", "good", "also"}[min(i%12, 2)], fmt.Sprintf("%02d", i))
		}
		time.Sleep(2 * time.Minute)
		var bad []string
		handled := 0
		for _, c := range o.calls.now() {
			if c.err == nil {
				handled++
			}
			switch late := c.from.Sub(c.Due); {
			case string(c.Key) == "bad" && c.err == nil:
				bad = append(bad, string(c.Value))
			case string(c.Key) != "bad" && late > time.Second:
				t.Errorf("%s began %v late", c.Value, late)
			}
		}
		if !slices.IsSorted(bad) || handled != 50 {
			t.Errorf("%d handled, of the key that fails %q", handled, bad)
		}
	})
}

// TestHandlerTargets: a target is a kind of work with a handler of its own, and a
// record is delayed again as it is.
func TestHandlerTargets(t *testing.T) {
	virtual(t, "1s 5s", nil, func(w *world) {
		o := w.owns(1)
		dead := w.watch(o.names.Dead())
		p, err := router.NewProducer(router.ProducerConfig{Policy: router.Policy{Ladder: w.Ladder, Names: o.names}, NoTarget: true}, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close(context.Background())
		mail := o.note(func(ctx context.Context, rec *kgo.Record) error {
			if headerOf(rec, levels.HeaderPreviousID) == "" {
				_, err := p.Send(ctx, rec, 5*time.Second)
				return err
			}
			return nil
		})
		with := func(cfg *forwarder.Config) {
			cfg.Handlers = map[string]forwarder.Handler{"mail": mail, "sms": o.note(func(context.Context, *kgo.Record) error { return nil })}
		}
		stop := o.run(nil, with)
		defer func() { stop() }()
		for _, target := range []string{"mail", "sms", "fax"} {
			if _, err := p.Send(context.Background(), &kgo.Record{Topic: target, Value: []byte(target)}, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		o.send("1s", "", "none")
		time.Sleep(time.Minute)
		var got []string
		for _, c := range o.calls.now() {
			if c.Topic != string(c.Value) || c.Target != c.Topic {
				t.Errorf("%s is on topic %q, for %q", c.Value, c.Topic, c.Target)
			}
			got = append(got, string(c.Value)+" "+c.Level)
		}
		slices.Sort(got)
		if want := []string{"mail 1s", "mail 5s", "sms 1s"}; !slices.Equal(got, want) {
			t.Errorf("calls %q, want %q", got, want)
		}
		codes := make(map[string]string)
		for _, l := range dead.now() {
			codes[string(l.Value)] = l.header(levels.HeaderError)
		}
		if len(codes) != 2 || codes["fax"] != string(levels.ForbiddenTarget) || codes["none"] != string(levels.NoTarget) {
			t.Errorf("dead letters %v", codes)
		}
		stop()
		before := len(o.calls.now())
		stop = o.run(func(context.Context, *kgo.Record) error { return nil }, with)
		o.send("1s", "", "")
		time.Sleep(time.Minute)
		cs := o.calls.now()
		if len(cs) != before+1 || cs[before].Topic != "" || cs[before].Target != "" {
			t.Errorf("without a target: %+v", cs[before:])
		}
	})
}
