//go:build synctests

package endtoend

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// TestProducerOwns runs the delay inside the program that produces: its
// producer writes straight to the level topics, and it forwards them itself.
func TestProducerOwns(t *testing.T) {
	virtual(t, "5s 1m", []string{"orders"}, func(w *world) {
		got := w.watch("orders")
		cfg := forwarder.DefaultConfig()
		cfg.Ladder, cfg.PurgeAfter = w.Ladder, forwarder.PurgeOff
		f, err := forwarder.New(cfg, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		stop := w.run(f.Run)
		defer stop()
		p, err := router.NewProducer(router.ProducerConfig{Policy: router.Policy{Ladder: w.Ladder}}, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close(context.Background())
		for i, delay := range []time.Duration{0, 5 * time.Second, 50 * time.Second} {
			rec := &kgo.Record{Topic: "orders", Key: []byte(strconv.Itoa(i)), Value: []byte(strconv.Itoa(i + 1))}
			if _, err := p.Send(context.Background(), rec, delay); err != nil {
				t.Fatal(err)
			}
		}
		all := got.wait(3, time.Hour)
		once(t, all, 3)
		onTime(t, all)
		for i, want := range []string{"0s", "5s", "1m"} {
			if g := all[i].header(levels.HeaderGranted); g != want {
				t.Errorf("record %d: granted %q, want %q", i+1, g, want)
			}
		}
	})
}

// TestConsumerOwns hands due records to a Go handler: committed after nil, retried in
// place after an error, and a dead letter in the end.
func TestConsumerOwns(t *testing.T) {
	virtual(t, "5s 1m", nil, func(w *world) {
		mine := levels.Names{Prefix: "mine"}
		if _, err := admin.Ensure(context.Background(), w.Client, admin.Spec{Ladder: w.Ladder, Names: mine, Partitions: 1}); err != nil {
			t.Fatal(err)
		}
		type call struct {
			value string
			at    time.Time
		}
		calls := make(chan call, 100)
		var healed atomic.Bool
		cfg := forwarder.DefaultConfig()
		cfg.Ladder, cfg.Names, cfg.PurgeAfter = w.Ladder, mine, forwarder.PurgeOff
		cfg.RetryInPlace = true
		cfg.Retry = func(attempt int, _ error) (time.Duration, bool) { return 100 * time.Millisecond, attempt < 3 }
		cfg.Handler = func(_ context.Context, rec *kgo.Record) error {
			calls <- call{string(rec.Value), time.Now()}
			if string(rec.Value) == "poison" || string(rec.Value) == "once" && !healed.Swap(true) {
				return errors.New("no")
			}
			return nil
		}
		dead := w.watch(mine.Dead())
		start := func() (stop func()) {
			f, err := forwarder.New(cfg, w.Opts()...)
			if err != nil {
				t.Fatal(err)
			}
			return w.run(f.Run)
		}
		stop := start()
		sent := time.Now()
		topic := mine.Level(levels.Level{Delay: 5 * time.Second})
		for _, v := range []string{"good", "once", "poison", "last"} {
			w.send(&kgo.Record{Topic: topic, Partition: -1, Key: []byte("k"), Value: []byte(v)})
		}
		for _, want := range []string{"good", "once", "once", "poison", "poison", "poison", "last"} {
			c := <-calls
			if c.value != want {
				t.Errorf("handler got %q, want %q", c.value, want)
			}
			if waited := c.at.Sub(sent); waited < 5*time.Second {
				t.Errorf("%s: early, after %v", c.value, waited)
			}
		}
		died := dead.wait(1, time.Minute)
		if len(died) != 1 || string(died[0].Value) != "poison" || died[0].header(levels.HeaderError) != string(levels.GaveUp) ||
			died[0].header(levels.HeaderAttempts) != "3" {
			t.Errorf("dead letters: %v", died)
		}
		stop()
		stop = start() // all of it was committed
		time.Sleep(time.Minute)
		stop()
		if len(calls) > 0 {
			t.Errorf("%q was handed out again after a restart", (<-calls).value)
		}
	})
}

// TestSameInstance starts two processes with one instance id: the first ends with an error.
func TestSameInstance(t *testing.T) {
	virtual(t, "5s 1m", []string{"orders"}, func(w *world) {
		cfg := forwarder.DefaultConfig()
		cfg.Ladder, cfg.Instance, cfg.PurgeAfter = w.Ladder, "one", forwarder.PurgeOff
		first, err := forwarder.New(cfg, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- first.Run(context.Background()) }()
		time.Sleep(10 * time.Second)
		if err := first.Ready(); err != nil {
			t.Error(err)
		}
		second, err := forwarder.New(cfg, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		stop := w.run(second.Run)
		defer stop()
		if err := <-ended; !errors.Is(err, forwarder.ErrFenced) {
			t.Errorf("the first process ended with %v, want %v", err, forwarder.ErrFenced)
		}
		got := w.watch("orders")
		w.send(w.direct("5s", "orders", "k", "1"))
		onTime(t, got.wait(1, time.Minute))
	})
}

// TestTransactions writes through a producer's transactions: what was aborted
// never arrives, and nothing stays pending.
func TestTransactions(t *testing.T) {
	virtual(t, "5s 1m", []string{"orders"}, func(w *world) {
		s := w.serve("one")
		defer s.stop()
		got := w.watch("orders")
		cl := w.newClient(kgo.TransactionalID("shop"))
		defer cl.Close()
		ctx := context.Background()
		for i := range 10 {
			if err := cl.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			for _, rec := range []*kgo.Record{
				w.request("5s", "orders", "inbox", strconv.Itoa(i+1)), w.direct("5s", "orders", "direct", strconv.Itoa(i+1)),
			} {
				if err := cl.ProduceSync(ctx, rec).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			if err := cl.EndTransaction(ctx, kgo.TransactionEndTry(i%2 == 0)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		all := got.now()
		once(t, all, 10)
		onTime(t, all)
		for _, a := range all {
			if n, _ := strconv.Atoi(string(a.Value)); n%2 == 0 {
				t.Errorf("%s/%s was aborted, and arrived", a.Key, a.Value)
			}
		}
		status, err := admin.Inspect(ctx, w.Client, admin.Spec{Ladder: w.Ladder, Names: w.Names}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if n := status.Levels[0].Pending + status.Inbox.Pending; n != 0 {
			t.Errorf("%d records are pending when all have arrived", n)
		}
	})
}

// TestBrokerFaults has every kind of request fail now and then.
func TestBrokerFaults(t *testing.T) {
	virtual(t, "1s 5s", []string{"orders"}, func(w *world) {
		s := w.serve("one")
		defer s.stop()
		got := w.watch("orders")
		faults := commonFaults()
		const records = 2000
		for i := range records {
			if i%20 == 10 {
				w.Cluster.Fault(faults[i/20%len(faults)])
			}
			w.send(w.request("1s", "orders", strconv.Itoa(i%7), strconv.Itoa(i+1)))
			time.Sleep(100 * time.Millisecond)
		}
		all := got.wait(records, time.Minute)
		inOrder(t, all)
		once(t, all, records)
		for _, a := range all {
			if a.late() < 0 {
				t.Errorf("%s: early by %v", a.Value, -a.late())
			}
			if a.late() > 5*time.Second {
				t.Errorf("%s: %v late", a.Value, a.late())
			}
		}
	})
}

// commonFaults are answers that a broker gives in passing.
func commonFaults() []kfake.Fault {
	var faults []kfake.Fault
	for key, errs := range map[kmsg.Key][]*kerr.Error{
		kmsg.Produce: {
			kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend,
		},
		kmsg.OffsetCommit: {kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.RequestTimedOut},
		kmsg.Heartbeat:    {kerr.CoordinatorNotAvailable},
		kmsg.Fetch:        {kerr.NotLeaderForPartition},
	} {
		for _, err := range errs {
			faults = append(faults, kfake.Fault{Keys: []kmsg.Key{key}, Err: err, Count: 1})
		}
	}
	return faults
}

// TestConsumerOwnsWithProducer sends to a handler with a producer that needs no target: it
// gets the record at once without delay, also past records that wait on the same topic,
// and can delay again what it got.
func TestConsumerOwnsWithProducer(t *testing.T) {
	virtual(t, "5s 1m", nil, func(w *world) {
		mine := levels.Names{Prefix: "mine"}
		if _, err := admin.Ensure(context.Background(), w.Client, admin.Spec{Ladder: w.Ladder, Names: mine, Partitions: 1}); err != nil {
			t.Fatal(err)
		}
		p, err := router.NewProducer(router.ProducerConfig{Policy: router.Policy{Ladder: w.Ladder, Names: mine}, NoTarget: true}, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close(context.Background())

		type call struct {
			value, id, previous string
			at                  time.Time
		}
		calls := make(chan call, 100)
		cfg := forwarder.DefaultConfig()
		cfg.Ladder, cfg.Names, cfg.PurgeAfter = w.Ladder, mine, forwarder.PurgeOff
		cfg.Handler = func(ctx context.Context, rec *kgo.Record) error {
			id, _ := record.Last(rec.Headers, levels.HeaderID)
			previous, again := record.Last(rec.Headers, levels.HeaderPreviousID)
			calls <- call{string(rec.Value), string(id), string(previous), time.Now()}
			if string(rec.Value) == "again" && !again {
				_, err := p.Send(ctx, rec, 5*time.Second)
				return err
			}
			return nil
		}
		f, err := forwarder.New(cfg, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		defer w.run(f.Run)()
		time.Sleep(10 * time.Second) // joined
		start := time.Now()
		ids := map[string]string{}
		for _, send := range []struct {
			value string
			delay time.Duration
		}{{"waits", 5 * time.Second}, {"now", 0}, {"again", 0}} {
			receipt, err := p.Send(context.Background(), &kgo.Record{Key: []byte("k " + send.value), Value: []byte(send.value)}, send.delay)
			if err != nil {
				t.Fatal(err)
			}
			ids[send.value] = receipt.ID
		}
		for _, want := range []struct {
			value string
			after time.Duration
		}{{"now", 0}, {"again", 0}, {"waits", 5 * time.Second}, {"again", 5 * time.Second}} {
			got := <-calls
			took := got.at.Sub(start)
			if got.value != want.value || took < want.after || took > want.after+time.Second {
				t.Errorf("the handler got %q after %v, want %q after %v", got.value, took, want.value, want.after)
			}
			if got.previous == "" && got.id != ids[got.value] || got.previous != "" && got.previous != ids[got.value] {
				t.Errorf("%q has id %q and previous id %q, want that of the receipt: %q", got.value, got.id, got.previous, ids[got.value])
			}
		}
	})
}

// meetsOnce is a hook that can meet only one client, as kprom.Metrics.
type meetsOnce struct{ met bool }

func (m *meetsOnce) OnNewClient(*kgo.Client) {
	if m.met {
		panic("the second client")
	}
	m.met = true
}
func (m *meetsOnce) OnClientClosed(*kgo.Client) { m.met = false }

// TestServiceRefusesOptions: options that would break a router or a forwarder are refused
// by name, when they are given and not when they take effect.
func TestServiceRefusesOptions(t *testing.T) {
	for says, opt := range map[string]kgo.Opt{
		"kgo.TransactionalID": kgo.TransactionalID("mine"),
		"kgo.ConsumeTopics":   kgo.ConsumeTopics("orders"),
		"kgo.ConsumeRegex":    kgo.ConsumeRegex(),
		"kgo.ConsumerGroup":   kgo.ConsumerGroup("mine"),
		"*endtoend.meetsOnce": kgo.WithHooks(new(meetsOnce)),
	} {
		if _, err := router.New(router.DefaultConfig(), opt); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("router: error %v, want one that names %s", err, says)
		}
		if _, err := forwarder.New(forwarder.DefaultConfig(), opt); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("forwarder: error %v, want one that names %s", err, says)
		}
	}
}
