//go:build synctests

package endtoend

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/rawbatch"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// skipWithin is how long a stopped partition may take to go on once an operator has
// skipped what stops it.
const skipWithin = 30 * time.Second

// TestSkip: a batch that cannot be decoded stops its partition alone. The service names
// the place that delayd admin skip takes, and goes on after it without a restart. What
// came before and after the batch is delivered.
func TestSkip(t *testing.T) {
	for _, delivery := range []forwarder.Delivery{forwarder.AtLeastOnce, forwarder.ExactlyOnce} {
		for _, through := range []string{"delay.inbox", "delay.level.1s"} {
			t.Run(fmt.Sprint(through, ", ", delivery), func(t *testing.T) {
				virtual(t, "1s", []string{"orders"}, func(w *world) { w.trySkip(delivery, through) })
			})
		}
	}
}

func (w *world) trySkip(delivery forwarder.Delivery, through string) {
	orders, dead := w.watchCommitted("orders"), w.watchCommitted(w.Names.Dead())
	s := w.serve("one", func(rc *router.Config, fc *forwarder.Config) { rc.Delivery, fc.Delivery = delivery, delivery })
	defer s.stop()
	s.joined()
	send := func(value string) {
		rec := w.request("1s", "orders", keyOn(badPartition), value)
		rec.Topic = through
		w.send(rec)
	}
	send("before")
	batch := rawbatch.Corrupt(rawbatch.New(kgo.CodecLz4, &kgo.Record{Value: []byte("one")}, &kgo.Record{Value: []byte("two")}))
	if _, err := rawbatch.Produce(context.Background(), w.Client, through, badPartition, rawbatch.Seal(batch)); err != nil {
		w.t.Fatal(err)
	}
	send("after")
	time.Sleep(time.Minute)
	w.expect(orders, "before")

	at := admin.Place{Topic: through, Partition: badPartition, Offset: 1}
	told := fmt.Sprint(s.router.Ready(), s.forwarder.Ready())
	if !strings.Contains(told, "delayd admin skip "+at.String()) {
		w.t.Errorf("unready because of %s", told)
	}
	skip, err := admin.NewSkip(context.Background(), w.Client, w.Names, at)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := skip.Do(context.Background(), w.Client); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(skipWithin)
	w.expect(orders, "before", "after")
	if err := s.router.Ready(); err != nil {
		w.t.Errorf("router: %v", err)
	}
	if err := s.forwarder.Ready(); err != nil {
		w.t.Errorf("forwarder: %v", err)
	}
	letters := dead.now()
	if len(letters) != 1 || letters[0].header(levels.HeaderError) != string(levels.Unreadable) || letters[0].header(levels.HeaderOrigin) != at.String() {
		w.t.Errorf("%d dead letters, want one, from %v", len(letters), at)
	}

	// A restart begins after the batch too.
	s.stop()
	s = w.serve("one", func(rc *router.Config, fc *forwarder.Config) { rc.Delivery, fc.Delivery = delivery, delivery })
	s.joined()
	send("after a restart")
	time.Sleep(skipWithin)
	w.expect(orders, "before", "after", "after a restart")
	s.stop()
}

// TestSkipOfWhatStalls: what the service cannot read, the command skips at the place
// that the service names, and without force.
func TestSkipOfWhatStalls(t *testing.T) {
	empty := make([]*kgo.Record, 400_000)
	for i := range empty {
		empty[i] = new(kgo.Record)
	}
	for name, batch := range map[string]*kmsg.RecordBatch{
		"malformed":       rawbatch.Corrupt(rawbatch.New(kgo.CodecNone, &kgo.Record{Value: []byte("v")})),
		"gzip":            rawbatch.Corrupt(rawbatch.New(kgo.CodecGzip, &kgo.Record{Value: []byte("v")})),
		"bomb":            rawbatch.Bomb(kgo.CodecGzip, 300<<20),
		"33 MiB":          rawbatch.Bomb(kgo.CodecLz4, 33<<20),
		"headers":         rawbatch.HeaderFlood(kgo.CodecGzip, 1_000_000),
		"400,000 records": rawbatch.New(kgo.CodecGzip, empty...),
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, "1s", []string{"orders"}, func(w *world) { w.trySkipOf(batch) })
		})
	}
}

func (w *world) trySkipOf(batch *kmsg.RecordBatch) {
	if _, err := rawbatch.Produce(context.Background(), w.Client, w.Names.Inbox(), badPartition, rawbatch.Seal(batch)); err != nil {
		w.t.Fatal(err)
	}
	w.send(w.request("1s", "orders", keyOn(badPartition), "after"))
	orders := w.watchCommitted("orders")
	s := w.serve("one")
	defer s.stop()
	time.Sleep(time.Minute)
	_, named, _ := strings.Cut(fmt.Sprint(s.router.Ready()), "`delayd admin skip ")
	var at admin.Place
	if err := at.UnmarshalText([]byte(strings.TrimSuffix(named, "`"))); err != nil {
		w.t.Fatalf("%v: %v", s.router.Ready(), err)
	}
	skip, err := admin.NewSkip(context.Background(), w.Client, w.Names, at)
	if err != nil || skip.Fault == "" {
		w.t.Fatalf("the service stalls at %v, and the command can read it: %+v, %v", at, skip, err)
	}
	if err := skip.Do(context.Background(), w.Client); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(skipWithin)
	w.expect(orders, "after")
}

// TestSkipBehindATransaction: a transaction ends directly before the batch. Each offset
// at which the partition can stand gets it past the batch.
func TestSkipBehindATransaction(t *testing.T) {
	for _, delivery := range []forwarder.Delivery{forwarder.AtLeastOnce, forwarder.ExactlyOnce} {
		for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
			for at := int64(2); at <= 3; at++ {
				t.Run(fmt.Sprintf("%v, committed: %v, at %d", delivery, end, at), func(t *testing.T) {
					virtual(t, "1s", []string{"orders"}, func(w *world) { w.trySkipBehind(delivery, end, at) })
				})
			}
		}
	}
}

// trySkipBehind has the service start where only a marker, at offset 2, is left before
// the batch.
func (w *world) trySkipBehind(delivery forwarder.Delivery, end kgo.TransactionEndTry, offset int64) {
	send := func(cl *kgo.Client, value string) {
		if err := cl.ProduceSync(context.Background(), w.request("1s", "orders", keyOn(badPartition), value)).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
	send(w.Client, "before")
	txn := w.newClient(kgo.TransactionalID("tx"), kgo.RecordPartitioner(record.Partitioner()))
	defer txn.Close()
	if err := txn.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	send(txn, "in it")
	if err := txn.EndTransaction(context.Background(), end); err != nil {
		w.t.Fatal(err)
	}
	batch := rawbatch.Corrupt(rawbatch.New(kgo.CodecLz4, &kgo.Record{Value: []byte("one")}))
	bad, err := rawbatch.Produce(context.Background(), w.Client, w.Names.Inbox(), badPartition, rawbatch.Seal(batch))
	if err != nil || bad != 3 {
		w.t.Fatalf("the batch is at %d: %v", bad, err)
	}
	send(w.Client, "after")
	want := []string{"before", "in it", "after"}
	if !end {
		want = []string{"before", "after"}
	}
	orders, dead := w.watchCommitted("orders"), w.watchCommitted(w.Names.Dead())
	s := w.serve("one", func(rc *router.Config, fc *forwarder.Config) { rc.Delivery, fc.Delivery = delivery, delivery })
	defer s.stop()
	time.Sleep(time.Minute)
	w.expect(orders, want[:len(want)-1]...)

	skip, err := admin.NewSkip(context.Background(), w.Client, w.Names, admin.Place{Topic: w.Names.Inbox(), Partition: badPartition, Offset: offset})
	if err == nil {
		err = skip.Do(context.Background(), w.Client)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(skipWithin)
	w.expect(orders, want...)
	if err := s.router.Ready(); err != nil {
		w.t.Error(err)
	}
	if letters := dead.now(); len(letters) != 1 || letters[0].header(levels.HeaderOrigin) != fmt.Sprintf("delay.inbox/%d/3", badPartition) {
		w.t.Errorf("%d dead letters, want one, from the batch", len(letters))
	}
}

// expect compares the values that have arrived.
func (w *world) expect(as *arrivals, want ...string) {
	w.t.Helper()
	var got []string
	for _, a := range as.now() {
		got = append(got, string(a.Value))
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		w.t.Errorf("arrived: %q, want %q", got, want)
	}
}
