package router

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/deliver"
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
		{"--default-target", ProducerConfig{Policy: Policy{DefaultTarget: "a b"}}, []kgo.Opt{brokers}},
		{"--prefix", ProducerConfig{Policy: Policy{Names: levels.Names{Prefix: "a b"}}}, []kgo.Opt{brokers}},
		{"seed brokers", ProducerConfig{}, nil},
		{"kgo.DisableIdempotentWrite", ProducerConfig{}, []kgo.Opt{brokers, kgo.DisableIdempotentWrite()}},
	} {
		p, err := NewProducer(c.cfg, c.opts...)
		if err == nil {
			p.client.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("error %v, want one that names %s", err, c.says)
		}
	}
}

func TestNewProducerInsistsOnAcknowledgements(t *testing.T) {
	p := newTestProducer(t, ProducerConfig{}, kgo.RequiredAcks(kgo.LeaderAck()))
	if got := p.client.OptValue(kgo.RequiredAcks); got != kgo.AllISRAcks() {
		t.Errorf("acks %v, want all replicas in sync", got)
	}
}

func TestProducerPrepares(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_123)
	added := func(level, target, sent string) []kgo.RecordHeader {
		return headers("delay-level", level, "delay-target", target, "delay-sent", sent)
	}
	for _, c := range []struct {
		why     string
		policy  Policy
		rec     kgo.Record
		delay   time.Duration
		topic   string
		headers []kgo.RecordHeader
	}{
		{
			why: "the topic is the target, and the delay is told as it was asked for", rec: kgo.Record{Topic: "orders"},
			delay: 45 * time.Second, topic: "delay.level.1m", headers: added("45s", "orders", "1700000000123"),
		}, {
			why: "the record's own time is when it was sent", rec: kgo.Record{Topic: "orders", Timestamp: time.UnixMilli(42)},
			delay: time.Hour, topic: "delay.level.1h", headers: added("1h", "orders", "42"),
		}, {
			why: "no topic: the default target", policy: Policy{DefaultTarget: "fallback"},
			delay: time.Second, topic: "delay.level.1s", headers: added("1s", "fallback", "1700000000123"),
		}, {
			why: "no topic, but the header that a producer to the inbox would set", policy: Policy{DefaultTarget: "fallback"},
			rec:   kgo.Record{Headers: headers("delay-target", "orders")},
			delay: time.Second, topic: "delay.level.1s",
			headers: slices.Concat(headers("delay-target", "orders"), added("1s", "orders", "1700000000123")),
		}, {
			why: "clamped", rec: kgo.Record{Topic: "orders"},
			delay: 24 * time.Hour, topic: "delay.level.2h", headers: added("1d", "orders", "1700000000123"),
		}, {
			why: "the request is in the arguments: headers that say otherwise are replaced",
			rec: kgo.Record{Topic: "orders", Headers: headers("a", "1", "delay-level", "2h", "delay-target", "x",
				"delay-sent", "1", "delay-partition", "3", "delay-hop-due", "1", "a", "2")},
			delay: 1500 * time.Millisecond, topic: "delay.level.1s",
			headers: slices.Concat(headers("a", "1", "delay-partition", "3", "a", "2"), added("1500ms", "orders", "1700000000123")),
		}, {
			why: "a delivered record keeps what shows that it was",
			rec: kgo.Record{Topic: "orders", Offset: 7, Partition: 3, Headers: headers("delay-id", "first", "delay-due", "1",
				"delay-accepted", "1", "delay-granted", "5s", "delay-requested", "5s")},
			delay: time.Second, topic: "delay.level.1s",
			headers: slices.Concat(headers("delay-id", "first", "delay-due", "1", "delay-accepted", "1", "delay-granted", "5s",
				"delay-requested", "5s"), added("1s", "orders", "1700000000123")),
		}, {
			why:    "another ladder, rounded up, under another prefix",
			policy: Policy{Names: levels.Names{Prefix: "shop"}, Rounding: levels.Up}, rec: kgo.Record{Topic: "orders"},
			delay: 31 * time.Second, topic: "shop.level.1m", headers: added("31s", "orders", "1700000000123"),
		},
	} {
		t.Run(c.why, func(t *testing.T) {
			p := newTestProducer(t, ProducerConfig{Policy: c.policy})
			c.rec.Key = []byte{}
			before := slices.Clone(c.rec.Headers)
			got, err := p.prepare(&c.rec, c.delay, now)
			if err != nil {
				t.Fatal(err)
			}
			if got.Topic != c.topic || got.Partition != deliver.ByKey || got.Key == nil || got.Value != nil || !got.Timestamp.IsZero() {
				t.Errorf("record %+v", got)
			}
			if diff := cmp.Diff(c.headers, got.Headers); diff != "" {
				t.Errorf("headers (- want, + got):\n%s", diff)
			}
			if diff := cmp.Diff(before, c.rec.Headers); diff != "" {
				t.Errorf("the caller's headers were changed:\n%s", diff)
			}
		})
	}
}

func TestProducerWithoutDelay(t *testing.T) {
	p := newTestProducer(t, ProducerConfig{})
	now := time.UnixMilli(1_700_000_000_123)
	rec := &kgo.Record{Topic: "orders", Headers: headers("a", "1", "delay-partition", "3", "delay-id", "first", "delay-granted", "5s")}
	got, err := p.prepare(rec, 0, now)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := deliver.Last(got.Headers, "delay-id")
	if string(id) == "first" || len(id) < 20 {
		t.Errorf("id %q, want a new one that no other record has", id)
	}
	want := headers("a", "1", "delay-sent", "1700000000123", "delay-id", string(id), "delay-previous-id", "first",
		"delay-due", "1700000000123", "delay-accepted", "1700000000123", "delay-granted", "0s", "delay-requested", "0s")
	if diff := cmp.Diff(want, got.Headers); diff != "" {
		t.Errorf("headers (- want, + got):\n%s", diff)
	}
	if got.Topic != "orders" || got.Partition != 3 {
		t.Errorf("written to %s/%d", got.Topic, got.Partition)
	}
}

func TestProducerRefuses(t *testing.T) {
	p := newTestProducer(t, ProducerConfig{Policy: Policy{OverMax: OverMaxReject, DenyTargets: []string{"secret"}}})
	for _, c := range []struct {
		rec   kgo.Record
		delay time.Duration
		code  levels.Code
		says  string
	}{
		{kgo.Record{Topic: "orders"}, -time.Second, levels.BadLevel, "-1s"},
		{kgo.Record{Topic: "orders"}, 3 * time.Hour, levels.OverMax, `"3h"`},
		{kgo.Record{}, time.Second, levels.NoTarget, "target"},
		{kgo.Record{Topic: "a b"}, time.Second, levels.IllegalTarget, `"a b"`},
		{kgo.Record{Topic: "__consumer_offsets"}, 0, levels.ForbiddenTarget, "internal"},
		{kgo.Record{Topic: "delay.level.5s"}, time.Second, levels.ForbiddenTarget, "own topics"},
		{kgo.Record{Topic: "secret"}, time.Second, levels.ForbiddenTarget, "--deny-target"},
		{kgo.Record{Topic: "orders", Headers: headers("delay-partition", "x")}, time.Second, levels.BadPartition, `"x"`},
	} {
		err := p.Send(t.Context(), &c.rec, c.delay)
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Code != c.code || !strings.Contains(err.Error(), c.says) ||
			!strings.HasPrefix(err.Error(), "send to ") {
			t.Errorf("%q after %s: error %v, want %s that says %s", c.rec.Topic, c.delay, err, c.code, c.says)
		}
	}
}

func TestProducerTakesNothingAfterTheEnd(t *testing.T) {
	p := newTestProducer(t, ProducerConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	called := 0
	rec := &kgo.Record{Topic: "orders"}
	p.SendAsync(ctx, rec, time.Second, func(got *kgo.Record, err error) {
		called++
		if got != rec || !errors.Is(err, context.Canceled) {
			t.Errorf("callback got %+v, %v", got, err)
		}
	})
	if called != 1 || p.client.BufferedProduceRecords() != 0 {
		t.Errorf("callback called %d times, %d records taken", called, p.client.BufferedProduceRecords())
	}
	p.SendAsync(ctx, rec, time.Second, nil) // a callback is not required
}
