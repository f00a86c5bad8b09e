package router

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// acceptedAt is when the records of these tests were accepted.
var acceptedAt = time.UnixMilli(1_700_000_000_123)

// headers makes headers of keys and values that follow one another.
func headers(keysAndValues ...string) []kgo.RecordHeader {
	var h []kgo.RecordHeader
	for i := 0; i < len(keysAndValues); i += 2 {
		h = append(h, kgo.RecordHeader{Key: keysAndValues[i], Value: []byte(keysAndValues[i+1])})
	}
	return h
}

func defaults() *Policy {
	p := Policy{}.WithDefaults()
	return &p
}

func TestDecideToLevel(t *testing.T) {
	in := headers("a", "1", "delay-level", "9s", "delay-hop-due", "5", "delay-target", "orders", "a", "2")
	rec := &kgo.Record{Topic: "delay.inbox", Partition: 2, Offset: 17, Key: []byte("k"), Value: []byte{}, Headers: in}
	d := defaults().Decide(rec, acceptedAt)

	facts := levels.Facts{
		Topic: "orders", Partition: levels.ByKey, Due: 1700000010124, Accepted: 1700000000123, Granted: "10s",
	}
	if diff := cmp.Diff(facts, d.Facts); diff != "" {
		t.Errorf("facts (- want, + got):\n%s", diff)
	}
	if d.Kind != ToLevel || d.Level.Delay != 10*time.Second || d.Asked != 9*time.Second || d.Clamped {
		t.Errorf("decision %+v", d)
	}
	out := d.Record
	if out.Topic != "delay.level.10s" || out.Partition != levels.ByKey || !out.Timestamp.IsZero() || &out.Key[0] != &rec.Key[0] || out.Value == nil {
		t.Errorf("record %+v", out)
	}
	want := headers("a", "1", "delay-level", "9s", "delay-target", "orders", "a", "2",
		"delay-hop-due", "1700000010124", "delay-hop-accepted", "1700000000123", "delay-hop-granted", "10s",
		"delay-hop-id", "delay.inbox-2-17-1700000000123")
	if diff := cmp.Diff(want, out.Headers); diff != "" {
		t.Errorf("headers (- want, + got):\n%s", diff)
	}
}

func TestDecideDead(t *testing.T) {
	rec := &kgo.Record{Topic: "delay.inbox", Partition: 2, Offset: 17, Headers: headers("delay-level", "soon", "delay-target", "orders")}
	d := defaults().Decide(rec, acceptedAt)
	want := Decision{
		Kind: Dead,
		Facts: levels.Facts{
			Partition: levels.ByKey, Accepted: 1700000000123,
		},
		Refusal: &Refusal{Code: levels.BadLevel, Detail: d.Refusal.Detail},
	}
	if diff := cmp.Diff(want, d, cmp.AllowUnexported(levels.Ladder{})); diff != "" {
		t.Errorf("- want, + got:\n%s", diff)
	}
	if !strings.Contains(d.Refusal.Detail, `delay-level "soon"`) {
		t.Errorf("detail %q does not quote the request", d.Refusal.Detail)
	}
}

func TestDecideAsked(t *testing.T) {
	for request, want := range map[string]time.Duration{
		"45s": 45 * time.Second,
		"3":   10 * time.Second, // a level number asks for its level
		"3d":  72 * time.Hour,
		"19":  2 * time.Hour, // of a number above the last one nobody knows more
		"0":   0,
	} {
		d := defaults().Decide(&kgo.Record{Headers: headers("delay-level", request, "delay-target", "orders")}, acceptedAt)
		if d.Asked != want {
			t.Errorf("%s: asked for %s, want %s", request, d.Asked, want)
		}
	}
}

// TestRetryGetsANewID follows a record through two deliveries: the second time it
// brings all that the first one put on it.
func TestRetryGetsANewID(t *testing.T) {
	p := defaults()
	first := deliverFrom(t, p, &kgo.Record{
		Topic: "delay.inbox", Offset: 1, Headers: headers("x", "1", "delay-level", "10s", "delay-target", "orders", "delay-id", "mine"),
	}, acceptedAt)
	if diff := cmp.Diff(headers("x", "1", "delay-id", "mine", "delay-due", "1700000010124", "delay-accepted", "1700000000123",
		"delay-granted", "10s", "delay-requested", "10s"), first.Headers); diff != "" {
		t.Fatalf("first delivery (- want, + got):\n%s", diff)
	}

	again := &kgo.Record{
		Topic: "delay.inbox", Offset: 2, Headers: append(first.Headers,
			headers("delay-level", "2m", "delay-target", "orders", "delay-hop-due", "1", "delay-hop-id", "forged")...),
	}
	second := deliverFrom(t, p, again, acceptedAt.Add(time.Minute))
	if diff := cmp.Diff(headers("x", "1", "delay-id", "delay.inbox-0-2-1700000060123", "delay-previous-id", "mine",
		"delay-due", "1700000180124", "delay-accepted", "1700000060123", "delay-granted", "2m", "delay-requested", "2m"),
		second.Headers); diff != "" {
		t.Errorf("second delivery (- want, + got):\n%s", diff)
	}
}

// deliverFrom takes a record of the inbox all the way, without the wait.
func deliverFrom(t *testing.T, p *Policy, rec *kgo.Record, accepted time.Time) *kgo.Record {
	t.Helper()
	d := p.Decide(rec, accepted)
	if d.Kind != ToLevel {
		t.Fatalf("decision %+v", d)
	}
	facts, ok := record.ReadHop(d.Record.Headers)
	if !ok {
		t.Fatalf("the forwarder cannot read %+v", d.Record.Headers)
	}
	targets := p.targets()
	var refusal *Refusal
	if facts.Topic, facts.Partition, refusal = targets.Resolve(record.Read(d.Record.Headers)); refusal != nil {
		t.Fatal(refusal)
	}
	return record.Final(d.Record, facts)
}

// anyPolicy draws a policy that is valid.
func anyPolicy() *rapid.Generator[*Policy] {
	return rapid.Custom(func(t *rapid.T) *Policy {
		p := Policy{
			Rounding:      rapid.SampledFrom([]levels.Rounding{levels.Nearest, levels.Up, levels.Down}).Draw(t, "rounding"),
			OverMax:       rapid.SampledFrom([]OverMax{OverMaxAuto, OverMaxClamp, OverMaxReject}).Draw(t, "over-max"),
			DefaultTarget: rapid.SampledFrom([]string{"", "fallback"}).Draw(t, "default target"),
			DenyTargets:   rapid.SampledFrom([][]string{nil, {"secret*"}}).Draw(t, "deny"),
		}
		if rapid.Bool().Draw(t, "short ladder") {
			p.Ladder, _ = levels.Parse("5s 10s 30s 1m 5m 10m 1h 2h")
		}
		p = p.WithDefaults()
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		return &p
	})
}

// someKeys are keys that mean something, and some that do not.
var someKeys = []string{
	levels.HeaderLevel, levels.HeaderTarget, levels.HeaderPartition, levels.HeaderID, levels.HeaderGranted, levels.HeaderDue,
	record.KeyDue, record.KeyAccepted, record.KeyGranted, record.KeyID, levels.HeaderError, "", "x", "Delay-Level", "delay-foo",
	levels.HeaderAttempt, levels.HeaderRetryPolicy, levels.HeaderRetryCause, levels.HeaderRetryFirstCause, levels.HeaderFirstAccepted,
}

// anyHeaders draws headers that make sense about every other time.
func anyHeaders() *rapid.Generator[[]kgo.RecordHeader] {
	return rapid.Custom(func(t *rapid.T) []kgo.RecordHeader {
		value := rapid.OneOf(rapid.Just([]byte(nil)), rapid.Just([]byte{}), rapid.SliceOf(rapid.Byte()))
		h := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) kgo.RecordHeader {
			return kgo.RecordHeader{Key: rapid.SampledFrom(someKeys).Draw(t, "key"), Value: value.Draw(t, "value")}
		}), 0, 6).Draw(t, "headers")
		word := rapid.Custom(func(t *rapid.T) string {
			n := rapid.Int64Range(0, int64(3*time.Hour)).Draw(t, "delay")
			return levels.FormatDelay(time.Duration(n))
		})
		if rapid.Bool().Draw(t, "with a request") {
			number := rapid.StringMatching(`[0-9]{1,3}`)
			h = append(h, headers(levels.HeaderLevel, rapid.OneOf(word, number, rapid.Just(levels.RetryLevel)).Draw(t, "request"))...)
		}
		if rapid.Bool().Draw(t, "with a target") {
			target := rapid.SampledFrom([]string{"orders", "payments", "secrets", "delay.dead", "__x", "a b", ""}).Draw(t, "target")
			h = append(h, headers(levels.HeaderTarget, target)...)
		}
		return h
	})
}

func TestDecideLosesNothing(t *testing.T) {
	anyBytes := rapid.OneOf(rapid.Just([]byte(nil)), rapid.Just([]byte{}), rapid.SliceOfN(rapid.Byte(), 1, 8))
	rapid.Check(t, func(rt *rapid.T) {
		p := anyPolicy().Draw(rt, "policy")
		rec := &kgo.Record{
			Topic: p.Names.Inbox(), Partition: 3, Offset: rapid.Int64Min(0).Draw(rt, "offset"),
			Key: anyBytes.Draw(rt, "key"), Value: anyBytes.Draw(rt, "value"), Headers: anyHeaders().Draw(rt, "headers"),
		}
		checkDecision(rt, p, rec, anyAcceptance().Draw(rt, "accepted"))
	})
}

// anyAcceptance draws when a record was accepted: most are long overdue, and some
// were accepted by a clock that runs ahead.
func anyAcceptance() *rapid.Generator[time.Time] {
	return rapid.Map(rapid.Int64Range(0, 2*acceptedAt.UnixMilli()), time.UnixMilli)
}

// fataler is what a *testing.T and a *rapid.T have in common.
type fataler interface{ Fatalf(string, ...any) }

// checkDecision decides on a record and checks all that has to be true of every
// decision.
func checkDecision(t fataler, p *Policy, rec *kgo.Record, accepted time.Time) {
	before := slices.Clone(rec.Headers)
	d := p.Decide(rec, accepted)
	if diff := cmp.Diff(before, rec.Headers); diff != "" {
		t.Fatalf("the record was changed (- before, + after):\n%s", diff)
	}
	if again := p.Decide(rec, accepted); !cmp.Equal(d.Facts, again.Facts) || d.Kind != again.Kind || d.Level != again.Level {
		t.Fatalf("decided %+v and then %+v", d, again)
	}
	if d.Facts.Accepted != accepted.UnixMilli() {
		t.Fatalf("facts %+v", d.Facts)
	}
	switch d.Kind {
	case ToLevel:
		checkWaits(t, p, rec, d)
	case AtOnce:
		if d.Record != nil || d.Refusal != nil || d.Level != (levels.Level{}) || d.Facts.Topic == "" || d.Facts.Granted != "0s" {
			t.Fatalf("at once: %+v", d)
		}
	case Dead:
		if d.Record != nil || d.Refusal == nil || d.Refusal.Code == "" || d.Refusal.Detail == "" || d.Level != (levels.Level{}) || d.Clamped {
			t.Fatalf("dead: %+v", d)
		}
		if len(d.Refusal.Detail) > 1024 || strings.ContainsRune(d.Refusal.Detail, '\n') {
			t.Fatalf("the detail is not one short line: %q", d.Refusal.Detail)
		}
	default:
		t.Fatalf("kind %s", d.Kind)
	}
	if d.Kind != Dead {
		granted, err := levels.ParseDelay(d.Facts.Granted)
		if err != nil {
			t.Fatalf("granted %q: %v", d.Facts.Granted, err)
		}
		want := granted.Milliseconds()
		if granted > 0 {
			want++
		}
		if wait := d.Facts.Due - d.Facts.Accepted; wait != want {
			t.Fatalf("due %d ms after acceptance, granted %s", wait, granted)
		}
	}
}

func checkWaits(t fataler, p *Policy, rec *kgo.Record, d Decision) {
	if d.Refusal != nil || d.Facts.Topic == "" || d.Record == nil || d.Record.Topic != p.Names.Level(d.Level) {
		t.Fatalf("to level: %+v", d)
	}
	if l, ok := p.Ladder.Number(d.Level.Number); !ok || l != d.Level || d.Facts.Granted != l.String() {
		t.Fatalf("waits on level %+v, granted %s", d.Level, d.Facts.Granted)
	}
	hop, ok := record.ReadHop(d.Record.Headers)
	want := d.Facts
	want.Topic, want.Partition, want.ID = "", levels.ByKey, record.OriginID(rec, d.Facts.Accepted)
	if !ok || hop != want {
		t.Fatalf("the forwarder reads %+v, want %+v", hop, want)
	}
	if d.Attempt > 0 {
		rec = record.Retried(rec, d.Attempt)
	}
	kept := record.WithoutHop(rec.Headers, 0)
	if !cmp.Equal(kept, d.Record.Headers[:len(kept)]) || !cmp.Equal(rec.Key, d.Record.Key) || !cmp.Equal(rec.Value, d.Record.Value) {
		t.Fatalf("record %+v became %+v", rec, d.Record)
	}
}

// TestOldHeadersMeanNothing puts what a delivered record carries, and what a
// forger might, before and behind a request: the decision is the same.
func TestOldHeadersMeanNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := anyPolicy().Draw(rt, "policy")
		h := anyHeaders().Draw(rt, "headers")
		old := headers("delay-id", "x", "delay-due", "1", "delay-accepted", "1", "delay-granted", "0s", "delay-requested", "0",
			"delay-previous-id", "y", "delay-error", "gave-up", "delay-hop-due", "4070908800000", "delay-hop-accepted", "1",
			"delay-hop-granted", "2h", "delay-hop-id", "z", "delay-hop-target", "other", "delay-hop-key", "k")
		plain := p.Decide(&kgo.Record{Headers: h}, acceptedAt)
		for _, mixed := range [][]kgo.RecordHeader{slices.Concat(old, h), slices.Concat(h, old)} {
			got := p.Decide(&kgo.Record{Headers: mixed}, acceptedAt)
			if got.Kind != plain.Kind || got.Level != plain.Level || got.Facts != plain.Facts || !cmp.Equal(got.Refusal, plain.Refusal) {
				rt.Fatalf("decided %+v, and %+v without them", got, plain)
			}
		}
	})
}

// FuzzDecide reads headers from bytes, keys and values between zeros.
func FuzzDecide(f *testing.F) {
	f.Add([]byte("delay-level\x0045s\x00delay-target\x00orders"))
	f.Add([]byte("delay-level\x003\x00delay-target\x00orders\x00delay-partition\x007"))
	f.Add([]byte("delay-level\x000"))
	f.Add([]byte("delay-level\x001d\x00delay-target\x00"))
	f.Add([]byte("delay-level\x00retry\x00delay-target\x00orders\x00delay-attempt\x003\x00delay-retry-cause\x00timeout"))
	f.Add([]byte("delay-level\x00retry\x00delay-retry-policy\x001s 5s\x00delay-attempt\x002\x00delay-retry-first-cause\x00\x1b[2J"))
	p := defaults()
	p.DefaultTarget = "fallback"
	f.Fuzz(func(t *testing.T, encoded []byte) {
		var h []kgo.RecordHeader
		for pair := range slices.Chunk(bytes.Split(encoded, []byte{0}), 2) {
			header := kgo.RecordHeader{Key: string(pair[0])}
			if len(pair) == 2 {
				header.Value = pair[1]
			}
			h = append(h, header)
		}
		checkDecision(t, p, &kgo.Record{Topic: "delay.inbox", Headers: h}, acceptedAt)
	})
}

func TestKindString(t *testing.T) {
	for kind, want := range map[Kind]string{ToLevel: "to level", AtOnce: "at once", Dead: "dead", 7: "Kind(7)"} {
		if got := kind.String(); got != want {
			t.Errorf("Kind %d is %q, want %q", int(kind), got, want)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	p := defaults()
	for _, c := range []struct{ name, request string }{
		{"level", "45s"},
		{"number", "3"},
		{"none", "0"},
		{"dead", "soon"},
	} {
		b.Run(c.name, func(b *testing.B) {
			rec := &kgo.Record{
				Topic: "delay.inbox", Partition: 2, Offset: 123456, Key: []byte("k"), Value: []byte("v"),
				Headers: headers("a", "1", "b", "2", "delay-level", c.request, "delay-target", "orders"),
			}
			b.ReportAllocs()
			for b.Loop() {
				p.Decide(rec, acceptedAt)
			}
		})
	}
}
