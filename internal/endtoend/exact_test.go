//go:build synctests

package endtoend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

// exact is a record for the inbox that asks for an exact delay, or an exact time.
func (w *world) exact(header string, d time.Duration, value int) *kgo.Record {
	asked := levels.FormatDelay(d)
	if header == levels.HeaderUntil {
		asked = strconv.FormatInt(time.Now().Add(d).UnixMilli(), 10)
		if value%2 == 0 {
			asked = time.UnixMilli(time.Now().Add(d).UnixMilli()).Format(time.RFC3339Nano)
		}
	}
	rec := w.request("", "orders", "k"+strconv.Itoa(value%3), strconv.Itoa(value))
	rec.Headers[0] = kgo.RecordHeader{Key: header, Value: []byte(asked)}
	return rec
}

// sendExact sends records that ask for random exact delays of up to longest, for a span of
// time, by the inbox in both ways and straight to a level. It returns how many.
func (w *world) sendExact(span, longest time.Duration, each time.Duration) (n int) {
	w.t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	topics := []string{w.Names.Level(w.Ladder.First()), w.Names.Level(w.Ladder.Last())}
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(each) {
		n++
		d := time.Duration(1+rng.Int64N(longest.Milliseconds())) * time.Millisecond
		rec := w.exact([]string{levels.HeaderFor, levels.HeaderUntil}[n%2], d, n)
		if n%5 == 0 { // straight to a level: it waits there first, if that is not too long
			rec.Topic = topics[n%2]
		}
		w.send(rec)
	}
	return n
}

// checkExact reports records that did not arrive once, or not in time.
func checkExact(t *testing.T, got []arrival, n int, slack time.Duration) {
	t.Helper()
	once(t, got, n)
	for _, a := range got {
		if late := a.late(); late < 0 || late > slack {
			t.Errorf("%s (%s) arrived %v after its due time", a.Value, a.header(levels.HeaderRequested), late)
		}
		if granted := a.header(levels.HeaderGranted); granted != levels.GrantedExact {
			t.Errorf("%s: %s is %q", a.Value, levels.HeaderGranted, granted)
		}
		for _, key := range []string{levels.HeaderFor, levels.HeaderUntil, levels.HeaderTarget} {
			if a.header(key) != "" {
				t.Errorf("%s: %s is delivered", a.Value, key)
			}
		}
		checkDue(t, a)
	}
}

// checkDue checks that a record was due when it asked for.
func checkDue(t *testing.T, a arrival) {
	t.Helper()
	due, _ := strconv.ParseInt(a.header(levels.HeaderDue), 10, 64)
	accepted, _ := strconv.ParseInt(a.header(levels.HeaderAccepted), 10, 64)
	asked := a.header(levels.HeaderRequested)
	want := int64(0)
	if d, err := levels.ParseFor(asked); err == nil {
		if want = accepted; d > 0 {
			want += d.Milliseconds() + 1
		}
	} else if at, err := levels.ParseUntil(asked); err == nil {
		want = max(at.UnixMilli(), accepted)
	}
	if due != want {
		t.Errorf("%s asked for %s and was accepted at %d: due at %d, want %d", a.Value, asked, accepted, due, want)
	}
}

// TestExactDelays: random exact delays on three ladders, in both deliveries, by each way
// in, are delivered when they are due.
func TestExactDelays(t *testing.T) {
	for _, ladder := range []string{"", "1s 10s 1m", "2s 3s 5s 7s 11s 13s"} {
		bothDeliveries(t, func(t *testing.T, delivery change, slack time.Duration) {
			virtual(t, ladder, []string{"orders"}, func(w *world) {
				s := w.serve("one", delivery)
				defer s.stop()
				s.joined()
				got := w.watchCommitted("orders")
				n := w.sendExact(time.Minute, 2*time.Minute, 50*time.Millisecond)
				got.wait(n, 5*time.Minute)
				time.Sleep(time.Minute)
				checkExact(t, got.now(), n, slack)
				for l := range w.Ladder.All() {
					if u := w.uncommitted(l.String()); u != 0 {
						t.Errorf("%d offsets of level %s are not committed", u, l)
					}
				}
			})
		})
	}
}

// TestExactLong: delays of hours.
func TestExactLong(t *testing.T) {
	virtual(t, "1s 10s 1m 10m 1h", []string{"orders"}, func(w *world) {
		w.idle = time.Minute // virtual time costs as much as there is to do in it
		s := w.serve("one")
		defer s.stop()
		s.joined()
		got := w.watch("orders")
		for i, d := range []time.Duration{3 * time.Hour, 2*time.Hour + 1234*time.Millisecond, 4*time.Hour + 999*time.Millisecond} {
			w.send(w.exact(levels.HeaderFor, d, i+1))
		}
		got.wait(3, 6*time.Hour)
		checkExact(t, got.now(), 3, time.Minute+time.Second)
	})
}

// TestExactThroughRestarts: the service is stopped and started again at every stage of the
// walks, and hands its partitions to a second instance and back.
func TestExactThroughRestarts(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, slack time.Duration) {
		virtual(t, "1s 5s 10s 30s", []string{"orders"}, func(w *world) {
			got := w.watchCommitted("orders")
			sent := make(chan int)
			go func() { sent <- w.sendExact(3*time.Minute, time.Minute, 100*time.Millisecond) }()
			first := w.serve("one", delivery)
			for i := range 10 {
				time.Sleep(15*time.Second + time.Duration(i)*777*time.Millisecond)
				if i%2 == 0 {
					first.stop()
					first = w.serve("one", delivery)
					continue
				}
				second := w.serve("two", delivery)
				time.Sleep(10 * time.Second)
				second.stop() // its partitions wait for the session
			}
			n := <-sent
			got.wait(n, 5*time.Minute)
			time.Sleep(time.Minute)
			first.stop()
			checkExact(t, got.now(), n, 15*time.Second)
		})
	})
}

// TestExactFaults has the requests of transactions fail in every way, while records that
// overtake each other walk and two instances hand partitions to each other: each is
// delivered once, and never early.
func TestExactFaults(t *testing.T) {
	const records = 1500
	for seed := range uint64(2) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			virtual(t, "1s 5s", []string{"orders"}, func(w *world) {
				random := rand.New(rand.NewPCG(2, seed))
				one := w.serve("one", exactly)
				got, dead := w.watchCommitted("orders"), w.watchCommitted(w.Names.Dead())
				w.disturbed(random, records, func(i int) {
					w.send(w.exact(levels.HeaderFor, time.Duration(1+random.Int64N(10_000))*time.Millisecond, i+1))
					time.Sleep(time.Duration(random.IntN(50)) * time.Millisecond)
				})
				got.wait(records, time.Hour)
				time.Sleep(time.Minute)
				one.stop()
				checkExact(t, got.now(), records, time.Minute)
				if n := len(dead.now()); n > 0 {
					t.Errorf("%d dead letters", n)
				}
			})
		})
	}
}

// TestExactRouterAway: the router is away for ten minutes, and so nothing gets on its first
// level; what is on its walk is on time.
func TestExactRouterAway(t *testing.T) {
	virtual(t, "1s 10s 1m 10m", []string{"orders"}, func(w *world) {
		s := w.serve("one")
		s.joined()
		got := w.watch("orders")
		n := 0
		send := func(delays ...time.Duration) {
			for _, d := range delays {
				n++
				w.send(w.exact(levels.HeaderFor, d, n))
			}
		}
		send(time.Minute, 11*time.Minute, 20*time.Minute+500*time.Millisecond)
		time.Sleep(10 * time.Second)
		s.stop()
		_, stop := w.forward()
		send(time.Second, 5*time.Minute, 11*time.Minute, 30*time.Minute)
		time.Sleep(10 * time.Minute)
		stop()
		s = w.serve("one")
		defer s.stop()
		got.wait(n, time.Hour)
		all := got.now()
		once(t, all, n)
		for _, a := range all {
			most := 200 * time.Millisecond
			if d, _ := levels.ParseFor(a.header(levels.HeaderRequested)); d == time.Second || d == 5*time.Minute {
				most = 11 * time.Minute // it was due while nobody read it
			}
			if late := a.late(); late < 0 || late > most {
				t.Errorf("%s arrived %v after its due time", a.header(levels.HeaderRequested), late)
			}
		}
	})
}

// TestExactSickTarget: a target that refuses what comes due for a while gets all of it once
// afterwards, and another one is on time.
func TestExactSickTarget(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, slack time.Duration) {
		virtual(t, "1s 5s 10s", []string{"orders", "mails"}, func(w *world) {
			s := w.serve("one", delivery)
			defer s.stop()
			s.joined()
			ill, well := w.watchCommitted("orders"), w.watchCommitted("mails")
			fault := w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders", Err: kerr.NotEnoughReplicas, Count: -1})
			const n = 200
			for i := range n {
				for _, target := range []string{"orders", "mails"} {
					rec := w.exact(levels.HeaderFor, time.Duration(1+i*100)*time.Millisecond, i+1)
					rec.Headers[1].Value = []byte(target)
					w.send(rec)
				}
				time.Sleep(100 * time.Millisecond)
			}
			time.Sleep(time.Minute)
			fault.Remove()
			ill.wait(n, 10*time.Minute)
			time.Sleep(time.Minute)
			once(t, ill.now(), n)
			once(t, well.now(), n)
			for _, a := range append(ill.now(), well.now()...) {
				if a.late() < 0 {
					t.Errorf("%s is early by %v", a.Value, -a.late())
				}
				if a.Topic == "mails" && a.late() > 10*time.Second {
					t.Errorf("%s is late by %v", a.Value, a.late())
				}
			}
		})
	})
}

// TestExactLadderChange: the ladder becomes longer and shorter again while records walk.
func TestExactLadderChange(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, slack time.Duration) {
		virtual(t, "5s 30s", []string{"orders"}, func(w *world) {
			got := w.watchCommitted("orders")
			n := 0
			for _, ladder := range []string{"5s 30s", "1s 5s 10s 30s 1m", "2s 1m", "5s 30s"} {
				s := w.serve("one", delivery, w.withLadder(ladder))
				for range 20 {
					n++
					w.send(w.exact(levels.HeaderFor, time.Duration(n)*3137*time.Millisecond, n))
					time.Sleep(time.Second)
				}
				s.stop()
			}
			s := w.serve("one", delivery)
			defer s.stop()
			got.wait(n, 10*time.Minute)
			time.Sleep(time.Minute)
			checkExact(t, got.now(), n, 10*time.Second)
		})
	})
}

// TestExactRefused: what cannot be read, or is too far away, is a dead letter with a
// sentence that shows what to write, by both ways in; and so is a forged due time.
func TestExactRefused(t *testing.T) {
	virtual(t, "1s 5s", []string{"orders"}, func(w *world) {
		s := w.serve("one", func(rc *router.Config, fc *forwarder.Config) {
			rc.MaxDelay, fc.MaxDelay = time.Hour, time.Hour
		})
		defer s.stop()
		s.joined()
		dead, got := w.watch(w.Names.Dead()), w.watch("orders")
		h := func(kv ...string) (headers []kgo.RecordHeader) {
			for i := 0; i < len(kv); i += 2 {
				headers = append(headers, kgo.RecordHeader{Key: kv[i], Value: []byte(kv[i+1])})
			}
			return append(headers, kgo.RecordHeader{Key: levels.HeaderTarget, Value: []byte("orders")})
		}
		seconds := strconv.FormatInt(time.Now().Unix(), 10)
		for i, c := range []struct {
			headers []kgo.RecordHeader
			code    levels.Code
			detail  string
		}{
			{h("delay-until", seconds), levels.BadTime, fmt.Sprintf("delay-until %q: looks like seconds; write milliseconds: %s000", seconds, seconds)},
			{h("delay-until", "2026-12-24T09:00:00"), levels.BadTime, `delay-until "2026-12-24T09:00:00": has no zone; write 2026-12-24T09:00:00Z for UTC, or the zone's offset as in 2026-12-24T09:00:00+01:00`},
			{h("delay-for", "5s", "delay-until", "2026-12-24T09:00:00Z"), levels.BadTime, `the record has delay-for "5s" and delay-until "2026-12-24T09:00:00Z"; write one of delay-level, delay-for and delay-until`},
			{h("delay-level", "5s", "delay-for", "5s"), levels.BadTime, `the record has delay-level "5s" and delay-for "5s"; write one of delay-level, delay-for and delay-until`},
			{h("delay-for", "61m"), levels.OverMax, `delay-for "61m" is above 1h, the longest exact delay; ask for at most that, or raise --max-delay`},
			{h("Delay-For", "61m"), levels.BadTime, `header "Delay-For" is not how the key is spelled; write delay-for`},
		} {
			for j, topic := range []string{w.Names.Inbox(), w.Names.Level(w.Ladder.First())} {
				w.send(&kgo.Record{Topic: topic, Partition: -1, Value: []byte(strconv.Itoa(i)), Headers: c.headers})
				all := dead.wait(2*i+j+1, time.Minute)
				if len(all) != 2*i+j+1 {
					t.Fatalf("%s on %s: %d dead letters, want %d", c.detail, topic, len(all), 2*i+j+1)
				}
				last := all[len(all)-1]
				if code, detail := last.header(levels.HeaderError), last.header(levels.HeaderErrorDetail); code != string(c.code) || detail != c.detail {
					t.Errorf("%s:\n got %s: %s\nwant %s: %s", topic, code, detail, c.code, c.detail)
				}
			}
		}
		before := len(dead.now())
		w.send(&kgo.Record{Topic: w.Names.Level(w.Ladder.First()), Partition: -1, Headers: h(
			"delay-hop-due", strconv.FormatInt(time.Now().Add(2*time.Hour).UnixMilli(), 10), "delay-hop-accepted", "1",
			"delay-hop-granted", "exact", "delay-hop-id", "x")})
		all := dead.wait(before+1, time.Minute)
		if len(all) != before+1 || all[before].header(levels.HeaderError) != string(levels.OverMax) {
			t.Errorf("a forged due time: %d dead letters", len(all)-before)
		}
		if len(got.now()) > 0 {
			t.Errorf("%d records were delivered", len(got.now()))
		}
	})
}

// TestExactProducer: a Go program's producer asks for exact delays and times on the levels'
// own topics, rounded by the policy or by each call. A record that a handler's owner delays
// reaches the handler in time.
func TestExactProducer(t *testing.T) {
	virtual(t, "1s 5s 10s", []string{"orders"}, func(w *world) {
		s := w.serve("one")
		defer s.stop()
		s.joined()
		got := w.watch("orders")
		policy := router.Policy{Ladder: w.Ladder, MaxDelay: time.Hour}
		nearest, err := router.NewProducer(router.ProducerConfig{Policy: policy}, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		defer nearest.Close(context.Background())
		policy.Rounding = levels.Exact
		exact, err := router.NewProducer(router.ProducerConfig{Policy: policy}, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		defer exact.Close(context.Background())
		ctx := context.Background()
		rec := func(n int) *kgo.Record { return &kgo.Record{Topic: "orders", Value: []byte(strconv.Itoa(n))} }
		at := time.Now().Add(7654 * time.Millisecond)
		receipts := make([]router.Receipt, 5)
		for i, send := range []func() (router.Receipt, error){
			func() (router.Receipt, error) { return nearest.SendFor(ctx, rec(1), 16*time.Second) },
			func() (router.Receipt, error) { return nearest.SendUntil(ctx, rec(2), at) },
			func() (router.Receipt, error) { return exact.Send(ctx, rec(3), 3*time.Second) },
			func() (router.Receipt, error) { return nearest.SendUntil(ctx, rec(4), time.Now().Add(-time.Hour)) },
			func() (router.Receipt, error) { return nearest.SendFor(ctx, rec(5), 0) },
		} {
			if receipts[i], err = send(); err != nil {
				t.Fatal(err)
			}
		}
		for i, want := range []string{"10s", "5s", "1s", "1s", "0s"} {
			if receipts[i].Level.String() != want {
				t.Errorf("record %d is on level %s at first, want %s", i+1, receipts[i].Level, want)
			}
		}
		if !receipts[1].Due.Equal(at) {
			t.Errorf("due at %v, want %v", receipts[1].Due, at)
		}
		for _, send := range []func() error{
			func() error { _, err := nearest.SendFor(ctx, rec(6), 61*time.Minute); return err },
			func() error { _, err := nearest.SendUntil(ctx, rec(6), time.Now().Add(61*time.Minute)); return err },
			func() error { _, err := exact.Send(ctx, rec(6), 61*time.Minute); return err },
		} {
			if refusal := new(router.Refusal); !errors.As(send(), &refusal) || refusal.Code != levels.OverMax {
				t.Errorf("refused as %v", refusal)
			}
		}
		got.wait(5, time.Minute)
		time.Sleep(time.Minute)
		checkExact(t, got.now(), 5, 200*time.Millisecond)
	})
}

// TestExactHandler: a program that owns its delay is handed records at exact times.
func TestExactHandler(t *testing.T) {
	virtual(t, "1s 5s 10s", nil, func(w *world) {
		type call struct {
			value string
			info  forwarder.Info
			at    time.Time
		}
		calls := make(chan call, 10)
		f, err := forwarder.New(forwarder.Config{Ladder: w.Ladder, Handler: func(ctx context.Context, rec *kgo.Record) error {
			calls <- call{string(rec.Value), forwarder.InfoOf(ctx), time.Now()}
			return nil
		}}, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		defer w.run(f.Run)()
		time.Sleep(10 * time.Second)
		p, err := router.NewProducer(router.ProducerConfig{Policy: router.Policy{Ladder: w.Ladder}, NoTarget: true}, w.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close(context.Background())
		for i, d := range []time.Duration{16500 * time.Millisecond, 1500 * time.Millisecond, 0} {
			if _, err := p.SendFor(context.Background(), &kgo.Record{Value: []byte(strconv.Itoa(i))}, d); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{"2", "1", "0"} {
			c := <-calls
			if late := c.at.Sub(c.info.Due); c.value != want || late < 0 || late > 200*time.Millisecond || c.info.Level != levels.GrantedExact {
				t.Errorf("%s (%s) is handed out %v after its due time, want %s", c.value, c.info.Level, late, want)
			}
		}
	})
}

// TestStepsTogether: records that take another step at about the same time do so in a few
// requests, and are in time nevertheless.
func TestStepsTogether(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, slack time.Duration) {
		virtual(t, "1s 5s", []string{"orders"}, func(w *world) {
			s := w.serve("one", delivery)
			defer s.stop()
			s.joined()
			got := w.watchCommitted("orders")
			const n = 1000
			for i := range n { // each a millisecond later than the one before
				rec := w.exact(levels.HeaderFor, 8*time.Second, i+1)
				rec.Topic = w.Names.Level(w.Ladder.Last())
				w.send(rec)
				time.Sleep(time.Millisecond)
			}
			var requests atomic.Int64
			w.Cluster.ControlKey(kmsg.Produce.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
				w.Cluster.KeepControl()
				requests.Add(1)
				return nil, nil, false
			})
			time.Sleep(7*time.Second - n*time.Millisecond) // before the first is delivered, behind two steps of each
			if most := 4*time.Second/(50*time.Millisecond) + 20; requests.Load() > int64(most) {
				t.Errorf("%d records were written %d times in %d requests, want at most %d", n, 2*n, requests.Load(), most)
			}
			got.wait(n, time.Minute)
			time.Sleep(time.Minute)
			checkExact(t, got.now(), n, slack)
		})
	})
}
