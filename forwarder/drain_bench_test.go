//go:build unix

package forwarder

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

const (
	benchRecords = 300_000
	benchTarget  = "orders"
)

// BenchmarkDrain measures how fast parked records reach a target that is healthy
// again, and beside it a release of as many records straight from a level. Run it with
// -benchtime 1x -count N for N interleaved pairs. The CPU time includes the broker's;
// its ratio is the steadier one on a busy machine.
func BenchmarkDrain(b *testing.B) {
	for _, delivery := range []Delivery{AtLeastOnce, ExactlyOnce} {
		b.Run(delivery.String(), func(b *testing.B) {
			var released, drained pace
			for range b.N {
				released.add(flow(b, delivery, false))
				drained.add(flow(b, delivery, true))
			}
			b.ReportMetric(released.perSecond(), "released/s")
			b.ReportMetric(drained.perSecond(), "drained/s")
			b.ReportMetric(drained.perSecond()/released.perSecond(), "drained/released")
			b.ReportMetric(released.perRecord(), "release-cpu-µs")
			b.ReportMetric(drained.perRecord(), "drain-cpu-µs")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// pace is in what time records arrived, by the clock and the CPU.
type pace struct {
	records  float64
	cpu, all time.Duration
}

func (p *pace) add(q pace) { p.records, p.cpu, p.all = p.records+q.records, p.cpu+q.cpu, p.all+q.all }

func (p pace) perSecond() float64 { return p.records / p.all.Seconds() }

func (p pace) perRecord() float64 { return float64(p.cpu.Microseconds()) / p.records }

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// flow returns the pace of what arrives, from the first arrival to the last, when
// benchRecords are overdue on a level, or are parked and their target is healthy again.
func flow(b *testing.B, delivery Delivery, parked bool) pace {
	w := newBenchWorld(b)
	defer w.cluster.Close()
	defer w.client.Close()
	w.fill(benchRecords)
	time.Sleep(1100 * time.Millisecond) // all are due

	heal := func() {}
	if parked {
		heal = w.cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: benchTarget, Err: kerr.NotEnoughReplicas, Count: -1,
		}).Remove
	}
	cfg := DefaultConfig()
	cfg.Ladder, cfg.Delivery, cfg.Instance, cfg.PurgeAfter = w.ladder, delivery, "one", PurgeOff
	f, err := New(cfg, w.opts()...)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}()
	if parked {
		w.await(cfg.Names.Parked(), benchRecords)
		heal()
	}
	return w.await(benchTarget, benchRecords)
}

type benchWorld struct {
	b       *testing.B
	cluster *kfake.Cluster
	client  *kgo.Client
	adm     *kadm.Client
	ladder  levels.Ladder
}

func newBenchWorld(b *testing.B) *benchWorld {
	w := &benchWorld{b: b}
	var err error
	if w.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, benchTarget)); err != nil {
		b.Fatal(err)
	}
	if w.client, err = kgo.NewClient(append(w.opts(), kgo.RecordPartitioner(record.Partitioner()))...); err != nil {
		b.Fatal(err)
	}
	if w.ladder, err = levels.Parse("1s"); err != nil {
		b.Fatal(err)
	}
	w.adm = kadm.NewClient(w.client)
	spec := admin.Spec{Ladder: w.ladder, Names: levels.Names{Prefix: levels.DefaultPrefix}, Partitions: 4, Replicas: -1}
	if _, err := admin.Ensure(b.Context(), w.client, spec); err != nil {
		b.Fatal(err)
	}
	return w
}

func (w *benchWorld) opts() []kgo.Opt { return []kgo.Opt{kgo.SeedBrokers(w.cluster.ListenAddrs()...)} }

// fill writes n records of 200 bytes with a thousand keys to the level.
func (w *benchWorld) fill(n int) {
	value := make([]byte, 200)
	for i := range value {
		value[i] = 'a' + byte(i%26)
	}
	headers := []kgo.RecordHeader{{Key: levels.HeaderTarget, Value: []byte(benchTarget)}}
	for i := range n {
		w.client.Produce(context.Background(), &kgo.Record{
			Topic: "delay.level.1s", Partition: levels.ByKey, Key: []byte("order-" + strconv.Itoa(i%1000)), Value: value, Headers: headers,
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				panic(fmt.Sprintf("write to the level: %v", err))
			}
		})
	}
	if err := w.client.Flush(context.Background()); err != nil {
		w.b.Fatal(err)
	}
}

// await waits until topic holds n records, and returns in what time they came.
func (w *benchWorld) await(topic string, n int64) pace {
	var first int64
	var since time.Time
	var used time.Duration
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(2 * time.Millisecond) {
		ends, err := w.adm.ListEndOffsets(context.Background(), topic)
		if err != nil {
			w.b.Fatal(err)
		}
		var have int64
		ends.Each(func(o kadm.ListedOffset) { have += o.Offset })
		now := time.Now()
		switch {
		case have >= n:
			return pace{float64(have - first), cpu() - used, now.Sub(since)}
		case have > 0 && first == 0:
			first, since, used = have, now, cpu()
		case now.After(deadline):
			w.b.Fatalf("%s holds %d records, want %d", topic, have, n)
		}
	}
}
