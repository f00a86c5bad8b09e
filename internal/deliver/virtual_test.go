//go:build synctests

package deliver

import (
	"context"
	"math/rand/v2"
	"net"
	"reflect"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// world is an outbox, the two brokers that it writes to, and a clock of its own.
// Targets are led by the first broker, but for "apart", which the second one leads
// together with the service's topics: a broker answers the requests of a
// connection one after the other, so that one that hangs holds up what it leads.
type world struct {
	*fakekafka.Env
	t     *testing.T
	names levels.Names
	out   *Outbox
	// slow is how long a request is on its way, in nanoseconds.
	slow atomic.Int64
}

// dial connects to a broker over a line that is as slow as w.slow says.
func (w *world) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := w.Network.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &slowConn{conn, &w.slow}, nil
}

type slowConn struct {
	net.Conn
	slow *atomic.Int64
}

func (l *slowConn) Write(b []byte) (int, error) {
	time.Sleep(time.Duration(l.slow.Load()))
	return l.Conn.Write(b)
}

// virtual runs test with an outbox that waits and gives up as cfg says.
func virtual(t *testing.T, cfg Config, test func(w *world)) {
	t.Helper()
	fakekafka.Run(t, fakekafka.Config{Brokers: 2}, func(t *testing.T, env *fakekafka.Env) {
		w := &world{Env: env, t: t, names: levels.Names{Prefix: levels.DefaultPrefix}}
		for topic, node := range map[string]int32{w.names.Parked(): 1, w.names.Dead(): 1, "sick": 0, "apart": 1} {
			w.create(topic, node, map[string]string{"max.message.bytes": "8000000"})
		}
		slow := kgo.Dialer(w.dial)
		w.Connect(slow)
		cfg.Names, cfg.Metrics = w.names, metrics.New(nil)
		switch {
		case !reflect.ValueOf(cfg.Log).IsZero():
		case !testing.Verbose():
			cfg.Log = zerolog.Nop()
		default:
			cfg.Log = zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.InfoLevel)
		}
		var err error
		if w.out, err = NewOutbox(cfg, append(w.Opts(), slow)...); err != nil {
			t.Fatal(err)
		}
		if err := w.out.Start(); err != nil {
			t.Fatal(err)
		}
		defer w.out.Close()
		test(w)
	})
}

// create makes a topic with one partition, led by node.
func (w *world) create(topic string, node int32, config map[string]string) {
	w.t.Helper()
	if err := w.Cluster.CreateTopic(topic, 1, config); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Cluster.MoveTopicPartition(topic, 0, node); err != nil {
		w.t.Fatal(err)
	}
}

// refuse has the broker answer every write to topic with err, until it is removed.
func (w *world) refuse(topic string, err *kerr.Error) *kfake.FaultHandle {
	return w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: err, Count: -1})
}

// owner is a record's owner that notes when its calls came.
type owner struct {
	gone atomic.Bool // the partition is another instance's
	done atomic.Pointer[time.Time]
}

func (o *owner) Live() bool { return !o.gone.Load() }

func (*owner) Work() *consume.Work { return nil }

func (o *owner) Done(time.Time) {
	now := time.Now()
	if o.done.Swap(&now) != nil {
		panic("told twice")
	}
}

// after is how long after start the owner was called; an hour when it was not.
func (o *owner) after(start time.Time) time.Duration {
	if done := o.done.Load(); done != nil {
		return done.Sub(start)
	}
	return time.Hour
}

// send delivers a batch of one.
func (w *world) send(o Owner, src *kgo.Record, f Facts) {
	batch := w.out.NewBatch(1)
	batch.Deliver(o, src, record.Read(src.Headers), f)
	batch.Send()
}

// deliver delivers a record of partition 0 of a level.
func (w *world) deliver(topic, value string) *owner { return w.deliverFrom(0, topic, value) }

// deliverFrom delivers a record of a partition of a level.
func (w *world) deliverFrom(partition int32, topic, value string) *owner {
	o := new(owner)
	w.send(o, &kgo.Record{Topic: "delay.level.1s", Partition: partition, Key: []byte("k"), Value: []byte(value)},
		Facts{Topic: topic, ID: "id", Granted: "1s", Partition: ByKey})
	return o
}

// deliverAll delivers n records, numbered from 1.
func (w *world) deliverAll(topic string, n int) []*owner {
	owners := make([]*owner, n)
	for i := range owners {
		owners[i] = w.deliver(topic, strconv.Itoa(i+1))
	}
	return owners
}

// told is how many owners were called.
func told(owners []*owner) (n int) {
	for _, o := range owners {
		if o.done.Load() != nil {
			n++
		}
	}
	return n
}

// log reads a topic from its start to its end.
func (w *world) log(topic string) []*kgo.Record {
	w.t.Helper()
	ctx := context.Background()
	ends, err := w.Admin.ListEndOffsets(ctx, topic)
	if err != nil {
		w.t.Fatal(err)
	}
	var left int64
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	cl, err := kgo.NewClient(append(w.Client.Opts(), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	var recs []*kgo.Record
	for int64(len(recs)) < left {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			w.t.Fatal(err)
		}
		recs = append(recs, fetches.Records()...)
	}
	return recs
}

func texts(recs []*kgo.Record) []string {
	vs := make([]string, len(recs))
	for i, r := range recs {
		vs[i] = string(r.Value)
	}
	return vs
}

// codes are why the dead letters died, by their values.
func (w *world) codes() map[string]levels.Code {
	codes := make(map[string]levels.Code)
	for _, rec := range w.log(w.names.Dead()) {
		code, _ := record.Last(rec.Headers, levels.HeaderError)
		codes[string(rec.Value)] = levels.Code(code)
	}
	return codes
}

// all is codes for n records that share one.
func all(n int, code levels.Code) map[string]levels.Code {
	codes := make(map[string]levels.Code)
	for i := range n {
		codes[strconv.Itoa(i+1)] = code
	}
	return codes
}

func numbers(from, to int) []string {
	var vs []string
	for i := from; i <= to; i++ {
		vs = append(vs, strconv.Itoa(i))
	}
	return vs
}

// commit says that the forwarders have handled the parked records up to offset.
func (w *world) commit(offset int64) {
	w.t.Helper()
	var os kadm.Offsets
	os.AddOffset(w.names.Parked(), 0, offset, -1)
	if err := w.Admin.CommitAllOffsets(context.Background(), w.names.ForwarderGroup(), os); err != nil {
		w.t.Fatal(err)
	}
}

// redeliver tries again what is parked from an offset on.
func (w *world) redeliver(from int) []*owner {
	var owners []*owner
	for _, rec := range w.log(w.names.Parked())[from:] {
		o := new(owner)
		w.redeliverOne(o, rec)
		owners = append(owners, o)
	}
	return owners
}

// redeliverOne tries a parked record again.
func (w *world) redeliverOne(o Owner, parked *kgo.Record) {
	batch := w.out.NewBatch(1)
	batch.Redeliver(o, parked, &record.Targets{Names: w.names})
	batch.Send()
}

// incompressible is text of n bytes that no codec makes much smaller.
func incompressible(n int) string {
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('!' + random.IntN(90))
	}
	return string(b)
}
