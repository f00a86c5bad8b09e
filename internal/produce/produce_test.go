//go:build synctests

package produce

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/fakekafka"
)

// world is a producer and the two brokers it writes to, on virtual time.
type world struct {
	*fakekafka.Env
	t        *testing.T
	producer *Producer
	codec    kgo.Compressor
	lose     atomic.Int64
}

func virtual(t *testing.T, codec kgo.CompressionCodec, test func(w *world)) {
	t.Helper()
	fakekafka.Run(t, fakekafka.Config{Brokers: 2}, func(t *testing.T, env *fakekafka.Env) {
		w := &world{Env: env, t: t}
		w.Connect(kgo.AlwaysRetryEOF(), kgo.Dialer(func(ctx context.Context, proto, addr string) (net.Conn, error) {
			time.Sleep(time.Millisecond)
			conn, err := w.Network.DialContext(ctx, proto, addr)
			return &lossy{conn, &w.lose}, err
		}))
		compressor, err := kgo.DefaultCompressor(codec)
		if err != nil {
			t.Fatal(err)
		}
		p, err := New(w.Client, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		w.producer, w.codec = p, compressor
		test(w)
	})
}

// loseAnswers closes a connection from time to time before its answer is read.
func (w *world) loseAnswers(seed uint64) (stop func()) {
	random := rand.New(rand.NewPCG(seed, 2))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 20 {
			select {
			case <-time.After(time.Duration(random.IntN(200)) * time.Millisecond):
				w.lose.Store(int64(random.IntN(2) + 1))
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// lossy is a connection whose next answers may be lost.
type lossy struct {
	net.Conn
	lose *atomic.Int64 // answers to lose
}

func (l *lossy) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if l.lose.Load() > 0 && l.lose.Add(-1) >= 0 {
		l.Conn.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

// source is a feed of numbered records for one topic. It does what the contract asks:
// it sends a batch again after an error, and drops one that is refused.
type source struct {
	p      *Producer
	codec  kgo.Compressor
	topic  string
	size   int // records of a batch
	backup time.Duration
	pace   time.Duration // between an answer and the next batch

	mu      sync.Mutex
	located chan error // has room for many
	left    []string
	batch   *Batch
	sending bool
	taken   []string // written, as the producer says
	dropped []string
}

func (w *world) source(topic string, values []string, size int) *source {
	s := &source{p: w.producer, codec: w.codec, topic: topic, size: size, left: values, backup: 10 * time.Millisecond, located: make(chan error, 1000)}
	w.producer.Locate(topic, s)
	return s
}

func (s *source) Located(n int32, err error) {
	select {
	case s.located <- err:
	default:
	}
	if err == nil {
		s.p.Ready(s.topic, 0, s)
	}
}

func (s *source) Next(int32) *Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending || s.batch == nil && len(s.left) == 0 {
		return nil
	}
	if s.batch == nil {
		s.batch = NewBatch()
		s.batch.Compressor = s.codec
		n := min(s.size, len(s.left))
		for _, v := range s.left[:n] {
			s.batch.Records = append(s.batch.Records, &kgo.Record{Key: []byte("k"), Value: []byte(v), Timestamp: time.Now()})
		}
		s.left = s.left[n:]
	}
	s.sending = true
	return s.batch
}

func (s *source) Answered(_ int32, b *Batch, a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending = false
	var values []string
	for _, rec := range b.Records {
		values = append(values, string(rec.Value))
	}
	switch {
	case a.Err == nil:
		s.taken, s.batch = append(s.taken, values...), nil
	case Refused(a.Err) && !errors.Is(a.Err, kerr.TopicAuthorizationFailed): // which may be granted
		s.dropped, s.batch = append(s.dropped, values...), nil
	default:
		time.AfterFunc(s.backup, func() { s.p.Ready(s.topic, 0, s) })
		return
	}
	if s.pace > 0 {
		time.AfterFunc(s.pace, func() { s.p.Ready(s.topic, 0, s) })
		return
	}
	s.p.Ready(s.topic, 0, s)
}

// done waits until everything has an answer.
func (s *source) done(within time.Duration) bool {
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		s.mu.Lock()
		done := len(s.left) == 0 && s.batch == nil
		s.mu.Unlock()
		if done {
			return true
		}
	}
	return false
}

func numbers(n int) (values []string) {
	for i := range n {
		values = append(values, "<"+strconv.Itoa(i)+">")
	}
	return values
}

func (w *world) log(topic string) (values []string) {
	w.t.Helper()
	ends, err := w.Admin.ListEndOffsets(context.Background(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	cl, err := kgo.NewClient(append(w.Client.Opts(), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	for int64(len(values)) < end.Offset {
		fetches := cl.PollFetches(context.Background())
		if err := fetches.Err(); err != nil {
			w.t.Fatal(err)
		}
		fetches.EachRecord(func(rec *kgo.Record) { values = append(values, string(rec.Value)) })
	}
	return values
}

// TestCodecs writes with each codec, and with the smallest, and reads it back.
func TestCodecs(t *testing.T) {
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), // zstd's decoder has a finalizer, which no bubble survives
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, codec, func(w *world) {
				if err := w.Cluster.CreateTopic("topic", 1, nil); err != nil {
					t.Fatal(err)
				}
				values := append(numbers(100), string(bytes.Repeat([]byte("x"), 10_000)))
				s := w.source("topic", values, 50)
				if !s.done(time.Minute) {
					t.Fatal("not everything has an answer")
				}
				if got := w.log("topic"); !slices.Equal(got, values) {
					t.Errorf("%d records, want %d in order", len(got), len(values))
				}
			})
		})
	}
}

// retriable are answers after which the same batch is sent again.
var retriable = []*kerr.Error{
	kerr.NotEnoughReplicas, kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.UnknownServerError, kerr.RequestTimedOut,
	kerr.KafkaStorageError, kerr.NetworkException,
}

// TestFaultsKeepOrder answers at random with errors and refusals, or loses answers of
// batches that are written: what is written is written once, in order, and only what
// was refused is missing.
func TestFaultsKeepOrder(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			virtual(t, kgo.NoCompression(), func(w *world) {
				if err := w.Cluster.CreateTopic("topic", 1, nil); err != nil {
					t.Fatal(err)
				}
				random := rand.New(rand.NewPCG(seed, 1))
				errs := retriable
				if seed%2 == 0 {
					stop := w.loseAnswers(random.Uint64())
					defer stop()
				} else { // a refusal after a lost answer would say that nothing is written
					errs = append([]*kerr.Error{kerr.InvalidRecord}, retriable...)
				}
				for range 30 {
					with := []byte("<" + strconv.Itoa(random.IntN(2000)) + ">")
					w.Cluster.Fault(kfake.Fault{
						Keys: []kmsg.Key{kmsg.Produce}, Topic: "topic", Count: random.IntN(3) + 1, Err: errs[random.IntN(len(errs))],
						When: func(req kmsg.Request) bool {
							return bytes.Contains(req.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records, with)
						},
					})
				}
				values := numbers(2000)
				s := w.source("topic", values, 7)
				if !s.done(10 * time.Minute) {
					t.Fatalf("%d of %d have no answer", len(s.left), len(values))
				}
				got := w.log("topic")
				if !slices.Equal(got, s.taken) {
					t.Errorf("%d records are written, not what was acknowledged (%d)", len(got), len(s.taken))
				}
				if !slices.IsSortedFunc(got, number) {
					t.Error("out of order")
				}
				if n := len(got) + len(s.dropped); n != len(values) {
					t.Errorf("%d written and %d refused of %d", len(got), len(s.dropped), len(values))
				}
			})
		})
	}
}

// TestFeedsShareAPartition loses answers to single records that two feeds write to one
// partition, or denies them the right to for a while: no record is taken for the other
// feed's, which a broker would see by its number.
func TestFeedsShareAPartition(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			virtual(t, kgo.NoCompression(), func(w *world) {
				if err := w.Cluster.CreateTopic("topic", 1, nil); err != nil {
					t.Fatal(err)
				}
				if seed%2 == 0 { // a refusal after a lost answer would say that nothing is written
					defer w.loseAnswers(seed)()
				} else {
					random := rand.New(rand.NewPCG(seed, 1))
					w.Cluster.Fault(kfake.Fault{
						Keys: []kmsg.Key{kmsg.Produce}, Topic: "topic", Count: 200, Err: kerr.TopicAuthorizationFailed,
						When: func(kmsg.Request) bool { return random.IntN(4) == 0 },
					})
				}
				values := numbers(2000)
				sources := []*source{w.source("topic", values[:1000], 1), w.source("topic", values[1000:], 1)}
				for _, s := range sources {
					s.mu.Lock()
					s.pace = time.Millisecond
					s.mu.Unlock()
				}
				for _, s := range sources {
					if !s.done(10 * time.Minute) {
						t.Fatalf("%d of 1000 have no answer", len(s.left))
					}
				}
				got := w.log("topic")
				for i, s := range sources {
					mine := slices.DeleteFunc(slices.Clone(got), func(v string) bool { return !slices.Contains(s.taken, v) })
					if !slices.Equal(mine, values[1000*i:1000*(i+1)]) {
						t.Errorf("%d records of a feed are written, want 1000 in order, each once", len(mine))
					}
				}
			})
		})
	}
}

// TestNoLeaderWhenTheIDArrives has a partition without a leader when the producer id that
// its batch waits for arrives: it is sent when there is one again.
func TestNoLeaderWhenTheIDArrives(t *testing.T) {
	virtual(t, kgo.NoCompression(), func(w *world) {
		if err := w.Cluster.CreateTopic("topic", 1, nil); err != nil {
			t.Fatal(err)
		}
		w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Count: 5, Err: kerr.CoordinatorLoadInProgress})
		s := w.source("topic", numbers(10), 3)
		<-s.located
		synctest.Wait()
		w.producer.mu.Lock()
		part := w.producer.topics["topic"].partitions[0]
		if part.unsent == nil {
			t.Error("no batch waits for a producer id")
		}
		part.leader = -1 // as metadata say during an election
		w.producer.mu.Unlock()
		if !s.done(time.Minute) {
			t.Error("not everything has an answer")
		}
	})
}

func number(a, b string) int {
	x, _ := strconv.Atoi(strings.Trim(a, "<>"))
	y, _ := strconv.Atoi(strings.Trim(b, "<>"))
	return x - y
}

// TestMissingTopic reports that a topic is missing each time it is asked for, and
// writes once it exists.
func TestMissingTopic(t *testing.T) {
	virtual(t, kgo.NoCompression(), func(w *world) {
		s := w.source("new", numbers(10), 3)
		for range 3 {
			if err := <-s.located; err != kerr.UnknownTopicOrPartition {
				t.Fatalf("located: %v", err)
			}
			w.producer.Locate("new", s)
		}
		if err := w.Cluster.CreateTopic("new", 1, nil); err != nil {
			t.Fatal(err)
		}
		for !s.done(time.Second) {
			w.producer.Locate("new", s)
		}
		if got := w.log("new"); !slices.Equal(got, numbers(10)) {
			t.Errorf("written: %v", got)
		}
		w.producer.Leave("new", s)
	})
}

// TestRecreatedTopic writes on when the topic was deleted and recreated: the new one
// knows no sequence numbers.
func TestRecreatedTopic(t *testing.T) {
	virtual(t, kgo.NoCompression(), func(w *world) {
		if err := w.Cluster.CreateTopic("topic", 1, nil); err != nil {
			t.Fatal(err)
		}
		s := w.source("topic", numbers(10), 3)
		if !s.done(time.Second) {
			t.Fatal("not everything has an answer")
		}
		if err := w.Cluster.DeleteTopic("topic"); err != nil {
			t.Fatal(err)
		}
		if err := w.Cluster.CreateTopic("topic", 1, nil); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.left = numbers(10)
		s.mu.Unlock()
		w.producer.Ready("topic", 0, s)
		if !s.done(time.Minute) {
			t.Fatal("not everything has an answer after the topic was recreated")
		}
		if got := w.log("topic"); !slices.Equal(got, numbers(10)) {
			t.Errorf("written: %v", got)
		}
	})
}

// TestForgottenNames keeps nothing of topics that never existed, and asks for them
// no more.
func TestForgottenNames(t *testing.T) {
	virtual(t, kgo.NoCompression(), func(w *world) {
		const n = 5000
		sources := make([]*source, n)
		for i := range sources {
			sources[i] = w.source("invented"+strconv.Itoa(i), nil, 1)
		}
		requests := w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Count: -1, Observe: true})
		for _, s := range sources {
			if err := <-s.located; err != kerr.UnknownTopicOrPartition {
				t.Fatalf("located: %v", err)
			}
			w.producer.Leave(s.topic, s)
		}
		if hits := requests.Hits(); hits > 2*n/lookTopics {
			t.Errorf("%d requests for %d names", hits, n)
		}
		before := requests.Hits()
		time.Sleep(10 * time.Minute)
		if hits := requests.Hits() - before; hits > 0 {
			t.Errorf("%d requests for names that nobody uses", hits)
		}
		w.producer.mu.Lock()
		defer w.producer.mu.Unlock()
		if len(w.producer.topics) > 0 {
			t.Errorf("%d topics are remembered", len(w.producer.topics))
		}
	})
}
