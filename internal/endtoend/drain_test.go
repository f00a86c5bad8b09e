//go:build synctests

package endtoend

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/router"
)

// TestOutage has three targets refuse all writes for half a minute, with two instances
// and so much traffic that what is parked exceeds the memory for it many times. Two are
// on time again soon after they are healthy, while the third stays down, and all keep
// the order of their keys.
func TestOutage(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery func(*router.Config, *forwarder.Config), linger time.Duration) {
		virtual(t, "1s", []string{"a", "b", "down", "well"}, func(w *world) {
			const (
				partitions = 8
				budget     = 4 << 20
				rate       = 60 // records of each target per second
				size       = 10_000
				within     = 10 * time.Second // until a target is on time again

				reopening = time.Second // how long records may wait for the last that are parked
			)
			if _, err := w.Admin.CreatePartitions(context.Background(), partitions-2, w.Names.Parked()); err != nil {
				t.Fatal(err)
			}
			small := func(_ *router.Config, fc *forwarder.Config) { fc.Budget = budget }
			faults := make(map[string]func())
			for _, topic := range []string{"a", "b", "down"} {
				faults[topic] = w.Cluster.Fault(kfake.Fault{
					Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.NotEnoughReplicas, Count: -1,
				}).Remove
			}
			for _, instance := range []string{"one", "two"} {
				s := w.serve(instance, delivery, small)
				defer s.stop()
				s.joined()
			}
			got := w.watchCommitted("a", "b", "well")
			random := make([]byte, 1<<20)
			rand.NewChaCha8([32]byte{}).Read(random)
			start := time.Now()
			n := 0
			send := func(d time.Duration) {
				for range int(d/time.Second) * rate {
					n++
					at := n * size % (len(random) - size)
					body := kgo.RecordHeader{Key: "body", Value: random[at : at+size]} // no two fetched at once are alike
					for _, to := range []string{"a", "b", "down", "well"} {
						w.Client.Produce(context.Background(), w.direct("1s", to, "k"+strconv.Itoa(n%20), strconv.Itoa(n), body), nil)
					}
					time.Sleep(time.Second / rate)
				}
			}
			send(30 * time.Second)
			faults["a"]()
			faults["b"]()
			healthy := time.Now()
			send(30 * time.Second)
			all := got.wait(3*n, time.Minute)
			once(t, all, 3*n)
			inOrder(t, all)
			for _, a := range all {
				since := healthy
				if a.Topic == "well" { // the others' records share its memory until they are parked
					since = start
				}
				if a.late() > linger+reopening && a.at.Sub(since) > within {
					t.Errorf("%s/%s: %v late, %v after its target was healthy", a.Topic, a.Value, a.late(), a.at.Sub(healthy))
				}
			}
			down := w.watchCommitted("down")
			faults["down"]()
			all = down.wait(n, time.Minute)
			once(t, all, n)
			inOrder(t, all)
			if most := w.mostShelves(); most < 2 {
				t.Errorf("the records of a target were parked on %d partition: one instance alone delivers them", most)
			}
		})
	})
}

// TestDrainTime: records that were parked reach a target that is healthy again nearly as
// fast as a release from a level would. What virtual time passes between their first
// arrival and their last is what the drain waits for, whatever the machine: an idle fetch
// that is under way has to end before partitions that were held back join the next.
func TestDrainTime(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery func(*router.Config, *forwarder.Config), linger time.Duration) {
		virtual(t, "1s", nil, func(w *world) {
			const (
				n          = 20_000 // many times the memory for them
				budget     = 4 << 20
				partitions = 4
				idle       = 250 * time.Millisecond // how long an idle fetch lasts
			)
			if err := w.Cluster.CreateTopic("ill", partitions, nil); err != nil {
				t.Fatal(err)
			}
			refuse := w.Cluster.Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Produce}, Topic: "ill", Err: kerr.NotEnoughReplicas, Count: -1,
			})
			s := w.serve("one", delivery, func(_ *router.Config, fc *forwarder.Config) { fc.Budget = budget })
			defer s.stop()
			s.joined()
			body := kgo.RecordHeader{Key: "body", Value: make([]byte, 500)}
			for i := range n {
				w.Client.Produce(context.Background(), w.direct("1s", "ill", "k"+strconv.Itoa(i%500), strconv.Itoa(i+1), body), nil)
			}
			for w.end(w.Names.Parked()) < n {
				time.Sleep(100 * time.Millisecond)
			}
			got := w.watchCommitted("ill")
			refuse.Remove()
			all := got.wait(n, time.Minute)
			once(t, all, n)
			inOrder(t, all)
			if took := all[len(all)-1].at.Sub(all[0].at); took > 2*idle+linger {
				t.Errorf("%d records took %v", n, took)
			}
		})
	})
}

// TestReleaseTime: with a broker that is 5 ms away, a release waits for nothing but its
// answers: a little more than each record's share of a batch. What virtual time passes
// does not depend on the machine.
func TestReleaseTime(t *testing.T) {
	virtual(t, "1s", nil, func(w *world) {
		const (
			n          = 100_000
			partitions = 4
			away       = 5 * time.Millisecond
			within     = 500 * time.Millisecond
		)
		if err := w.Cluster.CreateTopic("out", partitions, nil); err != nil {
			t.Fatal(err)
		}
		body := kgo.RecordHeader{Key: "body", Value: make([]byte, 200)}
		for i := range n {
			w.Client.Produce(context.Background(), w.direct("1s", "out", "k"+strconv.Itoa(i%500), strconv.Itoa(i+1), body), nil)
		}
		if err := w.Client.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // all are due
		dial, none := w.dial, new(atomic.Bool)
		w.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &lossyConn{conn, away, none}, nil
		}
		s := w.serve("one")
		defer s.stop()
		w.dial = dial
		var first time.Time
		for have := int64(0); have < n; have = w.end("out") {
			if have > 0 && first.IsZero() {
				first = time.Now()
			}
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(first); took > within {
			t.Errorf("%d records took %v", n, took)
		}
	})
}

// end returns how many records a topic has had.
func (w *world) end(topic string) (n int64) {
	w.t.Helper()
	ends, err := w.Admin.ListEndOffsets(context.Background(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

// mostShelves returns on how many partitions the records of one target were parked, at
// most.
func (w *world) mostShelves() (most int) {
	on := make(map[string]map[int32]bool)
	for _, a := range w.watchCommitted(w.Names.Parked()).wait(1<<20, 10*time.Second) {
		target := string(a.Key)
		if on[target] == nil {
			on[target] = make(map[int32]bool)
		}
		on[target][a.Partition] = true
		most = max(most, len(on[target]))
	}
	return most
}
