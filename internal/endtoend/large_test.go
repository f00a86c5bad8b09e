//go:build synctests

package endtoend

import (
	"context"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/levels"
)

// largeLate is how late a record may be while others that are large are handled.
const largeLate = 500 * time.Millisecond

// gzipper is a producer that compresses, as most do, and takes records of any size.
func (w *world) gzipper() *kgo.Client {
	return w.newClient(
		kgo.ProducerBatchMaxBytes(1<<27), kgo.BrokerMaxWriteBytes(1<<28), kgo.MaxBufferedBytes(1<<29), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.GzipCompression()),
	)
}

// limit sets the largest batch that topics take.
func (w *world) limit(bytes int, topics ...string) {
	w.t.Helper()
	value := strconv.Itoa(bytes)
	_, err := w.Admin.AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &value}}, topics...)
	if err != nil {
		w.t.Fatal(err)
	}
}

// each sends numbered records to a topic, ten a second, until the returned function is
// called, which returns how many they were.
func (w *world) each(topic string) (end func() int) {
	ctx, stop := context.WithCancel(context.Background())
	sent := make(chan int, 1)
	w.ends = append(w.ends, stop)
	go func() {
		n := 0
		defer func() { sent <- n }()
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			n++
			w.send(w.direct("1s", topic, "k", strconv.Itoa(n)))
		}
	}()
	return func() int { stop(); return <-sent }
}

// punctual checks that n records came once, in order, and at most late.
func (as *arrivals) punctual(t *testing.T, n int, late time.Duration) {
	t.Helper()
	worst := time.Duration(0)
	for _, a := range as.onceInOrder(t, n) {
		worst = max(worst, a.late())
	}
	if worst > late {
		t.Errorf("%v late at most, want at most %v", worst, late)
	}
}

// TestLargeRecords sends records that are far above every limit until they are
// compressed, by both ways in. They arrive once where their target takes them; where it
// does not they are dead letters, whole if the dead letters' topic takes them. Others
// are on time.
func TestLargeRecords(t *testing.T) {
	eachDelivery(t, func(t *testing.T, mode change) {
		virtual(t, "1s", []string{"orders", "well", "small"}, func(w *world) {
			w.limit(700, "small")
			s := w.serve("one", mode)
			defer s.stop()
			s.joined()
			got, well, dead := w.watchCommitted("orders"), w.watchCommitted("well"), w.watchCommitted(w.Names.Dead())
			end := w.each("well")
			cl := w.gzipper()
			defer cl.Close()
			large := []string{strings.Repeat("x", 5_000_000), strings.Repeat("yz", 2_000_000), strings.Repeat("x", 1_100_000)}
			for i, value := range large {
				for _, to := range []string{"orders", "small"} {
					key := strconv.Itoa(i)
					if err := cl.ProduceSync(context.Background(),
						w.direct("1s", to, key, value), w.request("1s", to, key, value), w.request("0", to, key, value),
					).FirstErr(); err != nil {
						t.Fatal(err)
					}
				}
			}
			time.Sleep(20 * time.Second)
			well.punctual(t, end(), largeLate)
			for _, as := range []*arrivals{got, dead} {
				all := as.now()
				if len(all) != 3*len(large) {
					t.Errorf("%d arrived, want %d", len(all), 3*len(large))
				}
				for _, a := range all {
					if i, _ := strconv.Atoi(string(a.Key)); string(a.Value) != large[i] {
						t.Errorf("%s/%s: the value of %d bytes is another", a.Topic, a.Key, len(a.Value))
					}
				}
			}
			for _, a := range dead.now() {
				if a.header(levels.HeaderError) != string(levels.TooLarge) {
					t.Errorf("a dead letter is %s: %s", a.header(levels.HeaderError), a.header(levels.HeaderErrorDetail))
				}
			}
			if u := w.uncommitted("1s"); u != 0 {
				t.Errorf("%d offsets are not committed", u)
			}
		})
	})
}

// TestRaisedLimit has the limits of the way and of the target raised while
// the service runs. What is then accepted arrives, without a restart.
func TestRaisedLimit(t *testing.T) {
	eachDelivery(t, func(t *testing.T, mode change) {
		virtual(t, "1s", []string{"orders", "well"}, func(w *world) {
			topics := []string{w.Names.Inbox(), w.Names.Level(levels.Level{Delay: time.Second}), "orders"}
			w.limit(1_000_000, topics...)
			s := w.serve("one", mode)
			defer s.stop()
			s.joined()
			got, well, dead := w.watchCommitted("orders"), w.watchCommitted("well"), w.watchCommitted(w.Names.Dead())
			w.send(w.request("1s", "orders", "k", "1"), w.direct("1s", "orders", "k", "2"))
			time.Sleep(5 * time.Second)
			end := w.each("well")
			w.limit(5_000_000, topics...)
			cl := w.gzipper()
			defer cl.Close()
			value := incompressible(3_000_000)
			for _, rec := range []*kgo.Record{
				w.direct("1s", "orders", "k", value), w.request("1s", "orders", "k", value), w.request("0", "orders", "k", value),
			} {
				if err := cl.ProduceSync(context.Background(), rec).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(10 * time.Second)
			well.punctual(t, end(), largeLate)
			if n := len(got.now()); n != 5 {
				t.Errorf("%d arrived, want 5", n)
			}
			for _, a := range dead.now() {
				t.Errorf("dead letter %s: %s", a.header(levels.HeaderError), a.header(levels.HeaderErrorDetail))
			}
		})
	})
}

// TestLoweredLimit has the limit of a target lowered while the service runs, far below
// what comes due together. It is learned from the first refusal, although each record
// alone fits, and nothing is lost or leaves its order.
func TestLoweredLimit(t *testing.T) {
	const bursts, records, limit = 4, 300, 5_000
	eachDelivery(t, func(t *testing.T, mode change) {
		virtual(t, "1s", []string{"orders"}, func(w *world) {
			topics, err := w.Admin.ListTopics(context.Background(), "orders")
			if err != nil {
				t.Fatal(err)
			}
			var large atomic.Int32
			w.Cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
				w.Cluster.KeepControl()
				for _, topic := range req.(*kmsg.ProduceRequest).Topics {
					for _, p := range topic.Partitions {
						if topic.TopicID == topics["orders"].ID && len(p.Records) > limit {
							large.Add(1)
						}
					}
				}
				return nil, nil, false
			})
			s := w.serve("one", mode)
			defer s.stop()
			s.joined()
			got, dead := w.watchCommitted("orders"), w.watchCommitted(w.Names.Dead())
			fill := []byte(incompressible(300 * records))
			for burst := range bursts {
				var recs []*kgo.Record
				for i := range records {
					recs = append(recs, w.direct("1s", "orders", "k", strconv.Itoa(burst*records+i+1), kgo.RecordHeader{Key: "fill", Value: fill[300*i : 300*(i+1)]}))
				}
				w.send(recs...)
				time.Sleep(5 * time.Second)
				switch n := large.Swap(0); {
				case burst == 0:
					if n == 0 {
						t.Error("nothing was sent in a large batch")
					}
					w.limit(limit, "orders")
				case burst > 1 && n > 0:
					t.Errorf("burst %d: %d batches are above the limit", burst, n)
				}
			}
			got.onceInOrder(t, bursts*records)
			for _, a := range dead.now() {
				t.Errorf("dead letter %s: %s", a.header(levels.HeaderError), a.header(levels.HeaderErrorDetail))
			}
		})
	})
}

// TestRaisedOnTheBrokers has the brokers' limit raised: the inbox and the
// target follow it, while our other topics have limits of their own until somebody runs
// provision. What cannot go by them is a dead letter without its value.
func TestRaisedOnTheBrokers(t *testing.T) {
	eachDelivery(t, func(t *testing.T, mode change) {
		virtual(t, "1s", []string{"orders", "well"}, func(w *world) {
			s := w.serve("one", mode)
			defer s.stop()
			s.joined()
			got, well, dead := w.watchCommitted("orders"), w.watchCommitted("well"), w.watchCommitted(w.Names.Dead())
			end := w.each("well")
			w.limit(5_000_000, w.Names.Inbox(), "orders")
			cl := w.gzipper()
			defer cl.Close()
			for _, delay := range []string{"1s", "0"} {
				if err := cl.ProduceSync(context.Background(), w.request(delay, "orders", "k"+delay, incompressible(3_000_000))).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(10 * time.Second)
			well.punctual(t, end(), largeLate)
			if all := got.now(); len(all) != 1 || string(all[0].Key) != "k0" {
				t.Errorf("%d arrived, want the one that was due at once", len(all))
			}
			died := dead.now()
			if len(died) != 1 || died[0].header(levels.HeaderError) != string(levels.TooLarge) ||
				died[0].header(levels.HeaderValueLength) != "3000000" || len(died[0].Value) > 0 ||
				!strings.Contains(died[0].header(levels.HeaderErrorDetail), "(max.message.bytes)") {
				t.Errorf("%d dead letters, want one without its value that names the limit", len(died))
			}
		})
	})
}

// TestLargeParked has a target missing for ten seconds: what is parked for it
// is large, and arrives in its order.
func TestLargeParked(t *testing.T) {
	eachDelivery(t, func(t *testing.T, mode change) {
		virtual(t, "1s", []string{"well"}, func(w *world) {
			s := w.serve("one", mode, missingWait(time.Hour))
			defer s.stop()
			s.joined()
			got, well := w.watchCommitted("late"), w.watchCommitted("well")
			end := w.each("well")
			cl := w.gzipper()
			defer cl.Close()
			blob := kgo.RecordHeader{Key: "blob", Value: make([]byte, 3_000_000)}
			for i := range 5 {
				for _, rec := range []*kgo.Record{
					w.direct("1s", "late", "k", strconv.Itoa(2*i+1), blob), w.direct("1s", "late", "k", strconv.Itoa(2*i+2)),
				} {
					if err := cl.ProduceSync(context.Background(), rec).FirstErr(); err != nil {
						t.Fatal(err)
					}
				}
			}
			time.Sleep(10 * time.Second)
			if _, err := w.Admin.CreateTopics(context.Background(), 2, 1, nil, "late"); err != nil {
				t.Fatal(err)
			}
			got.onceInOrder(t, 10)
			well.punctual(t, end(), largeLate)
		})
	})
}

// TestLetterFits has records whose letters the dead letters' topic does not
// take whole: compressed, incompressible, with a large key, or with large headers.
// Each has a letter that says what it leaves out, and nothing stands still.
func TestLetterFits(t *testing.T) {
	eachDelivery(t, func(t *testing.T, mode change) {
		virtual(t, "1s", []string{"small", "well"}, func(w *world) {
			w.limit(2000, "small")
			w.limit(6000, w.Names.Dead())
			s := w.serve("one", mode)
			defer s.stop()
			s.joined()
			well, dead := w.watchCommitted("well"), w.watchCommitted(w.Names.Dead())
			end := w.each("well")
			cl := w.gzipper()
			defer cl.Close()
			header := kgo.RecordHeader{Key: "blob", Value: []byte(incompressible(20_000))}
			for _, rec := range []*kgo.Record{
				w.direct("1s", "small", "1", strings.Repeat("x", 20_000_000)),
				w.direct("1s", "small", "2", incompressible(500_000)),
				w.direct("1s", "small", incompressible(30_000), "3"),
				w.direct("1s", "small", "4", "4", header),
				w.request("nonsense", "small", "5", strings.Repeat("x", 20_000_000)),
				w.request("1s", "small", "6", incompressible(5000)),
			} {
				if err := cl.ProduceSync(context.Background(), rec).FirstErr(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
			}
			time.Sleep(20 * time.Second)
			well.punctual(t, end(), 3*time.Second)
			out := make(map[string]string)
			for _, a := range dead.now() {
				out[string(a.Key)] = strings.Join([]string{a.header(levels.HeaderError),
					a.header(levels.HeaderValueLength), a.header(levels.HeaderKeyLength), a.header(levels.HeaderHeadersLeftOut)}, "/")
			}
			want := map[string]string{
				"1": "too-large/20000000//", "2": "too-large/500000//", "": "too-large/1/30000/", "4": "too-large/1//1",
				"5": "bad-level/20000000//", "6": "too-large///",
			}
			if !maps.Equal(out, want) {
				t.Errorf("letters %v, want %v", out, want)
			}
			if u := w.uncommitted("1s"); u != 0 {
				t.Errorf("%d offsets are not committed", u)
			}
		})
	})
}

// TestExactlyOnceDeadTopicDenied takes the right to write dead letters away for a
// minute. Partitions with a bad record wait, and arrive behind it; others are on time.
func TestExactlyOnceDeadTopicDenied(t *testing.T) {
	const away = time.Minute
	for name, err := range map[string]*kerr.Error{"denied": kerr.TopicAuthorizationFailed, "refused": kerr.InvalidRecord, "away": kerr.NotEnoughReplicas} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual(t, "1s 5s", []string{"well", "behind"}, func(w *world) {
				s := w.serve("one", exactly)
				defer s.stop()
				s.joined()
				well, behind, dead := w.watchCommitted("well"), w.watchCommitted("behind"), w.watchCommitted(w.Names.Dead())
				denied := w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: w.Names.Dead(), Err: err, Count: -1})
				end := w.each("well")
				bad := w.direct("5s", "behind", "k", "bad", kgo.RecordHeader{Key: levels.HeaderPartition, Value: []byte("99")})
				w.send(bad, w.direct("5s", "behind", "k", "1"), w.direct("5s", "behind", "k", "2"))
				time.Sleep(away)
				if n := len(behind.now()); n != 0 {
					t.Errorf("%d records overtook a dead letter", n)
				}
				denied.Remove()
				time.Sleep(20 * time.Second)
				if n := len(dead.now()); n != 1 {
					t.Errorf("%d dead letters, want 1", n)
				}
				behind.onceInOrder(t, 2)
				late := largeLate
				if name == "away" {
					late = 2500 * time.Millisecond // nothing answers, which takes one second to find out, or two
				}
				well.punctual(t, end(), late)
			})
		})
	}
}

// TestDeadTopicGone deletes the dead letters' topic for a minute: a partition
// with a bad record waits until it is there again, and others are on time.
func TestDeadTopicGone(t *testing.T) {
	eachDelivery(t, func(t *testing.T, mode change) {
		virtual(t, "1s", []string{"well"}, func(w *world) {
			s := w.serve("one", mode)
			defer s.stop()
			s.joined()
			well := w.watchCommitted("well")
			bad := func() *kgo.Record {
				return w.direct("1s", "bad", "q", "bad", kgo.RecordHeader{Key: levels.HeaderPartition, Value: []byte("x")})
			}
			w.send(bad())
			end := w.each("well")
			time.Sleep(5 * time.Second)
			if _, err := w.Admin.DeleteTopic(context.Background(), w.Names.Dead()); err != nil {
				t.Fatal(err)
			}
			w.send(bad())
			time.Sleep(time.Minute)
			if _, err := w.Admin.CreateTopic(context.Background(), 1, 1, nil, w.Names.Dead()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			if dead := w.watchCommitted(w.Names.Dead()).wait(1, time.Minute); len(dead) != 1 {
				t.Errorf("%d dead letters, want 1", len(dead))
			}
			n := end()
			if all := well.wait(n, time.Minute); len(all) != n {
				t.Fatalf("%d arrived, want %d", len(all), n)
			}
			for _, a := range well.now() {
				if a.late() > 1500*time.Millisecond {
					t.Errorf("%s: %v late", a.Value, a.late())
				}
			}
		})
	})
}

// TestExactlyOnceMixedSizes has large and small records of one key arrive in order.
func TestExactlyOnceMixedSizes(t *testing.T) {
	virtual(t, "1s", []string{"orders"}, func(w *world) {
		s := w.serve("one", exactly)
		defer s.stop()
		got := w.watchCommitted("orders")
		cl := w.gzipper()
		defer cl.Close()
		random := rand.New(rand.NewPCG(1, 2))
		const records = 300
		for i := range records {
			rec := w.direct("1s", "orders", strconv.Itoa(i%5), strconv.Itoa(i+1))
			if random.IntN(5) == 0 {
				rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: "blob", Value: make([]byte, 1_500_000)})
			}
			if err := cl.ProduceSync(context.Background(), rec).FirstErr(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
		}
		got.onceInOrder(t, records)
	})
}
