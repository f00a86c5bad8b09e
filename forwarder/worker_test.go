package forwarder

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// ten is the worker of level 10s in the default ladder.
func ten() *worker {
	return &worker{
		delay: 10 * time.Second, name: "10s", known: levelNames(levels.Default()), ladder: levels.Default(), maxDelay: levels.DefaultMaxDelay,
	}
}

// at is when the test's records were written.
var at = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

// record is one that was written straight to the level topic at t.
func newRecord(t time.Time, stamped bool, headers ...kgo.RecordHeader) *kgo.Record {
	rec := &kgo.Record{Topic: "delay.level.10s", Partition: 2, Offset: 7, Timestamp: t, Headers: headers}
	if stamped {
		rec.Attrs = kgo.NewRecordAttrs(kgo.RecordAttrsOpts{TimestampType: 1})
	}
	return rec
}

// hop is what the router tells of a record.
func hop(due time.Time) []kgo.RecordHeader { return hopText(strconv.FormatInt(due.UnixMilli(), 10)) }

func hopText(due string) []kgo.RecordHeader {
	return []kgo.RecordHeader{
		{Key: record.KeyDue, Value: []byte(due)}, {Key: record.KeyAccepted, Value: []byte("1")},
		{Key: record.KeyGranted, Value: []byte("10s")}, {Key: record.KeyID, Value: []byte("id")},
	}
}

func TestDue(t *testing.T) {
	const level, ms = 10 * time.Second, time.Millisecond
	for _, c := range []struct {
		why  string
		rec  *kgo.Record
		seen time.Time
		want time.Time
	}{
		{"the level and what Kafka cuts off", newRecord(at, true), at, at.Add(level + ms)},
		{"when it was first seen does not matter where the broker stamps", newRecord(at, true), at.Add(-time.Hour), at.Add(level + ms)},
		{"the router knows better", newRecord(at, true, hop(at.Add(4*time.Second))...), at, at.Add(4 * time.Second)},
		{"an overdue one is due", newRecord(at, true, hop(at.Add(-time.Hour))...), at, at.Add(-time.Hour)},
		{"no header stretches a wait", newRecord(at, true, hop(at.Add(time.Hour))...), at, at.Add(level + ms)},
		{"2099 neither", newRecord(at, true, hop(time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC))...), at, at.Add(level + ms)},
		{"nonsense is not read", newRecord(at, true, hopText("soon")...), at, at.Add(level + ms)},
		{"nothing below 1970 neither", newRecord(at, true, hop(time.UnixMilli(-1))...), at, at.Add(level + ms)},
		{"a header that is not the router's shortens none", newRecord(at, true, hop(at)[0]), at, at.Add(level + ms)},
		{"three neither", newRecord(at, true, hop(at)[:3]...), at, at.Add(level + ms)},
		{"a producer's time counts", newRecord(at, false), at.Add(time.Second), at.Add(level + ms)},
		{"up to when it was first seen", newRecord(at.Add(time.Hour), false), at, at.Add(level + ms)},
		{"without a time it waits from when it was first seen", newRecord(time.UnixMilli(-1), false), at, at.Add(level + ms)},
		{"the broker's stamp is a time", newRecord(time.UnixMilli(-1), true), at, time.UnixMilli(-1).Add(level + ms)},
		{"without a time the router still knows better", newRecord(time.UnixMilli(-1), false, hop(at.Add(4*time.Second))...), at, at.Add(4 * time.Second)},
		{"one from 1970 is overdue", newRecord(time.UnixMilli(0), false), at, time.UnixMilli(0).Add(level + ms)},
	} {
		if got, _ := ten().Due(c.rec, c.seen); !got.Equal(c.want) {
			t.Errorf("%s: due at %v, want %v", c.why, got.UTC(), c.want.UTC())
		}
	}
}

// TestDueIsBounded: whatever a record says, it waits no longer than its level
// from the broker's stamp, or from when it was first seen.
func TestDueIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rec := newRecord(time.UnixMilli(rapid.Int64().Draw(t, "stamp")>>16), false,
			hopText(rapid.OneOf(rapid.String(), rapid.StringMatching("-?[0-9]{1,20}")).Draw(t, "hop"))...)
		if due, _ := ten().Due(rec, at); due.After(at.Add(10*time.Second + cut)) {
			t.Fatalf("due at %v, seen at %v", due, at)
		}
	})
}

func TestFacts(t *testing.T) {
	due := at.Add(10*time.Second + cut)
	direct := factsOf(newRecord(at, true), due)
	want := levels.Facts{
		Partition: levels.ByKey, Due: due.UnixMilli(), Accepted: at.UnixMilli(), Granted: "10s",
	}
	if direct != want {
		t.Errorf("written straight to the level:\n got %+v\nwant %+v", direct, want)
	}

	// Without a time it was accepted when it was first seen, and its id does not change with that.
	for _, seen := range []time.Time{at, at.Add(time.Minute)} {
		rec := newRecord(time.UnixMilli(-1), false)
		due, _ := ten().Due(rec, seen)
		f := factsOf(rec, due)
		if f.Accepted != seen.UnixMilli() || f.ID != "delay.level.10s-2-7-0" {
			t.Errorf("without a time, seen at %v: %+v", seen, f)
		}
	}

	accepted := at.Add(-3 * time.Second)
	routed := func(granted string) *kgo.Record {
		return record.Hop(newRecord(at, true), "delay.level.10s", levels.Facts{
			ID: "delay.inbox-0-1-2", Due: due.UnixMilli(), Accepted: accepted.UnixMilli(), Granted: granted,
		})
	}
	got := factsOf(routed("30s"), due)
	if got.ID != "delay.inbox-0-1-2" || got.Accepted != accepted.UnixMilli() || got.Granted != "30s" {
		t.Errorf("routed: %+v", got)
	}
	// The header becomes a label of metrics: it has to be a level that there is.
	if got := factsOf(routed("31s"), due); got.Granted != "10s" {
		t.Errorf("a level that is none: %+v", got)
	}
}

// What is parked has to be read again, whatever time its producer wrote.
func TestFactsOfAnyTimeCanBeParked(t *testing.T) {
	for _, stamp := range []int64{math.MinInt64, -1, 0, math.MaxInt64} {
		rec := newRecord(time.UnixMilli(stamp), false)
		due, _ := ten().Due(rec, at)
		f := factsOf(rec, due)
		f.Topic = "orders"
		_, got, err := record.Unpark(record.Parked(rec, "delay.parked", f))
		if err != nil || got.Due != f.Due || got.Accepted != f.Accepted {
			t.Errorf("written at %d ms: parked %+v, unparked %+v, %v", stamp, f, got, err)
		}
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"missing-target-wait": func(c *Config) { c.MissingTargetWait = -2 },
		"give-up":             func(c *Config) { c.GiveUp = -1 },
		"purge-after":         func(c *Config) { c.PurgeAfter = -3 },
		"budget":              func(c *Config) { c.Budget = -1 },
		"concurrency":         func(c *Config) { c.Concurrency = -1 },
		"timeout":             func(c *Config) { c.Timeout = -1 },
		`"orders" is nil`:     func(c *Config) { c.Handlers = map[string]Handler{"orders": nil} },
		"prefix":              func(c *Config) { c.Names.Prefix = "a b" },
		"DefaultTarget":       func(c *Config) { c.DefaultTarget = "__consumer_offsets" },
		"DenyTargets":         func(c *Config) { c.DenyTargets = []string{"["} },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
}

// factsOf returns what the forwarder finds out about a record of the level ten.
func factsOf(rec *kgo.Record, due time.Time) levels.Facts {
	f, _ := ten().facts(rec, record.Read(rec.Headers), due, at)
	return f
}

// TestStepKeepsAttempts: a record that waits for another attempt can take a step more, where
// the clock of its level's broker is far behind. The attempts still count after that.
func TestStepKeepsAttempts(t *testing.T) {
	w := ten()
	w.names = levels.Names{Prefix: levels.DefaultPrefix}
	due := at.Add(30 * time.Second).UnixMilli()
	f := levels.Facts{Partition: levels.ByKey, ID: "id", Due: due, Accepted: at.UnixMilli(), Granted: levels.GrantedExact}
	want := record.Retry{Attempts: 3, Due: at.UnixMilli()}
	failed := record.Again(newRecord(at, true), "delay.level.10s", f, want)
	next := w.hop(failed, record.Read(failed.Headers), w.ladder.First(), f)
	if got := record.Read(next.Headers).Retry(due); got != want || next.Topic != "delay.level.1s" {
		t.Errorf("on %s with %+v, want delay.level.1s with %+v", next.Topic, got, want)
	}
	if ms, exact, ok := record.HopDue(next.Headers); ms != due || !exact || !ok {
		t.Errorf("due at %d (exact: %t, read: %t), want %d", ms, exact, ok, due)
	}
}
