//go:build synctests

package endtoend

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/delaydtest"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// world is a broker, a network and a clock of its own: time passes only when
// everybody waits for it.
type world struct {
	*delaydtest.Env
	t       *testing.T
	Admin   *kadm.Client
	running sync.WaitGroup
	ends    []func()      // called when the test is over
	fix     func()        // what takes back a fault that a test put in
	idle    time.Duration // how long an idle fetch lasts; 0: as long as the product's

	dial  func(ctx context.Context, network, addr string) (net.Conn, error) // by the net, unless a test loses answers
	clock *brokerClock                                                      // the broker's, where it differs; see setClock
}

// virtual runs test in a world in which the service's topics and targets exist.
// The ladder is the default one unless spec is given.
func virtual(t *testing.T, spec string, targets []string, test func(w *world)) {
	t.Helper()
	delaydtest.Run(t, delaydtest.Config{Levels: spec, Topics: targets}, func(t *testing.T, env *delaydtest.Env) {
		w := &world{Env: env, t: t, Admin: kadm.NewClient(env.Client), dial: env.Network.DialContext}
		defer func() {
			for _, end := range w.ends {
				end()
			}
		}()
		test(w)
		w.running.Wait()
	})
}

// Opts connects a client by the world's dial, and with fetches that are as long as the
// product's.
func (w *world) Opts() []kgo.Opt {
	opts := []kgo.Opt{kgo.SeedBrokers(w.Cluster.ListenAddrs()...), kgo.Dialer(w.dial)}
	if w.idle > 0 {
		opts = append(opts, kgo.FetchMaxWait(w.idle))
	}
	return opts
}

func (w *world) newClient(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	cl, err := kgo.NewClient(append(w.Opts(), opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	return cl
}

// service is a router and a forwarder, as one process runs them.
type service struct {
	router    *router.Router
	forwarder *forwarder.Forwarder
	stop      func() // returns when both have ended
}

// serve starts an instance. change, if given, changes what it is started with.
func (w *world) serve(instance string, change ...func(*router.Config, *forwarder.Config)) *service {
	w.t.Helper()
	rc, fc := router.DefaultConfig(), forwarder.DefaultConfig()
	rc.Ladder, fc.Ladder = w.Ladder, w.Ladder
	rc.Instance, fc.Instance = instance, instance
	rc.PurgeAfter, fc.PurgeAfter = consume.PurgeOff, consume.PurgeOff
	if testing.Verbose() {
		log := zerolog.New(zerolog.NewTestWriter(w.t)).Level(zerolog.InfoLevel)
		rc.Log, fc.Log = log, log
	}
	for _, c := range change {
		c(&rc, &fc)
	}
	s := new(service)
	var err error
	if s.router, err = router.New(rc, w.Opts()...); err != nil {
		w.t.Fatal(err)
	}
	if s.forwarder, err = forwarder.New(fc, w.Opts()...); err != nil {
		w.t.Fatal(err)
	}
	stopRouter, stopForwarder := w.run(s.router.Run), w.run(s.forwarder.Run)
	s.stop = func() { stopRouter(); stopForwarder() }
	return s
}

// joined waits until the service is a member of its groups, and its lanes have had the
// time to start: first they ask for the offsets that they begin at.
func (s *service) joined() {
	for s.router.Ready() != nil || s.forwarder.Ready() != nil {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(5 * time.Second)
}

// forward starts the forwarder of the service "one", without a router, and returns it and what
// ends it.
func (w *world) forward(changes ...change) (f *forwarder.Forwarder, stop func()) {
	w.t.Helper()
	fc := forwarder.DefaultConfig()
	fc.Ladder, fc.Instance = w.Ladder, "one"
	for _, c := range changes {
		c(new(router.Config), &fc)
	}
	f, err := forwarder.New(fc, w.Opts()...)
	if err != nil {
		w.t.Fatal(err)
	}
	return f, w.run(f.Run)
}

// run starts f and returns what ends it.
func (w *world) run(f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	w.running.Go(func() {
		defer close(done)
		if err := f(ctx); err != nil {
			w.t.Errorf("service: %v", err)
		}
	})
	return func() { cancel(); <-done }
}

// send writes records and waits until the broker has them.
func (w *world) send(recs ...*kgo.Record) {
	w.t.Helper()
	if err := w.Client.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// request is a record for the inbox.
func (w *world) request(delay, target, key, value string, more ...kgo.RecordHeader) *kgo.Record {
	return &kgo.Record{
		Topic: w.Names.Inbox(), Partition: -1, Key: []byte(key), Value: []byte(value),
		Headers: append([]kgo.RecordHeader{
			{Key: levels.HeaderLevel, Value: []byte(delay)}, {Key: levels.HeaderTarget, Value: []byte(target)},
		}, more...),
	}
}

// direct is a record for a level's own topic.
func (w *world) direct(level, target, key, value string, more ...kgo.RecordHeader) *kgo.Record {
	rec := w.request(level, target, key, value, more...)
	d, err := levels.ParseDelay(level)
	if err != nil {
		w.t.Fatal(err)
	}
	rec.Topic = w.Names.Level(levels.Level{Delay: d})
	rec.Headers = rec.Headers[1:]
	return rec
}

// arrival is a record that a consumer of a target received.
type arrival struct {
	*kgo.Record
	at time.Time
}

// late is how long after its due time it arrived.
func (a arrival) late() time.Duration {
	ms, err := strconv.ParseInt(a.header(levels.HeaderDue), 10, 64)
	if err != nil {
		panic(fmt.Sprintf("%s of %q: %v", levels.HeaderDue, a.Value, err))
	}
	return a.at.Sub(time.UnixMilli(ms))
}

func (a arrival) header(key string) string {
	v, _ := record.Last(a.Headers, key)
	return string(v)
}

// arrivals collects what comes to topics, until the world ends.
type arrivals struct {
	mu   sync.Mutex
	all  []arrival
	more chan struct{}
}

// watch reads topics from their start.
func (w *world) watch(topics ...string) *arrivals { return w.collect(topics) }

// watchCommitted reads what is committed on topics from their start.
func (w *world) watchCommitted(topics ...string) *arrivals {
	return w.collect(topics, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
}

func (w *world) collect(topics []string, opts ...kgo.Opt) *arrivals {
	as := &arrivals{more: make(chan struct{}, 1)}
	cl := w.newClient(append(opts, kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMaxAge(time.Second), kgo.MetadataMinAge(100*time.Millisecond))...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			fetches := cl.PollFetches(ctx)
			now := time.Now()
			as.mu.Lock()
			fetches.EachRecord(func(r *kgo.Record) { as.all = append(as.all, arrival{r, now}) })
			as.mu.Unlock()
			select {
			case as.more <- struct{}{}:
			default:
			}
		}
	}()
	w.ends = append(w.ends, func() { cancel(); <-done; cl.Close() })
	return as
}

func (as *arrivals) now() []arrival {
	as.mu.Lock()
	defer as.mu.Unlock()
	return append([]arrival(nil), as.all...)
}

// wait returns the arrivals when there are n, or what there is when the time
// is over.
func (as *arrivals) wait(n int, within time.Duration) []arrival {
	end := time.After(within)
	for {
		if all := as.now(); len(all) >= n {
			return all
		}
		select {
		case <-as.more:
		case <-end:
			return as.now()
		}
	}
}
