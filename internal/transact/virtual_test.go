//go:build synctests

package transact

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/fakekafka"
)

// world is a broker with a topic "t", and the producers of a loop, on virtual time.
type world struct {
	*fakekafka.Env
	t  *testing.T
	ps *Producers
}

func virtual(t *testing.T, test func(w *world)) {
	t.Helper()
	fakekafka.Run(t, fakekafka.Config{Partitions: 1, Topics: []string{"t"}}, func(t *testing.T, env *fakekafka.Env) {
		options := func(int) []kgo.Opt { return append(env.Opts(), kgo.ProducerLinger(0)) }
		env.Connect(kgo.ProducerLinger(0))
		w := &world{Env: env, t: t}
		w.ps = New(context.Background(), Config{
			Group: "group", Member: "member", Name: NameDirect, Client: env.Client, Options: options, Log: zerolog.Nop(),
		})
		defer w.ps.Close()
		if err := w.ps.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		test(w)
	})
}

// begin begins a transaction and writes a record in it.
func (w *world) begin() *Producer {
	w.t.Helper()
	p, err := w.ps.Acquire(context.Background(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	answer := make(chan error, 1)
	p.Produce(context.Background(), &kgo.Record{Topic: "t", Value: []byte("v")}, func(_ *kgo.Record, err error) { answer <- err })
	if err := <-answer; err != nil {
		w.t.Fatal(err)
	}
	return p
}

// abort aborts the transaction that begin began.
func (w *world) abort(p *Producer) {
	w.t.Helper()
	if !p.Abort(context.Background(), func() map[string][]int32 { return map[string][]int32{"t": {0}} }) {
		w.t.Fatal("it is not certain that the transaction was aborted")
	}
}

// refuse makes the coordinator refuse to end what the id has left open.
func (w *world) refuse(p *Producer) *kfake.FaultHandle {
	return w.Cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.InitProducerID}, TopLevel: true, Err: kerr.TransactionalIDAuthorizationFailed, Count: -1,
		When: func(req kmsg.Request) bool {
			id := req.(*kmsg.InitProducerIDRequest).TransactionalID
			return id != nil && *id == p.id
		},
	})
}

// open reports whether a transaction of p's id is open.
func (w *world) open(p *Producer) bool {
	w.t.Helper()
	outcome, begun, err := p.lastOutcome(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return begun && outcome == consume.Unknown
}

// TestProducersTakeTurns: while all outcomes are known two producers take turns.
func TestProducersTakeTurns(t *testing.T) {
	virtual(t, func(w *world) {
		first := w.begin()
		w.abort(first)
		w.ps.Release()
		second := w.begin()
		w.abort(second)
		w.ps.Release()
		if third := w.begin(); first == second || third != first {
			t.Errorf("the first three transactions are those of %s, %s and %s", first.id, second.id, third.id)
		}
	})
}

// TestRetired: the transaction of a retired producer is ended in the background, while
// others take its place. It is not used again while that is not known, as long as there
// are others.
func TestRetired(t *testing.T) {
	virtual(t, func(w *world) {
		retired := w.begin()
		refused := w.refuse(retired)
		w.ps.Retire()
		if retired.client != nil {
			t.Error("a retired producer keeps its client")
		}
		for range 2 * len(w.ps.all) {
			p := w.begin()
			if p == retired {
				t.Fatal("a producer is used again before the outcome of its last transaction is known")
			}
			w.ps.Retire()
			time.Sleep(10 * time.Millisecond) // that of the others is known soon
		}
		if !w.open(retired) {
			t.Error("its transaction has ended although the coordinator refuses that")
		}
		refused.Remove()
		time.Sleep(2 * backoffMax)
		if w.open(retired) || !retired.known() {
			t.Error("its transaction is open, or its outcome is not known")
		}
	})
}

// TestAllRetired: where no outcome is known, that of the producer which was retired
// longest ago is found out before it is used again.
func TestAllRetired(t *testing.T) {
	virtual(t, func(w *world) {
		var refused []*kfake.FaultHandle
		for range w.ps.all[2:] {
			p := w.begin()
			refused = append(refused, w.refuse(p))
			w.ps.Retire()
		}
		began := time.Now()
		time.AfterFunc(10*time.Second, func() {
			for _, f := range refused {
				f.Remove()
			}
		})
		for range w.ps.all[:2] {
			w.begin()
			w.ps.Retire()
		}
		w.begin()
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it took %v until a producer could be used again", took)
		}
	})
}

// TestMarkersRewritten: after a broker has gone the other producer has the end of its last
// transaction marked once more before it begins the next one.
func TestMarkersRewritten(t *testing.T) {
	virtual(t, func(w *world) {
		first := w.begin()
		w.abort(first)
		w.ps.Release()
		second := w.begin()
		w.ps.BrokerGone()
		w.abort(second)
		w.ps.Release()
		ends := w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Observe: true, Count: -1})
		defer ends.Remove()
		if p := w.begin(); p != first || p.markersUncertain || ends.Hits() != 1 {
			t.Errorf("%s begins after %d markers were written once more, want 1 of %s", p.id, ends.Hits(), first.id)
		}
	})
}
