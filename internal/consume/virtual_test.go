//go:build synctests

package consume

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/internal/metrics"
)

const group = "group"

// world is a broker on virtual time.
type world struct {
	*fakekafka.Env
	t *testing.T
}

// virtual runs test with a topic "t" of that many partitions, on a cluster with more options.
func virtual(t *testing.T, partitions int32, test func(w *world), cluster ...kfake.Opt) {
	t.Helper()
	cfg := fakekafka.Config{Partitions: partitions, Topics: []string{"t"}, Opts: cluster}
	fakekafka.Run(t, cfg, func(t *testing.T, env *fakekafka.Env) {
		env.Connect(kgo.RecordPartitioner(kgo.ManualPartitioner()))
		test(&world{env, t})
	})
}

// fill writes n records of size bytes that cannot be compressed to a partition,
// numbered on from from.
func (w *world) fill(partition int32, from, n, size int) {
	w.t.Helper()
	w.fillTopic("t", partition, from, n, size)
}

// fillTopic does the same on any topic.
func (w *world) fillTopic(topic string, partition int32, from, n, size int) {
	w.t.Helper()
	random := rand.NewChaCha8([32]byte{})
	recs := make([]*kgo.Record, n)
	for i := range recs {
		value := make([]byte, size)
		random.Read(value)
		copy(value, strconv.Itoa(from+i)+" ")
		recs[i] = &kgo.Record{Topic: topic, Partition: partition, Value: value}
	}
	if err := w.Client.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// committed is the sum of what the group has committed in all partitions.
func (w *world) committed() (sum int64) {
	w.t.Helper()
	commits, err := w.Admin.FetchOffsetsForTopics(context.Background(), group, "t")
	if err != nil {
		w.t.Fatal(err)
	}
	commits.Each(func(o kadm.OffsetResponse) { sum += max(0, o.At) })
	return sum
}

// consume starts a consumer of "t" and returns what ends it.
func (w *world) consume(h Handler, change ...func(*Config)) (c *Consumer, stop func()) {
	w.t.Helper()
	cfg := Config{
		Group: group, Topics: []Topic{{Name: "t", Handler: h}}, Budget: DefaultBudget, PurgeAfter: PurgeOff,
		Log: zerolog.Nop(), Metrics: metrics.New(nil),
	}
	if testing.Verbose() {
		cfg.Log = zerolog.New(zerolog.NewTestWriter(w.t)).Level(zerolog.InfoLevel)
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg, w.Opts()...)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.Run(ctx); err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}()
	return c, func() { cancel(); <-ended }
}

// handler notes what it is handed, and when.
type handler struct {
	delay  time.Duration   // from the record's own time
	finish func(h *handed) // what it does with a work; nil: done at once

	mu  sync.Mutex
	all []*handed
}

type handed struct {
	*Work
	partition int32
	offset    int64
	at        time.Time
}

func (h *handler) Due(rec *kgo.Record, _ time.Time) (at time.Time, free bool) {
	if h.delay == 0 {
		return time.Time{}, false
	}
	return rec.Timestamp.Add(h.delay), false
}

func (h *handler) Handle(works []*Work) {
	for _, w := range works {
		got := &handed{w, w.Record.Partition, w.Record.Offset, time.Now()}
		h.mu.Lock()
		h.all = append(h.all, got)
		finish := h.finish
		h.mu.Unlock()
		if finish == nil {
			got.end()
		} else {
			finish(got)
		}
	}
}

func (h *handed) end() { h.Done(time.Now()) }

// now is what was handed so far.
func (h *handler) now() []*handed {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

// doneAll ends what was handed so far.
func doneAll(works []*handed) {
	for _, w := range works {
		w.end()
	}
}

func never(*handed) {}
