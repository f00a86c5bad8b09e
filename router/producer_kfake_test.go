//go:build synctests

package router

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// partitions is how many each topic of these tests has.
const partitions = 4

// rig is a broker on virtual time and a producer to it.
type rig struct {
	*fakekafka.Env
	t        *testing.T
	producer *Producer
}

// onVirtualTime runs a test with a broker that has the topics orders,
// delay.level.1s, delay.level.10s and delay.dead.
func onVirtualTime(t *testing.T, cfg ProducerConfig, test func(*testing.T, *rig), opts ...kgo.Opt) {
	t.Helper()
	cluster := fakekafka.Config{Partitions: partitions, Topics: []string{"orders", "delay.level.1s", "delay.level.10s", "delay.dead"}}
	fakekafka.Run(t, cluster, func(t *testing.T, env *fakekafka.Env) {
		producer, err := NewProducer(cfg, append(env.Opts(), opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		defer producer.Close(t.Context())
		test(t, &rig{env, t, producer})
	})
}

// read is the first n records of a topic.
func (r *rig) read(topic string, n int) []*kgo.Record {
	r.t.Helper()
	consumer, err := kgo.NewClient(append(r.Opts(), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		r.t.Fatal(err)
	}
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	var records []*kgo.Record
	for len(records) < n {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			r.t.Fatalf("read %s: %v after %d of %d records", topic, err, len(records), n)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// count is how many records a topic has.
func (r *rig) count(topic string) int {
	n := 0
	for _, p := range r.Cluster.PartitionInfos(topic) {
		n += int(p.HighWatermark)
	}
	return n
}

// refuseWrites makes the broker answer every write to a topic with an error that
// could heal, until the handle is removed.
func (r *rig) refuseWrites(topic string) *kfake.FaultHandle {
	return r.Cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.NotEnoughReplicas, Count: -1,
	})
}

func TestProducerWritesToTheLevel(t *testing.T) {
	onVirtualTime(t, ProducerConfig{}, func(t *testing.T, r *rig) {
		for _, key := range [][]byte{nil, {}, []byte("k")} {
			rec := &kgo.Record{Topic: "orders", Key: key, Value: nil, Headers: []kgo.RecordHeader{{Key: "null"}, {Key: "empty", Value: []byte{}}}}
			if _, err := r.producer.Send(t.Context(), rec, 9*time.Second); err != nil {
				t.Fatal(err)
			}
			if rec.Topic != "orders" || len(rec.Headers) != 2 {
				t.Errorf("the caller's record was changed to %+v", rec)
			}
		}
		seen := map[string]bool{}
		for _, rec := range r.read("delay.level.10s", 3) {
			seen[fmt.Sprintf("%#v", rec.Key)] = true
			sent := fmt.Sprint(rec.Timestamp.UnixMilli())
			id, _ := record.Last(rec.Headers, "delay-id")
			want := append([]kgo.RecordHeader{{Key: "null"}, {Key: "empty", Value: []byte{}}},
				headers("delay-id", string(id), "delay-level", "9s", "delay-target", "orders", "delay-sent", sent)...)
			if diff := cmp.Diff(want, rec.Headers); diff != "" || rec.Value != nil {
				t.Errorf("value %v, headers (- want, + got):\n%s", rec.Value, diff)
			}
		}
		if len(seen) != 3 {
			t.Errorf("keys %v, want null, empty and k", seen)
		}
	})
}

func TestProducerWritesToTheTarget(t *testing.T) {
	onVirtualTime(t, ProducerConfig{}, func(t *testing.T, r *rig) {
		for i := range partitions {
			rec := &kgo.Record{Topic: "orders", Key: []byte("same"), Headers: headers("delay-partition", fmt.Sprint(i))}
			if _, err := r.producer.Send(t.Context(), rec, 0); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range r.Cluster.PartitionInfos("orders") {
			if p.HighWatermark != 1 {
				t.Errorf("partition %d has %d records, want the one that asked for it", p.Partition, p.HighWatermark)
			}
		}
		_, err := r.producer.Send(t.Context(), &kgo.Record{Topic: "orders", Headers: headers("delay-partition", "17")}, 0)
		if err == nil || !strings.Contains(err.Error(), "17") {
			t.Errorf("partition 17 of %d: error %v", partitions, err)
		}
	})
}

// TestProducerKeepsOrder sends many records at once, under two keys.
func TestProducerKeepsOrder(t *testing.T) {
	const n = 2000
	onVirtualTime(t, ProducerConfig{}, func(t *testing.T, r *rig) {
		results := make(chan error, n)
		for i := range n {
			rec := &kgo.Record{Topic: "orders", Key: []byte{'k', byte(i % 2)}, Value: []byte(fmt.Sprint(i))}
			r.producer.SendAsync(t.Context(), rec, time.Second, func(written Receipt, err error) {
				if err == nil && written.Topic != "delay.level.1s" {
					err = fmt.Errorf("written to %s", written.Topic)
				}
				results <- err
			})
		}
		for range n {
			if err := <-results; err != nil {
				t.Fatal(err)
			}
		}
		next := map[string]int{"k\x00": 0, "k\x01": 1}
		for _, rec := range r.read("delay.level.1s", n) {
			key := string(rec.Key)
			if want := fmt.Sprint(next[key]); string(rec.Value) != want {
				t.Fatalf("key %q: got %s, want %s", key, rec.Value, want)
			}
			next[key] += 2
		}
	})
}

// TestProducerTriesAgainSoon: franz-go's defaults make five seconds of one answer
// that could heal.
func TestProducerTriesAgainSoon(t *testing.T) {
	onVirtualTime(t, ProducerConfig{}, func(t *testing.T, r *rig) {
		if _, err := r.producer.Send(t.Context(), &kgo.Record{Topic: "orders"}, time.Second); err != nil {
			t.Fatal(err)
		}
		r.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "delay.level.1s", Err: kerr.NotLeaderForPartition})
		start := time.Now()
		if _, err := r.producer.Send(t.Context(), &kgo.Record{Topic: "orders"}, time.Second); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestProducerNamesTheMissingLevel(t *testing.T) {
	onVirtualTime(t, ProducerConfig{}, func(t *testing.T, r *rig) {
		_, err := r.producer.Send(t.Context(), &kgo.Record{Topic: "orders"}, time.Hour)
		if !errors.Is(err, kerr.UnknownTopicOrPartition) || !strings.Contains(err.Error(), "delay.level.1h") ||
			!strings.Contains(err.Error(), "delayd admin provision") {
			t.Errorf("level: error %v", err)
		}
		_, err = r.producer.Send(t.Context(), &kgo.Record{Topic: "payments"}, 0)
		if !errors.Is(err, kerr.UnknownTopicOrPartition) || !strings.Contains(err.Error(), "create the topic") ||
			strings.Contains(err.Error(), "provision") {
			t.Errorf("target: error %v", err)
		}
	})
}

// TestProducerRecreatedTopic: somebody deletes the topic of a level and makes it again. The same
// producer writes to the new one, and only what it sent meanwhile fails.
func TestProducerRecreatedTopic(t *testing.T) {
	onVirtualTime(t, ProducerConfig{}, func(t *testing.T, r *rig) {
		send := func() error {
			_, err := r.producer.Send(t.Context(), &kgo.Record{Topic: "orders"}, time.Second)
			return err
		}
		for range 2 { // again and again
			if err := send(); err != nil {
				t.Fatal(err)
			}
			if _, err := kadm.NewClient(r.producer.writer.client).DeleteTopics(t.Context(), "delay.level.1s"); err != nil {
				t.Fatal(err)
			}
			if err := r.Cluster.CreateTopic("delay.level.1s", partitions, nil); err != nil {
				t.Fatal(err)
			}
			failed := 0
			for send() != nil {
				if failed++; failed == 10 {
					t.Fatal("nothing can be written to the new topic")
				}
				time.Sleep(time.Second)
			}
			for range 20 {
				if err := send(); err != nil {
					t.Error(err)
				}
			}
			if n := r.count("delay.level.1s"); n != 21 {
				t.Errorf("%d records on the new topic, want 21", n)
			}
		}
	})
}

func TestProducerContextEndsTheWaitAlone(t *testing.T) {
	onVirtualTime(t, ProducerConfig{}, func(t *testing.T, r *rig) {
		fault := r.refuseWrites("delay.level.1s")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		_, err := r.producer.Send(ctx, &kgo.Record{Topic: "orders"}, time.Second)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "may still be written") {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("waited %s, want 5s", took)
		}
		if _, err := r.producer.Send(t.Context(), &kgo.Record{Topic: "orders"}, 10*time.Second); err != nil {
			t.Errorf("another level has nothing to do with it: %v", err)
		}
		fault.Remove()
		if err := r.producer.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if n := r.count("delay.level.1s"); n != 1 {
			t.Errorf("%d records written, want the one that was taken", n)
		}
	})
}

func TestProducerCloseTellsWhatIsLeft(t *testing.T) {
	onVirtualTime(t, ProducerConfig{}, func(t *testing.T, r *rig) {
		r.refuseWrites("delay.level.1s")
		failed := make(chan error, 1)
		r.producer.SendAsync(t.Context(), &kgo.Record{Topic: "orders"}, time.Second, func(_ Receipt, err error) { failed <- err })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := r.producer.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 record") {
			t.Errorf("close: error %v", err)
		}
		if err := <-failed; !errors.Is(err, kgo.ErrClientClosed) {
			t.Errorf("callback: error %v", err)
		}
		if _, err := r.producer.Send(t.Context(), &kgo.Record{Topic: "orders"}, time.Second); !errors.Is(err, kgo.ErrClientClosed) {
			t.Errorf("after close: error %v", err)
		}
	})
}

func TestProducerContextEndsTheWaitForRoom(t *testing.T) {
	const most = 2
	onVirtualTime(t, ProducerConfig{}, func(t *testing.T, r *rig) {
		fault := r.refuseWrites("delay.level.1s")
		results := make(chan error, most)
		for range most {
			r.producer.SendAsync(t.Context(), &kgo.Record{Topic: "orders"}, time.Second, func(_ Receipt, err error) { results <- err })
		}
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		start := time.Now()
		var err error
		r.producer.SendAsync(ctx, &kgo.Record{Topic: "orders"}, 10*time.Second, func(_ Receipt, e error) { err = e })
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "kgo.MaxBufferedRecords") {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != 7*time.Second {
			t.Errorf("waited %s, want 7s", took)
		}
		fault.Remove()
		for range most {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if _, err := r.producer.Send(t.Context(), &kgo.Record{Topic: "orders"}, 10*time.Second); err != nil {
			t.Errorf("with room again: %v", err)
		}
	}, kgo.MaxBufferedRecords(most))
}

func TestProducerWarnsOfClamping(t *testing.T) {
	var log bytes.Buffer
	cfg := ProducerConfig{Policy: Policy{OverMax: OverMaxClamp}, Log: zerolog.New(&log).Level(zerolog.WarnLevel)}
	var err error
	if cfg.Ladder, err = levels.Parse("1s 10s"); err != nil {
		t.Fatal(err)
	}
	onVirtualTime(t, cfg, func(t *testing.T, r *rig) {
		for range 5 {
			if _, err := r.producer.Send(t.Context(), &kgo.Record{Topic: "orders"}, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
	})
	if n := strings.Count(log.String(), `"asked":"1h"`); n != 1 || !strings.Contains(log.String(), `"granted":"10s"`) {
		t.Errorf("%d warnings, want one for five clamps within a minute:\n%s", n, log.String())
	}
}

func TestProducerGivesReceipts(t *testing.T) {
	onVirtualTime(t, ProducerConfig{}, func(t *testing.T, r *rig) {
		tenth, _ := levels.Default().Number(3)
		for i, c := range []struct {
			delay time.Duration
			level levels.Level
			topic string
			wait  time.Duration
		}{
			{9 * time.Second, tenth, "delay.level.10s", 10*time.Second + time.Millisecond},
			{0, levels.Level{}, "orders", 0},
		} {
			rec := &kgo.Record{Topic: "orders", Key: []byte("k")}
			if i > 0 {
				rec.Headers = headers("delay-id", "mine")
			}
			got, err := r.producer.Send(t.Context(), rec, c.delay)
			if err != nil {
				t.Fatal(err)
			}
			read := r.read(c.topic, 1)[0]
			id, _ := record.Last(read.Headers, "delay-id")
			want := Receipt{
				ID: string(id), Level: c.level, Due: time.UnixMilli(time.Now().UnixMilli()).Add(c.wait),
				Topic: c.topic, Partition: read.Partition, Offset: read.Offset,
			}
			if late := want.Due.Sub(got.Due); late < 0 || late > time.Second {
				t.Errorf("due at %v, want about %v", got.Due, want.Due)
			}
			want.Due = got.Due
			if got != want || got.ID == "" || i > 0 && got.ID != "mine" {
				t.Errorf("receipt %+v, want %+v", got, want)
			}
		}
	})
}

// refused is what dialing a broker that is away ends with.
const refused = syscall.ECONNREFUSED

// TestProducerNamesTheClientsError: a wait that ends says what failed meanwhile.
func TestProducerNamesTheClientsError(t *testing.T) {
	var away atomic.Bool
	var network *kfake.VirtualNetwork
	dial := kgo.Dialer(func(ctx context.Context, proto, addr string) (net.Conn, error) {
		if away.Load() {
			return nil, &net.OpError{Op: "dial", Net: proto, Err: refused}
		}
		return network.DialContext(ctx, proto, addr)
	})
	onVirtualTime(t, ProducerConfig{CheckTarget: true}, func(t *testing.T, r *rig) {
		network = r.Network
		away.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := r.producer.Send(ctx, &kgo.Record{Topic: "orders"}, time.Second)
		if !errors.Is(err, refused) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("look up: error %v", err)
		}
		away.Store(false)
		if _, err := r.producer.Send(t.Context(), &kgo.Record{Topic: "orders"}, time.Second); err != nil {
			t.Fatal(err)
		}
		if err := r.producer.writer.faults.latest(); err != nil {
			t.Errorf("what has healed is still said: %v", err)
		}
	}, dial)

	onVirtualTime(t, ProducerConfig{}, func(t *testing.T, r *rig) {
		network = r.Network
		away.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		receipt, err := r.producer.Send(ctx, &kgo.Record{Topic: "orders"}, time.Second)
		if !errors.Is(err, refused) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "may still be written") ||
			receipt.ID == "" || receipt.Offset != -1 {
			t.Errorf("receipt %+v, error %v", receipt, err)
		}
		away.Store(false)
	}, dial)
}

// TestProducerIsBounded: without a deadline neither Send nor Close waits for ever.
func TestProducerIsBounded(t *testing.T) {
	dial := kgo.Dialer(func(_ context.Context, proto, _ string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: proto, Err: refused}
	})
	for name, c := range map[string]struct {
		opts []kgo.Opt
		most time.Duration
	}{
		"by default":    {[]kgo.Opt{dial}, deliveryTimeout + answerGrace},
		"as opts would": {[]kgo.Opt{dial, kgo.RecordDeliveryTimeout(7 * time.Second)}, 7*time.Second + answerGrace},
	} {
		onVirtualTime(t, ProducerConfig{}, func(t *testing.T, r *rig) {
			start := time.Now()
			_, err := r.producer.Send(context.Background(), &kgo.Record{Topic: "orders"}, time.Second)
			if took := time.Since(start); took > c.most || !errors.Is(err, refused) {
				t.Errorf("%s: Send took %v, error %v", name, took, err)
			}
			r.producer.SendAsync(context.Background(), &kgo.Record{Topic: "orders"}, time.Second, nil)
			start = time.Now()
			r.producer.Close(context.Background())
			if took := time.Since(start); took > c.most {
				t.Errorf("%s: Close took %v", name, took)
			}
		}, c.opts...)
	}
	// The client never gives up a record that was sent and not answered.
	onVirtualTime(t, ProducerConfig{}, func(t *testing.T, r *rig) {
		if _, err := r.producer.Send(t.Context(), &kgo.Record{Topic: "orders"}, time.Second); err != nil {
			t.Fatal(err)
		}
		r.Cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			r.Cluster.KeepControl()
			return nil, errors.New("the broker went away"), true
		})
		start := time.Now()
		_, err := r.producer.Send(context.Background(), &kgo.Record{Topic: "orders"}, time.Second)
		if took := time.Since(start); took > deliveryTimeout+answerGrace || err == nil {
			t.Errorf("without an answer: Send took %v, error %v", took, err)
		}
		start = time.Now()
		r.producer.Close(context.Background())
		if took := time.Since(start); took > deliveryTimeout+answerGrace {
			t.Errorf("without an answer: Close took %v", took)
		}
	})
}

func TestProducerChecksTargets(t *testing.T) {
	onVirtualTime(t, ProducerConfig{CheckTarget: true}, func(t *testing.T, r *rig) {
		asked := 0
		r.Cluster.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
			r.Cluster.KeepControl()
			for _, topic := range req.(*kmsg.MetadataRequest).Topics {
				if topic.Topic != nil && *topic.Topic == "orders" {
					asked++
				}
			}
			return nil, nil, false
		})
		_, err := r.producer.Send(t.Context(), &kgo.Record{Topic: "order"}, time.Second)
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Code != levels.UnknownTopic || !strings.Contains(err.Error(), `"order" does not exist; create the topic`) {
			t.Errorf("missing target: error %v", err)
		}
		if n := r.count("delay.level.1s"); n != 0 {
			t.Errorf("%d records were written for a target that does not exist", n)
		}
		for range 3 {
			if _, err := r.producer.Send(t.Context(), &kgo.Record{Topic: "orders"}, time.Second); err != nil {
				t.Error(err)
			}
		}
		if asked != 1 {
			t.Errorf("the target was looked up %d times, want once", asked)
		}
		if err := r.Cluster.CreateTopic("order", 1, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := r.producer.Send(t.Context(), &kgo.Record{Topic: "order"}, time.Second); err != nil {
			t.Errorf("the target was created since: %v", err)
		}
	})
}
