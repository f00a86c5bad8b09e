//go:build synctests

package endtoend

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// exactly asks for exactly-once delivery.
func exactly(rc *router.Config, fc *forwarder.Config) {
	rc.Delivery, fc.Delivery = router.ExactlyOnce, forwarder.ExactlyOnce
}

// change changes what a service is started with.
type change = func(*router.Config, *forwarder.Config)

// eachDelivery runs test in both deliveries.
func eachDelivery(t *testing.T, test func(t *testing.T, mode change)) {
	t.Helper()
	t.Run("at-least-once", func(t *testing.T) { test(t, func(*router.Config, *forwarder.Config) {}) })
	t.Run("exactly-once", func(t *testing.T) { test(t, exactly) })
}

// onceInOrder waits for n records and then a while for more, and reports what is
// lost, duplicated or out of order.
func (as *arrivals) onceInOrder(t *testing.T, n int) []arrival {
	t.Helper()
	as.wait(n, time.Hour)
	time.Sleep(time.Minute)
	all := as.now()
	once(t, all, n)
	inOrder(t, all)
	return all
}

// TestExactlyOnce runs traffic over several levels, both ways in, with bad records
// in between.
func TestExactlyOnce(t *testing.T) {
	const records = 600
	virtual(t, "", []string{"orders", "mails"}, func(w *world) {
		s := w.serve("one", exactly)
		defer s.stop()
		s.joined()
		got, dead := w.watchCommitted("orders", "mails"), w.watchCommitted(w.Names.Dead())
		random := rand.New(rand.NewPCG(1, 2))
		delays := []string{"0", "1s", "5s", "10s", "30s", "1m"}
		for i := range records / 2 {
			time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
			delay := delays[random.IntN(len(delays))]
			level := delays[1+random.IntN(len(delays)-1)]
			key := strconv.Itoa(random.IntN(20))
			bad := w.request("nonsense", "orders", key, strconv.Itoa(i+1))
			w.send(
				w.request(delay, "orders", "inbox"+delay+key, strconv.Itoa(i+1)), bad,
				w.direct(level, "mails", "direct"+level+key, strconv.Itoa(i+1)),
			)
		}
		for _, a := range got.onceInOrder(t, records) {
			if late := a.late(); late < 0 || late > time.Second {
				t.Errorf("%s/%s: %v after its due time", a.Topic, a.Value, late)
			}
		}
		dead.onceInOrder(t, records/2)
		if u := w.uncommitted("10s"); u != 0 {
			t.Errorf("%d offsets of level 10s are not committed", u)
		}
	})
}

// transactional spares the requests of the tests' own producer.
func transactional(req kmsg.Request) bool {
	p, ok := req.(*kmsg.ProduceRequest)
	return !ok || p.TransactionID != nil
}

// transactionFaults returns the faults of the requests of a transaction, and the requests
// whose connections are cut.
func transactionFaults() (faults []kfake.Fault, cut []kmsg.Key) {
	add := func(key kmsg.Key, errs ...*kerr.Error) {
		for _, err := range errs {
			faults = append(faults, kfake.Fault{Keys: []kmsg.Key{key}, Err: err, When: transactional})
		}
	}
	// REQUEST_TIMED_OUT and NOT_ENOUGH_REPLICAS_AFTER_APPEND come after it was done.
	add(kmsg.Produce, kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend,
		kerr.UnknownServerError, kerr.OutOfOrderSequenceNumber, kerr.InvalidProducerEpoch, kerr.TransactionAbortable)
	add(kmsg.TxnOffsetCommit, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.RequestTimedOut, kerr.IllegalGeneration,
		kerr.UnknownMemberID, kerr.InvalidProducerEpoch, kerr.UnknownServerError)
	add(kmsg.EndTxn, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.RequestTimedOut, kerr.ConcurrentTransactions,
		kerr.InvalidTxnState, kerr.ProducerFenced, kerr.UnknownServerError)
	add(kmsg.InitProducerID, kerr.CoordinatorNotAvailable, kerr.ConcurrentTransactions)
	add(kmsg.OffsetFetch, kerr.UnstableOffsetCommit, kerr.CoordinatorLoadInProgress)
	add(kmsg.Heartbeat, kerr.RebalanceInProgress, kerr.CoordinatorNotAvailable)
	cut = []kmsg.Key{kmsg.Produce, kmsg.TxnOffsetCommit, kmsg.EndTxn}
	return faults, cut
}

// disturbed calls send for each record, while requests of transactions fail, connections are
// cut, and a second instance comes and goes.
func (w *world) disturbed(random *rand.Rand, records int, send func(i int)) {
	faults, cut := transactionFaults()
	var two *service
	for i := range records {
		switch {
		case i%500 == 250:
			two = w.serve("two", exactly)
		case i%500 == 499:
			two.stop()
		}
		if i%10 == 5 {
			w.Cluster.Fault(faults[random.IntN(len(faults))])
		}
		if i%50 == 25 {
			w.Cluster.ControlKey(cut[random.IntN(len(cut))].Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
				if !transactional(req) {
					return nil, nil, false
				}
				return nil, errors.New("the connection is gone"), true
			})
		}
		send(i)
	}
}

// TestExactlyOnceFaults has every request of a transaction fail, in every way, while
// two instances hand partitions to each other.
func TestExactlyOnceFaults(t *testing.T) {
	const records = 1000
	for seed := range uint64(3) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			virtual(t, "1s 5s", []string{"orders", "mails"}, func(w *world) {
				random := rand.New(rand.NewPCG(1, seed))
				one := w.serve("one", exactly)
				got, dead := w.watchCommitted("orders", "mails"), w.watchCommitted(w.Names.Dead())
				w.disturbed(random, records, func(i int) {
					w.send(w.request("1s", "orders", strconv.Itoa(i%7), strconv.Itoa(i+1)),
						w.direct("5s", "mails", strconv.Itoa(i%7), strconv.Itoa(i+1)))
					time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
				})
				got.onceInOrder(t, 2*records)
				if n := len(dead.now()); n > 0 {
					t.Errorf("%d dead letters", n)
				}
				one.stop()
			})
		})
	}
}

// deaf is a connection that loses the answer to a request which lose picks by its
// key, after the broker has acted on it.
type deaf struct {
	net.Conn
	lose func(key int16) bool
	lost bool
}

func (d *deaf) Write(b []byte) (int, error) {
	const key = 4 // behind the length
	if len(b) > key+1 && d.lose(int16(binary.BigEndian.Uint16(b[key:]))) {
		d.lost = true
	}
	return d.Conn.Write(b)
}

func (d *deaf) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	if d.lost {
		d.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// TestExactlyOnceLostAnswer has the broker commit, or take offsets, and nobody hear
// of it.
func TestExactlyOnceLostAnswer(t *testing.T) {
	const records = 600
	virtual(t, "1s", []string{"orders"}, func(w *world) {
		var requests, lost atomic.Int64
		dial := w.dial
		w.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return &deaf{Conn: conn, lose: func(key int16) bool {
				if key != kmsg.EndTxn.Int16() && key != kmsg.TxnOffsetCommit.Int16() || requests.Add(1)%3 != 0 {
					return false
				}
				lost.Add(1)
				return true
			}}, err
		}
		s := w.serve("one", exactly)
		defer s.stop()
		got := w.watchCommitted("orders")
		for i := range records {
			w.send(w.request("1s", "orders", "k", strconv.Itoa(i+1)))
			time.Sleep(100 * time.Millisecond)
		}
		got.onceInOrder(t, records)
		if lost.Load() < records/10 {
			t.Errorf("%d answers were lost", lost.Load())
		}
	})
}

// TestExactlyOnceSick has a target missing, or refuse all writes, for two minutes:
// its records are parked and come later, in order, and the others are on time.
func TestExactlyOnceSick(t *testing.T) {
	for _, missing := range []bool{true, false} {
		t.Run(map[bool]string{true: "missing", false: "refuses"}[missing], func(t *testing.T) {
			t.Parallel()
			virtual(t, "1s 5s", []string{"well", "refusing"}, func(w *world) {
				s := w.serve("one", exactly, missingWait(time.Hour))
				defer s.stop()
				target, fix := "sick", func() {
					if _, err := w.Admin.CreateTopics(context.Background(), 2, 1, nil, "sick"); err != nil {
						t.Fatal(err)
					}
				}
				if !missing {
					target, fix = "refusing", w.Cluster.Fault(kfake.Fault{
						Keys: []kmsg.Key{kmsg.Produce}, Topic: "refusing", Err: kerr.NotEnoughReplicas, Count: -1,
					}).Remove
				}
				well, ill := w.watchCommitted("well"), w.watchCommitted(target)
				n := 0
				send := func(seconds int) {
					for range 10 * seconds {
						n++
						for _, to := range []string{"well", target} {
							w.send(w.request("1s", to, "inbox"+strconv.Itoa(n%5), strconv.Itoa(n)),
								w.direct("5s", to, "direct"+strconv.Itoa(n%5), strconv.Itoa(n)))
						}
						time.Sleep(100 * time.Millisecond)
					}
				}
				send(120)
				if len(ill.now()) > 0 {
					t.Errorf("%d records came to the unavailable target", len(ill.now()))
				}
				if u := w.uncommitted("5s"); u > 1000 { // 20 a second wait 5 s, and each transaction has two markers
					t.Errorf("%d offsets of level 5s are not committed", u)
				}
				fix()
				send(60)
				well.onceInOrder(t, 2*n)
				late := 0
				for _, a := range well.now() {
					if a.late() > 100*time.Millisecond {
						late++
					}
				}
				if late > 60 { // what was due in the second in which the target was found to be sick
					t.Errorf("%d of %d records for the other target were late", late, 2*n)
				}
				all := ill.onceInOrder(t, 2*n)
				for _, a := range all[len(all)-20:] {
					if a.late() > time.Second {
						t.Errorf("%s: %v late, a minute after the target was well", a.Value, a.late())
					}
				}
			})
		})
	}
}

// TestExactlyOnceCoordinatorAway has the coordinator of two transactional ids not
// answer for four seconds, with a transaction open. Others are used meanwhile, and
// the first one's transaction is ended as soon as somebody takes that: by itself the
// broker would have readers wait for ten seconds and more.
func TestExactlyOnceCoordinatorAway(t *testing.T) {
	const records, away = 300, 4 * time.Second
	virtual(t, "1s", []string{"orders"}, func(w *world) {
		id := w.Names.ForwarderGroup() + "-one/direct"
		ids := map[string]bool{id + "-1": true, id + "-next-1": true} // they take turns
		back := make(chan struct{})
		var gone, lost atomic.Bool
		var written atomic.Int32
		isGone := func(req kmsg.Request) bool {
			switch req := req.(type) {
			case *kmsg.InitProducerIDRequest:
				return gone.Load() && ids[*req.TransactionalID]
			case *kmsg.EndTxnRequest:
				return gone.Load() && ids[req.TransactionalID]
			case *kmsg.TxnOffsetCommitRequest:
				return gone.Load() && ids[req.TransactionalID]
			}
			return false
		}
		w.Cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.InitProducerID, kmsg.EndTxn, kmsg.TxnOffsetCommit}, Err: kerr.CoordinatorNotAvailable, Count: -1, When: isGone,
		})
		// What is written then is written once, and not answered.
		w.Cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.Cluster.KeepControl()
			p := req.(*kmsg.ProduceRequest)
			drop := gone.Load() && p.TransactionID != nil && ids[*p.TransactionID] && written.Add(1) > 1
			return nil, nil, drop
		})
		dial := w.dial
		w.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return &deaf{Conn: conn, lose: func(key int16) bool {
				return gone.Load() && key == kmsg.Produce.Int16() && lost.CompareAndSwap(false, true)
			}}, err
		}
		s := w.serve("one", exactly)
		defer s.stop()
		got := w.watchCommitted("orders")
		for i := range records {
			if i == records/3 {
				gone.Store(true)
				time.AfterFunc(away, func() { gone.Store(false); close(back) })
			}
			w.send(w.direct("1s", "orders", "k", strconv.Itoa(i+1)))
			time.Sleep(100 * time.Millisecond)
		}
		<-back
		got.lateThrough(t, records, away)
	})
}

// TestExactlyOnceFormerID: what a crashed process of a former version has left open is
// ended at the start, under the id that it had then.
func TestExactlyOnceFormerID(t *testing.T) {
	virtual(t, "1s", []string{"orders"}, func(w *world) {
		left := w.newClient(kgo.TransactionalID(w.Names.ForwarderGroup()+"-n-2"), kgo.TransactionTimeout(time.Minute))
		defer left.Close()
		if err := left.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := left.ProduceSync(context.Background(), &kgo.Record{Topic: "orders", Key: []byte("k"), Value: []byte("open")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		got := w.watchCommitted("orders")
		s := w.serve("n-2", exactly)
		defer s.stop()
		w.send(w.direct("1s", "orders", "k", "1"))
		for _, a := range got.onceInOrder(t, 1) {
			if a.late() > 5*time.Second {
				t.Errorf("%v late: readers waited for the transaction's timeout", a.late())
			}
		}
	})
}

// lateThrough wants records to have come once and in order, and to have waited for what
// was away for so long, and not for much longer.
func (as *arrivals) lateThrough(t *testing.T, records int, away time.Duration) {
	t.Helper()
	worst := time.Duration(0)
	for _, a := range as.onceInOrder(t, records) {
		worst = max(worst, a.late())
	}
	if worst < time.Second || worst > away+4*time.Second {
		t.Errorf("%v late at most, with what is needed away for %v", worst, away)
	}
}

// TestExactlyOnceDenied takes the right to the transactional ids away for eight seconds.
// Everything waits until it is granted again.
func TestExactlyOnceDenied(t *testing.T) {
	const records, away = 300, 8 * time.Second
	virtual(t, "1s", []string{"orders"}, func(w *world) {
		var denied atomic.Bool
		w.Cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.InitProducerID, kmsg.EndTxn, kmsg.TxnOffsetCommit}, Err: kerr.TransactionalIDAuthorizationFailed, Count: -1,
			When: func(kmsg.Request) bool { return denied.Load() },
		})
		s := w.serve("one", exactly)
		defer s.stop()
		got := w.watchCommitted("orders")
		for i := range records {
			if i == records/3 {
				denied.Store(true)
				time.AfterFunc(away, func() { denied.Store(false) })
			}
			w.send(w.direct("1s", "orders", "k", strconv.Itoa(i+1)))
			time.Sleep(100 * time.Millisecond)
		}
		got.lateThrough(t, records, away)
	})
}

// TestExactlyOnceRefused has single records refused in the middle of a thousand, each
// in its own way: they are dead letters, and the others arrive.
func TestExactlyOnceRefused(t *testing.T) {
	const records = 1000
	virtual(t, "1s 5s", []string{"orders", "forbidden"}, func(w *world) {
		limit := "20000"
		if _, err := w.Admin.CreateTopic(context.Background(), 1, 1, map[string]*string{"max.message.bytes": &limit}, "small"); err != nil {
			t.Fatal(err)
		}
		topics, err := w.Admin.ListTopics(context.Background(), "orders")
		if err != nil {
			t.Fatal(err)
		}
		w.Cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders", Err: kerr.InvalidRecord, Count: -1,
			When: func(req kmsg.Request) bool {
				return slices.ContainsFunc(req.(*kmsg.ProduceRequest).Topics, func(t kmsg.ProduceRequestTopic) bool {
					orders := t.Topic == "orders" || t.TopicID == topics["orders"].ID // and not a dead letter beside them
					return orders && slices.ContainsFunc(t.Partitions, func(p kmsg.ProduceRequestTopicPartition) bool {
						return bytes.Contains(p.Records, []byte("poison"))
					})
				})
			},
		}, kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "forbidden", Err: kerr.TopicAuthorizationFailed, Count: -1})
		s := w.serve("one", exactly, func(_ *router.Config, fc *forwarder.Config) { fc.GiveUp = 30 * time.Second })
		got, dead := w.watchCommitted("orders", "small"), w.watchCommitted(w.Names.Dead())
		produce := func(rec *kgo.Record) { w.Client.Produce(context.Background(), rec, nil) }
		for i := range records {
			value := strconv.Itoa(i + 1)
			produce(w.direct("1s", "orders", strconv.Itoa(i%3), value))
			produce(w.direct("1s", "small", strconv.Itoa(i%3), value))
			switch i {
			case 300, 301, 700:
				produce(w.direct("1s", "orders", "1", "poison"+value))
				produce(w.direct("1s", "small", "1", incompressible(30_000+i)))
				produce(w.direct("1s", "orders", "1", "nowhere"+value, kgo.RecordHeader{Key: levels.HeaderPartition, Value: []byte("99")}))
				produce(w.direct("1s", "forbidden", "1", "forbidden"+value))
			}
		}
		got.onceInOrder(t, 2*records)
		codes := make(map[string]int)
		for _, a := range dead.now() {
			codes[a.header(levels.HeaderError)]++
		}
		for _, code := range []levels.Code{levels.Rejected, levels.TooLarge, levels.BadPartition, levels.NotAuthorized} {
			if codes[string(code)] != 3 {
				t.Errorf("%d dead letters are %s, want 3", codes[string(code)], code)
			}
		}
		s.stop()
	})
}

// TestExactlyOnceUpstream delivers what producers committed, and nothing that they
// aborted, after which nothing is pending.
func TestExactlyOnceUpstream(t *testing.T) {
	const transactions = 20
	virtual(t, "1s", []string{"orders"}, func(w *world) {
		s := w.serve("one", exactly)
		defer s.stop()
		got := w.watchCommitted("orders")
		cl := w.newClient(kgo.TransactionalID("upstream"), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
		defer cl.Close()
		for i := range 2 * transactions {
			if err := cl.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := cl.ProduceSync(context.Background(),
				w.request("1s", "orders", "inbox", strconv.Itoa(i+1)), w.direct("1s", "orders", "direct", strconv.Itoa(i+1)),
			).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := cl.EndTransaction(context.Background(), kgo.TransactionEndTry(i%2 == 0)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(300 * time.Millisecond)
		}
		for _, a := range got.onceInOrder(t, 2*transactions) {
			if n, _ := strconv.Atoi(string(a.Value)); n%2 == 0 {
				t.Errorf("%s was aborted, and arrived", a.Value)
			}
		}
		if u := w.uncommitted("1s"); u != 0 {
			t.Errorf("%d offsets are not committed", u)
		}
	})
}

// TestExactlyOnceHandler refuses what it cannot promise.
func TestExactlyOnceHandler(t *testing.T) {
	cfg := forwarder.DefaultConfig()
	cfg.Delivery = forwarder.ExactlyOnce
	cfg.Handler = func(context.Context, *kgo.Record) error { return nil }
	if _, err := forwarder.New(cfg); err == nil {
		t.Error("a Handler in a transaction was accepted")
	}
}
