package router

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// newTestProducer is a producer without a broker: what it decides shows before
// anything is sent.
func newTestProducer(t *testing.T, cfg ProducerConfig, opts ...kgo.Opt) *Producer {
	t.Helper()
	p, err := NewProducer(cfg, append([]kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return p
}

func TestNewProducerNamesWhatIsWrong(t *testing.T) {
	brokers := kgo.SeedBrokers("127.0.0.1:1")
	for _, c := range []struct {
		says string
		cfg  ProducerConfig
		opts []kgo.Opt
	}{
		{"Policy.DefaultTarget", ProducerConfig{Policy: Policy{DefaultTarget: "a b"}}, []kgo.Opt{brokers}},
		{"Policy.Names", ProducerConfig{Policy: Policy{Names: levels.Names{Prefix: "a b"}}}, []kgo.Opt{brokers}},
		{"seed brokers", ProducerConfig{}, nil},
		{"kgo.DisableIdempotentWrite", ProducerConfig{}, []kgo.Opt{brokers, kgo.DisableIdempotentWrite()}},
		{"what Prepare returns", ProducerConfig{}, []kgo.Opt{brokers, kgo.TransactionalID("shop")}},
		{"kgo.ConsumeTopics", ProducerConfig{}, []kgo.Opt{brokers, kgo.ConsumeTopics("orders")}},
		{"kgo.ConsumerGroup", ProducerConfig{}, []kgo.Opt{brokers, kgo.ConsumerGroup("shop"), kgo.ConsumeTopics("orders")}},
		{"kgo.RecordPartitioner", ProducerConfig{}, []kgo.Opt{brokers, kgo.RecordPartitioner(kgo.RoundRobinPartitioner())}},
		{"ProducerConfig.CheckTarget", ProducerConfig{NoTarget: true, CheckTarget: true}, []kgo.Opt{brokers}},
	} {
		p, err := NewProducer(c.cfg, c.opts...)
		if err == nil {
			p.writer.client.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("error %v, want one that names %s", err, c.says)
		}
	}
}

func TestNewProducerInsistsOnAcknowledgements(t *testing.T) {
	p := newTestProducer(t, ProducerConfig{}, kgo.RequiredAcks(kgo.LeaderAck()))
	if got := p.writer.client.OptValue(kgo.RequiredAcks); got != kgo.AllISRAcks() {
		t.Errorf("acks %v, want all replicas in sync", got)
	}
}

func TestProducerPrepares(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_123)
	added := func(level, target, sent string) []kgo.RecordHeader {
		return headers("delay-level", level, "delay-target", target, "delay-sent", sent)
	}
	fresh := func(level, target, sent string) []kgo.RecordHeader {
		return slices.Concat(headers("delay-id", "fresh"), added(level, target, sent))
	}
	for _, c := range []struct {
		why      string
		policy   Policy
		noTarget bool
		rec      kgo.Record
		delay    time.Duration
		topic    string
		headers  []kgo.RecordHeader
		id       string // "" for a fresh one
	}{
		{
			why: "the topic is the target, and the delay is told as it was asked for", rec: kgo.Record{Topic: "orders"},
			delay: 45 * time.Second, topic: "delay.level.1m", headers: fresh("45s", "orders", "1700000000123"),
		}, {
			why: "the record's own time is when it was sent", rec: kgo.Record{Topic: "orders", Timestamp: time.UnixMilli(42)},
			delay: time.Hour, topic: "delay.level.1h", headers: fresh("1h", "orders", "42"),
		}, {
			why: "no topic: the default target", policy: Policy{DefaultTarget: "fallback"},
			delay: time.Second, topic: "delay.level.1s", headers: fresh("1s", "fallback", "1700000000123"),
		}, {
			why: "no topic, but the header that a producer to the inbox would set", policy: Policy{DefaultTarget: "fallback"},
			rec:   kgo.Record{Headers: headers("delay-target", "orders")},
			delay: time.Second, topic: "delay.level.1s",
			headers: slices.Concat(headers("delay-target", "orders"), fresh("1s", "orders", "1700000000123")),
		}, {
			why: "clamped", policy: Policy{OverMax: OverMaxClamp}, rec: kgo.Record{Topic: "orders"},
			delay: 24 * time.Hour, topic: "delay.level.2h", headers: fresh("1d", "orders", "1700000000123"),
		}, {
			why: "the request is in the arguments: headers that say otherwise are replaced",
			rec: kgo.Record{Topic: "orders", Headers: headers("a", "1", "delay-level", "2h", "delay-target", "x",
				"delay-sent", "1", "delay-partition", "3", "delay-hop-due", "1", "a", "2")},
			delay: 1500 * time.Millisecond, topic: "delay.level.1s",
			headers: slices.Concat(headers("a", "1", "delay-partition", "3", "a", "2"), fresh("1500ms", "orders", "1700000000123")),
		}, {
			why: "a delivered record is a new message, and its id the previous one",
			rec: kgo.Record{Topic: "orders", Offset: 7, Partition: 3, Headers: headers("delay-id", "second", "delay-previous-id", "first",
				"delay-due", "1", "a", "1", "delay-accepted", "1", "delay-granted", "5s", "delay-requested", "5s")},
			delay: time.Second, topic: "delay.level.1s",
			headers: slices.Concat(headers("a", "1", "delay-id", "fresh", "delay-previous-id", "second"), added("1s", "orders", "1700000000123")),
		}, {
			why: "the caller's own id", rec: kgo.Record{Topic: "orders", Headers: headers("delay-id", "mine", "a", "1")}, id: "mine",
			delay: time.Second, topic: "delay.level.1s",
			headers: slices.Concat(headers("delay-id", "mine", "a", "1"), added("1s", "orders", "1700000000123")),
		}, {
			why: "an empty id is none", rec: kgo.Record{Topic: "orders", Headers: headers("delay-id", "mine", "delay-id", "")},
			delay: time.Second, topic: "delay.level.1s", headers: fresh("1s", "orders", "1700000000123"),
		}, {
			why: "for a handler no target is needed", noTarget: true,
			delay: time.Second, topic: "delay.level.1s",
			headers: headers("delay-id", "fresh", "delay-level", "1s", "delay-sent", "1700000000123"),
		}, {
			why: "for a handler the topic is the kind of work", noTarget: true, rec: kgo.Record{Topic: "invoice"},
			delay: time.Second, topic: "delay.level.1s", headers: fresh("1s", "invoice", "1700000000123"),
		}, {
			why: "for a handler a topic of the prefix's own names no kind", noTarget: true, rec: kgo.Record{Topic: "delay.level.5s"},
			delay: time.Second, topic: "delay.level.1s",
			headers: headers("delay-id", "fresh", "delay-level", "1s", "delay-sent", "1700000000123"),
		}, {
			why: "for a handler the kind is kept that a header names", noTarget: true,
			rec:   kgo.Record{Topic: "delay.level.5s", Headers: headers("delay-target", "invoice", "delay-id", "first", "delay-granted", "5s")},
			delay: time.Second, topic: "delay.level.1s",
			headers: slices.Concat(headers("delay-target", "invoice", "delay-id", "fresh", "delay-previous-id", "first"),
				added("1s", "invoice", "1700000000123")),
		}, {
			why: "for a handler without delay: due at once on the shortest level", noTarget: true, rec: kgo.Record{Topic: "invoice"},
			delay: 0, topic: "delay.level.1s",
			headers: slices.Concat(fresh("0s", "invoice", "1700000000123"), headers("delay-hop-due", "1700000000123",
				"delay-hop-accepted", "1700000000123", "delay-hop-granted", "0s", "delay-hop-id", "fresh")),
		}, {
			why:    "another ladder, rounded up, under another prefix",
			policy: Policy{Names: levels.Names{Prefix: "shop"}, Rounding: levels.Up}, rec: kgo.Record{Topic: "orders"},
			delay: 31 * time.Second, topic: "shop.level.1m", headers: fresh("31s", "orders", "1700000000123"),
		},
	} {
		t.Run(c.why, func(t *testing.T) {
			s, err := newSending(c.policy, c.noTarget)
			if err != nil {
				t.Fatal(err)
			}
			c.rec.Key = []byte{}
			before := slices.Clone(c.rec.Headers)
			made, err := s.prepare(&c.rec, wish{delay: c.delay}, now, "fresh")
			if err != nil {
				t.Fatal(err)
			}
			got := made.record
			if r := made.receipt; r.ID != cmp.Or(c.id, "fresh") || r.Topic != c.topic || c.delay > 0 != (r.Level.Number > 0) || r.Offset != -1 || !r.Due.IsZero() {
				t.Errorf("receipt %+v", r)
			}
			if got.Topic != c.topic || got.Partition != levels.ByKey || got.Key == nil || got.Value != nil || !got.Timestamp.IsZero() {
				t.Errorf("record %+v", got)
			}
			if diff := gocmp.Diff(c.headers, got.Headers); diff != "" {
				t.Errorf("headers (- want, + got):\n%s", diff)
			}
			if diff := gocmp.Diff(before, c.rec.Headers); diff != "" {
				t.Errorf("the caller's headers were changed:\n%s", diff)
			}
		})
	}
}

func TestProducerWithoutDelay(t *testing.T) {
	p := newTestProducer(t, ProducerConfig{})
	now := time.UnixMilli(1_700_000_000_123)
	rec := &kgo.Record{Topic: "orders", Headers: headers("a", "1", "delay-partition", "3", "delay-id", "first", "delay-granted", "5s")}
	got, err := p.Prepare(rec, 0, now)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := record.Last(got.Headers, "delay-id")
	if string(id) == "first" || len(id) < 20 {
		t.Errorf("id %q, want a new one that no other record has", id)
	}
	want := headers("a", "1", "delay-sent", "1700000000123", "delay-id", string(id), "delay-previous-id", "first",
		"delay-due", "1700000000123", "delay-accepted", "1700000000123", "delay-granted", "0s", "delay-requested", "0s")
	if diff := gocmp.Diff(want, got.Headers); diff != "" {
		t.Errorf("headers (- want, + got):\n%s", diff)
	}
	if got.Topic != "orders" || got.Partition != 3 {
		t.Errorf("written to %s/%d", got.Topic, got.Partition)
	}
}

func TestProducerRefuses(t *testing.T) {
	p := newTestProducer(t, ProducerConfig{Policy: Policy{DenyTargets: []string{"secret"}}})
	for _, c := range []struct {
		rec   kgo.Record
		delay time.Duration
		code  levels.Code
		says  string
	}{
		{kgo.Record{Topic: "orders"}, -time.Second, levels.BadLevel, "-1s"},
		{kgo.Record{Topic: "orders"}, 3 * time.Hour, levels.OverMax, "3h0m0s is above the last level, 2h; ask for at most that, or set Policy.OverMax to OverMaxClamp"},
		{kgo.Record{Topic: "orders"}, 72 * time.Hour, levels.OverMax, `send to "orders" with a delay of 72h0m0s: over-max: `},
		{kgo.Record{}, time.Second, levels.NoTarget, "Policy.DefaultTarget"},
		{kgo.Record{Topic: "a b"}, time.Second, levels.IllegalTarget, `"a b"`},
		{kgo.Record{Topic: "__consumer_offsets"}, 0, levels.ForbiddenTarget, "internal"},
		{kgo.Record{Topic: "delay.level.5s"}, time.Second, levels.ForbiddenTarget, "own topics"},
		{kgo.Record{Topic: "secret"}, time.Second, levels.ForbiddenTarget, "Policy.DenyTargets"},
		{kgo.Record{Topic: "orders", Headers: headers("delay-partition", "x")}, time.Second, levels.BadPartition, `"x"`},
	} {
		receipt, err := p.Send(t.Context(), &c.rec, c.delay)
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Code != c.code || !strings.Contains(err.Error(), c.says) ||
			!strings.HasPrefix(err.Error(), "send ") || strings.Contains(err.Error(), "--") || receipt != (Receipt{}) {
			t.Errorf("%q with a delay of %s: receipt %+v, error %v, want %s that says %s", c.rec.Topic, c.delay, receipt, err, c.code, c.says)
		}
	}
}

func TestProducerTakesNothingAfterTheEnd(t *testing.T) {
	p := newTestProducer(t, ProducerConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	called := 0
	rec := &kgo.Record{Topic: "orders"}
	p.SendAsync(ctx, rec, time.Second, func(got Receipt, err error) {
		called++
		if got.ID == "" || got.Topic != "delay.level.1s" || got.Partition != -1 || got.Offset != -1 || !errors.Is(err, context.Canceled) {
			t.Errorf("callback got %+v, %v", got, err)
		}
	})
	if called != 1 || p.writer.client.BufferedProduceRecords() != 0 {
		t.Errorf("callback called %d times, %d records taken", called, p.writer.client.BufferedProduceRecords())
	}
	p.SendAsync(ctx, rec, time.Second, nil) // a callback is not required
}

// TestPrepareIsWhatAProducerWrites: a zero policy has its defaults, a wrong one is said by
// its field, and what cannot be granted is refused.
func TestPrepareIsWhatAProducerWrites(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_123)
	rec := &kgo.Record{Topic: "orders", Key: []byte("k"), Headers: headers("delay-id", "mine")}
	got, err := Policy{}.Prepare(rec, 45*time.Second, now)
	if err != nil {
		t.Fatal(err)
	}
	want, err := newTestProducer(t, ProducerConfig{}).Prepare(rec, 45*time.Second, now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want.Headers, got.Headers); diff != "" || got.Topic != "delay.level.1m" || want.Topic != got.Topic {
		t.Errorf("on %s and %s; headers (- producer, + policy):\n%s", want.Topic, got.Topic, diff)
	}
	for _, c := range []struct {
		policy Policy
		delay  time.Duration
		says   string
	}{
		{Policy{}, 72 * time.Hour, `prepare a record for "orders" with a delay of 72h0m0s: over-max: `},
		{Policy{Rounding: 9}, time.Second, "Policy.Rounding: "},
	} {
		if rec, err := c.policy.Prepare(rec, c.delay, now); err == nil || !strings.Contains(err.Error(), c.says) || rec != nil {
			t.Errorf("record %v, error %v, want one that says %q", rec, err, c.says)
		}
	}
}
