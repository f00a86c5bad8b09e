//go:build synctests

package endtoend

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/deliver"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// missingWait lets a target be missing for a while.
func missingWait(d time.Duration) func(*router.Config, *forwarder.Config) {
	return func(rc *router.Config, fc *forwarder.Config) {
		rc.MissingTargetWait, fc.MissingTargetWait = d, d
	}
}

// pending is what the forwarder's group has not committed of its level topics,
// less what is still on its way to being due.
func (w *world) uncommitted(level string) int64 {
	d, _ := levels.ParseDelay(level)
	topic := w.Names.Level(levels.Level{Delay: d})
	ends, err := w.Admin.ListEndOffsets(context.Background(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	commits, err := w.Admin.FetchOffsetsForTopics(context.Background(), w.Names.ForwarderGroup(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	var n int64
	ends.Each(func(end kadm.ListedOffset) {
		c, _ := commits.Lookup(end.Topic, end.Partition)
		n += end.Offset - max(0, c.At)
	})
	return n
}

// TestSickTargets has one target missing and another refuse all writes for ten
// minutes, while a third goes on.
func TestSickTargets(t *testing.T) {
	for _, sick := range []struct {
		name        string
		break_, fix func(w *world)
	}{
		{"missing", func(*world) {}, func(w *world) {
			if _, err := w.Admin.CreateTopics(context.Background(), 2, 1, nil, "sick"); err != nil {
				w.t.Fatal(err)
			}
		}},
		{"refuses", func(w *world) {
			w.fix = w.Cluster.Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Produce}, Topic: "refusing", Err: kerr.NotEnoughReplicas, Count: -1,
			}).Remove
		}, func(w *world) { w.fix() }},
	} {
		t.Run(sick.name, func(t *testing.T) {
			t.Parallel()
			target := map[string]string{"missing": "sick", "refuses": "refusing"}[sick.name]
			virtual(t, "5s 10s", []string{"well", "refusing"}, func(w *world) {
				s := w.serve("one", missingWait(15*time.Minute))
				defer s.stop()
				sick.break_(w)
				well, ill := w.watch("well"), w.watch(target)
				var n int
				for range 600 { // ten minutes
					n++
					for _, to := range []string{"well", target} {
						w.send(w.request("5s", to, "inbox"+strconv.Itoa(n%5), strconv.Itoa(n)),
							w.direct("10s", to, "direct"+strconv.Itoa(n%5), strconv.Itoa(n)))
					}
					time.Sleep(time.Second)
					if n%100 == 0 {
						// 4 a second wait 5 s or 10 s; all that was sent to the unavailable target stands aside.
						if u := w.uncommitted("10s"); u > 60 {
							t.Errorf("after %d s: %d records of level 10s are not committed", n, u)
						}
						if err := s.forwarder.Ready(); err != nil {
							t.Errorf("after %d s: %v", n, err)
						}
					}
				}
				if len(ill.now()) > 0 {
					t.Fatalf("%d records came to the unavailable target", len(ill.now()))
				}
				sick.fix(w)
				fixed := time.Now()
				for range 60 { // and a minute with it well
					n++
					w.send(w.request("5s", target, "inbox"+strconv.Itoa(n%5), strconv.Itoa(n)),
						w.direct("10s", target, "direct"+strconv.Itoa(n%5), strconv.Itoa(n)))
					time.Sleep(time.Second)
				}
				late := well.wait(1200, time.Minute)
				once(t, late, 1200)
				onTime(t, late)
				inOrder(t, late)
				all := ill.wait(2*n, time.Minute)
				once(t, all, 2*n)
				inOrder(t, all)
				for _, a := range all {
					if a.late() < 0 {
						t.Errorf("%s: early", a.Value)
					}
					if waited := a.at.Sub(fixed); a.late() > linger && waited > 10*time.Second {
						t.Errorf("%s/%s: %v late, %v after the target was well", a.Key, a.Value, a.late(), waited)
					}
				}
			})
		})
	}
}

// TestSickNeighbour has a target refuse writes for ten seconds while another does so
// all along: what is parked for the one must not wait for the other. All three names
// point to the same partition of the parked topic.
func TestSickNeighbour(t *testing.T) {
	for _, brief := range []string{"brief", "short"} {
		t.Run(brief, func(t *testing.T) {
			t.Parallel()
			virtual(t, "1s 5s", []string{"long", brief}, func(w *world) {
				refuse := func(topic string) func() {
					return w.Cluster.Fault(kfake.Fault{
						Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.NotEnoughReplicas, Count: -1,
					}).Remove
				}
				fixLong, fixBrief := refuse("long"), refuse(brief)
				s := w.serve("one")
				got := w.watch(brief)
				var n int
				send := func(seconds int) {
					for range seconds {
						n++
						w.send(w.request("1s", "long", "k", strconv.Itoa(n)), w.request("1s", brief, "k", strconv.Itoa(n)))
						time.Sleep(time.Second)
					}
				}
				send(10)
				fixBrief()
				send(30)
				well := time.Now()
				send(300)
				all := got.wait(n, 10*time.Second)
				once(t, all, n)
				inOrder(t, all)
				for _, a := range all {
					if a.at.After(well) && a.late() > linger {
						t.Errorf("%s: %v late, long after its target was well", a.Value, a.late())
					}
				}
				parked := 0
				for _, a := range w.watch(w.Names.Parked()).wait(n, time.Second) {
					if string(a.Key) == brief {
						parked++
					}
				}
				if parked == 0 || parked > 40 {
					t.Errorf("%d records of %d were parked, want those of the ten seconds and a few after", parked, n)
				}
				fixLong()
				once(t, w.watch("long").wait(n, time.Minute), n)
				s.stop()
			})
		})
	}
}

// TestMissingTarget waits for a target that never comes.
func TestMissingTarget(t *testing.T) {
	virtual(t, "1s 5s", []string{"orders"}, func(w *world) {
		s := w.serve("one")
		defer s.stop()
		dead, got := w.watch(w.Names.Dead()), w.watch("orders")
		sent := time.Now()
		for i := range 50 {
			w.send(w.request("1s", "nowhere", "k", strconv.Itoa(i+1)), w.request("1s", "orders", "k", strconv.Itoa(i+1)))
		}
		all := dead.wait(50, time.Hour)
		once(t, all, 50)
		for _, a := range all {
			if code := a.header(levels.HeaderError); code != string(levels.UnknownTopic) {
				t.Errorf("%s: code %q: %s", a.Value, code, a.header(levels.HeaderErrorDetail))
			}
			waited := a.at.Sub(sent.Add(time.Second))
			if waited < deliver.DefaultMissingTargetWait || waited > 2*deliver.DefaultMissingTargetWait {
				t.Errorf("%s: dead %v after it was due", a.Value, waited)
			}
			if a.header(levels.HeaderTarget) != "nowhere" || a.header(levels.HeaderLevel) != "1s" {
				t.Errorf("%s: the request is gone: %v", a.Value, a.Headers)
			}
		}
		onTime(t, got.wait(50, time.Minute))
	})
}

// TestOversize sends one record that its target does not take among many that
// it does, to one partition.
func TestOversize(t *testing.T) {
	virtual(t, "1s 5s", nil, func(w *world) {
		limit := "20000"
		if _, err := w.Admin.CreateTopic(context.Background(), 1, 1, map[string]*string{"max.message.bytes": &limit}, "small"); err != nil {
			t.Fatal(err)
		}
		s := w.serve("one")
		defer s.stop()
		dead, got := w.watch(w.Names.Dead()), w.watch("small")
		for i := range 300 {
			value := strings.Repeat("0", 100) + strconv.Itoa(i+1)
			if i == 150 {
				value = incompressible(30_000)
			}
			w.Client.Produce(context.Background(), w.direct("1s", "small", "k", value), nil)
		}
		all := got.wait(299, time.Minute)
		once(t, all, 299)
		inOrder(t, all)
		died := dead.wait(1, time.Minute)
		if len(died) != 1 || died[0].header(levels.HeaderError) != string(levels.TooLarge) || len(died[0].Value) < 30_000 {
			t.Errorf("%d dead letters, want the one that is too large", len(died))
		}
	})
}

// incompressible is a number of n digits that no codec makes much smaller.
func incompressible(n int) string {
	random := rand.New(rand.NewPCG(1, 2))
	digits := make([]byte, n)
	for i := range digits {
		digits[i] = byte('!' + random.IntN(90))
	}
	return string(digits)
}

// TestDeadLetters writes records that can never be delivered, each in its own
// way, and good ones between them.
func TestDeadLetters(t *testing.T) {
	header := func(k, v string) kgo.RecordHeader { return kgo.RecordHeader{Key: k, Value: []byte(v)} }
	cases := []struct {
		code    levels.Code
		headers []kgo.RecordHeader
	}{
		{levels.BadLevel, []kgo.RecordHeader{header(levels.HeaderTarget, "orders")}},
		{levels.BadLevel, []kgo.RecordHeader{header(levels.HeaderLevel, "-5s"), header(levels.HeaderTarget, "orders")}},
		{levels.BadLevel, []kgo.RecordHeader{header(levels.HeaderLevel, "soon"), header(levels.HeaderTarget, "orders")}},
		{levels.NoTarget, []kgo.RecordHeader{header(levels.HeaderLevel, "1s")}},
		{levels.NoTarget, []kgo.RecordHeader{header(levels.HeaderLevel, "1s"), header(levels.HeaderTarget, "")}},
		{levels.IllegalTarget, []kgo.RecordHeader{header(levels.HeaderLevel, "1s"), header(levels.HeaderTarget, "a b")}},
		{levels.ForbiddenTarget, []kgo.RecordHeader{header(levels.HeaderLevel, "1s"), header(levels.HeaderTarget, "delay.inbox")}},
		{levels.ForbiddenTarget, []kgo.RecordHeader{header(levels.HeaderLevel, "1s"), header(levels.HeaderTarget, "delay.level.5s")}},
		{levels.ForbiddenTarget, []kgo.RecordHeader{header(levels.HeaderLevel, "1s"), header(levels.HeaderTarget, "__consumer_offsets")}},
		{levels.BadPartition, []kgo.RecordHeader{header(levels.HeaderLevel, "1s"), header(levels.HeaderTarget, "orders"), header(levels.HeaderPartition, "x")}},
		{levels.BadPartition, []kgo.RecordHeader{header(levels.HeaderLevel, "1s"), header(levels.HeaderTarget, "orders"), header(levels.HeaderPartition, "99")}},
	}
	virtual(t, "1s 5s", []string{"orders"}, func(w *world) {
		s := w.serve("one")
		defer s.stop()
		dead, got := w.watch(w.Names.Dead()), w.watch("orders")
		want := make(map[string]levels.Code)
		n := 0
		for _, topic := range []string{w.Names.Inbox(), w.Names.Level(levels.Level{Delay: time.Second})} {
			for i, c := range cases {
				if topic != w.Names.Inbox() && c.code == levels.BadLevel {
					continue // the topic is the level
				}
				value := fmt.Sprint(topic, i)
				want[value] = c.code
				w.send(&kgo.Record{Topic: topic, Partition: -1, Key: []byte("k"), Value: []byte(value), Headers: c.headers})
				n++
				w.send(w.request("1s", "orders", "k", strconv.Itoa(n)))
			}
		}
		for _, a := range dead.wait(len(want), time.Minute) {
			if code := a.header(levels.HeaderError); code != string(want[string(a.Value)]) {
				t.Errorf("%s: code %q, want %q: %s", a.Value, code, want[string(a.Value)], a.header(levels.HeaderErrorDetail))
			}
			if !bytes.Equal(a.Key, []byte("k")) || a.header(levels.HeaderOrigin) == "" || a.header(levels.HeaderErrorDetail) == "" {
				t.Errorf("%s: key %q, headers %v", a.Value, a.Key, a.Headers)
			}
			delete(want, string(a.Value))
		}
		if len(want) > 0 {
			t.Errorf("no dead letter for %v", want)
		}
		all := got.wait(n, time.Minute)
		once(t, all, n)
		inOrder(t, all)
	})
}

// TestSickThroughRestart restarts the service while records are parked: what
// comes after the restart must not overtake them.
func TestSickThroughRestart(t *testing.T) {
	virtual(t, "1s 5s", []string{"well", "sick"}, func(w *world) {
		fault := w.Cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: "sick", Err: kerr.NotEnoughReplicas, Count: -1,
		})
		s := w.serve("one")
		got := w.watch("sick")
		n := 0
		send := func(count int) {
			for range count {
				n++
				w.send(w.request("1s", "sick", "k", strconv.Itoa(n)))
				time.Sleep(100 * time.Millisecond)
			}
		}
		send(200)
		s.stop()
		send(50)
		fault.Remove()
		s = w.serve("one")
		defer s.stop()
		send(200)
		all := got.wait(n, time.Minute)
		once(t, all, n)
		inOrder(t, all)
	})
}
