package console

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/admin/deadletter"
	"github.com/delayd-io/delayd/internal/find"
	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/levels"
)

const (
	// lookEvery is the pause between two looks at the cluster while somebody looks at the
	// console: twice that of `delayd admin status --watch`, which leaves as many requests
	// for the coming hour and the parked records.
	lookEvery = 4 * time.Second
	// fillEvery is the same while the coming hour is not counted to its end.
	fillEvery = time.Second
	// parkedEvery, lettersEvery and driftEvery are those of what is read or asked for more
	// rarely.
	parkedEvery  = 10 * time.Second
	lettersEvery = 5 * time.Second
	driftEvery   = time.Minute
	// lookTimeout bounds a look.
	lookTimeout = 30 * time.Second
	// queriesKept is how many different pages of dead letters are kept for other viewers.
	queriesKept = 32
	// fetchBytes bounds what reading records holds in memory at a time, beside one record
	// that is larger.
	fetchBytes = 1 << 20
)

var (
	errStarting = errors.New("delayd is starting and has not reached the cluster yet")
	errSlow     = errors.New("the brokers take long to answer")
	errBusy     = errors.New("others read records just now; try again in a moment")
)

// Config says what a console shows. The zero value is a console without a token on an
// address that others reach: it shows no record's contents and changes nothing.
type Config struct {
	// Instance, Prefix and Version are shown.
	Instance, Prefix, Version string
	// DefaultTarget is where records without a target go; "" is nowhere.
	DefaultTarget string
	// Token lets those act who have it; "" is nobody.
	Token string
	// Loopback says that only this machine reaches the console. Then it shows the
	// contents of records without a token.
	Loopback bool
	Log      zerolog.Logger
}

// Console is the console of one instance. Every method can be called from any
// goroutine.
type Console struct {
	cfg     Config
	session sessions

	mu sync.Mutex
	to *cluster // nil until Open, and after what it returned was called
}

// New returns a console that says that delayd is starting, until Open.
func New(cfg Config) *Console {
	return &Console{cfg: cfg, session: newSessions(cfg.Token)}
}

// ClientOptions are the options of the client that Open gets, after all others: they
// bound the memory that it takes to read records.
func ClientOptions() []kgo.Opt {
	return []kgo.Opt{kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchBytes), kgo.MaxConcurrentFetches(1)}
}

// Open has the console show what is on the cluster of cl. The console is the only one
// that uses cl; the function that Open returns closes it.
func (c *Console) Open(cl *kgo.Client, spec admin.Spec, m *metrics.Metrics) (closeAll func()) {
	to := newCluster(cl, spec, m, c.cfg)
	c.mu.Lock()
	c.to = to
	c.mu.Unlock()
	return func() {
		c.mu.Lock()
		c.to = nil
		c.mu.Unlock()
		to.close()
	}
}

// cluster returns what there is to look at, or an error before and after that.
func (c *Console) cluster() (*cluster, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.to == nil {
		return nil, errStarting
	}
	return c.to, nil
}

// cluster is what all viewers share.
type cluster struct {
	cl    *kgo.Client
	names levels.Names
	spec  admin.Spec
	m     *metrics.Metrics
	log   zerolog.Logger

	ctx  context.Context // of looks; ends with close
	stop context.CancelFunc
	wg   sync.WaitGroup
	mu   sync.Mutex
	over bool // guarded by mu: wg is waited for

	view   shared[view]
	parked shared[admin.ParkedView]
	drift  shared[admin.Steps]

	reading reading
	pages   *deadletter.Pages
	queries queries[deadletter.Page]
	finds   queries[*find.Result]
	jobs    jobs

	started   snapshot
	snapshots []snapshot // used by the look that is under way
}

// view is what one look has found.
type view struct {
	admin.View
	Paused []admin.Paused
	// Lateness is what this instance has delivered since From.
	Lateness map[string]Lateness
	From     time.Time
}

// reading lets one viewer at a time read records, so that memory is bounded, and few wait
// for their turn: whoever asks for a thousand different pages holds up nobody for long.
type reading struct {
	sync.Mutex
	waiting int           // guarded by the mutex; the one that reads included
	turn    chan struct{} // holds what the one that reads has taken
}

// maxReaders is how many wait for their turn.
const maxReaders = 8

// do reads when it is its turn.
func (r *reading) do(ctx context.Context, read func() error) error {
	r.Lock()
	if r.turn == nil {
		r.turn = make(chan struct{}, 1)
	}
	full := r.waiting >= maxReaders
	if !full {
		r.waiting++
	}
	r.Unlock()
	if full {
		return errBusy
	}
	defer func() {
		r.Lock()
		r.waiting--
		r.Unlock()
	}()
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
		return read()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// query is an answer that takes reading, for all who ask for the same.
type query[T any] struct {
	key string
	shared[T]
}

// queries keeps some answers.
type queries[T any] struct {
	most int // how many

	mu   sync.Mutex
	list []*query[T] // the one that was asked for last, last
}

// get returns the answer for key, which is made as first says where nobody has asked for
// it lately. run runs that in the background.
func (q *queries[T]) get(ctx context.Context, key string, run func(func(context.Context)), first func() shared[T]) answer[T] {
	q.mu.Lock()
	i := slices.IndexFunc(q.list, func(of *query[T]) bool { return of.key == key })
	var of *query[T]
	if i >= 0 {
		of = q.list[i]
		q.list = slices.Delete(q.list, i, i+1)
	} else {
		made := first()
		of = &query[T]{key: key, shared: shared[T]{every: made.every, look: made.look}}
	}
	q.list = append(q.list, of)
	if more := len(q.list) - q.most; more > 0 {
		q.list = slices.Delete(q.list, 0, more)
	}
	q.mu.Unlock()
	return of.get(ctx, run)
}

// forget drops all answers.
func (q *queries[T]) forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = nil
}

func newCluster(cl *kgo.Client, spec admin.Spec, m *metrics.Metrics, cfg Config) *cluster {
	to := &cluster{cl: cl, names: spec.Names, spec: spec, m: m, log: cfg.Log, pages: deadletter.NewPages(cl, spec.Names)}
	to.queries.most, to.finds.most = queriesKept, findsKept
	to.ctx, to.stop = context.WithCancel(context.Background())
	to.started = takeSnapshot(m, time.Now())
	watch, targets := admin.NewWatch(cl, spec), admin.NewParkedTargets(cl, spec.Names)
	to.view = shared[view]{look: func(ctx context.Context) (view, error) { return to.look(ctx, watch) }, every: func(v view) time.Duration {
		if !v.At.IsZero() && v.Coming.Counted < admin.ComingMinutes {
			return fillEvery
		}
		return lookEvery
	}}
	to.parked = shared[admin.ParkedView]{every: always[admin.ParkedView](parkedEvery), look: func(ctx context.Context) (p admin.ParkedView, err error) {
		err = to.reading.do(ctx, func() (err error) {
			p, err = targets.Look(ctx)
			return err
		})
		return p, err
	}}
	to.drift = shared[admin.Steps]{every: always[admin.Steps](driftEvery), look: func(ctx context.Context) (admin.Steps, error) {
		steps, err := admin.Plan(ctx, cl, spec)
		if steps != nil {
			return steps, nil // each says itself what could not be counted
		}
		return nil, err
	}}
	return to
}

// look looks once.
func (to *cluster) look(ctx context.Context, watch *admin.Watch) (view, error) {
	now := time.Now()
	got, err := watch.Look(ctx, now)
	if err != nil {
		return view{}, err
	}
	v := view{View: got}
	if v.Paused, err = admin.Pauses(ctx, to.cl, to.names); err != nil {
		return view{}, err
	}
	this := takeSnapshot(to.m, now)
	for len(to.snapshots) > 1 && now.Sub(to.snapshots[1].at) >= latenessWindow {
		to.snapshots = to.snapshots[1:]
	}
	before := to.started
	if len(to.snapshots) > 0 && now.Sub(to.snapshots[0].at) >= latenessWindow {
		before = to.snapshots[0]
	}
	to.snapshots = append(to.snapshots, this)
	v.Lateness, v.From = latenesses(this, before), before.at
	return v, nil
}

// run runs a look in the background. After close a look fails at once.
func (to *cluster) run(look func(context.Context)) {
	to.mu.Lock()
	defer to.mu.Unlock()
	if to.over {
		go look(to.ctx)
		return
	}
	to.wg.Add(1)
	go func() {
		defer to.wg.Done()
		ctx, cancel := context.WithTimeout(to.ctx, lookTimeout)
		defer cancel()
		look(ctx)
	}()
}

// close ends all looks. What the client waits for ends no sooner than the client.
func (to *cluster) close() {
	to.stop()
	to.cl.Close()
	to.mu.Lock()
	to.over = true
	to.mu.Unlock()
	to.wg.Wait()
}

// letters returns a page of dead letters, which all who ask for the same one share.
func (to *cluster) letters(ctx context.Context, key string, f deadletter.Filter, before string) answer[deadletter.Page] {
	return to.queries.get(ctx, key, to.run, func() shared[deadletter.Page] {
		return shared[deadletter.Page]{every: always[deadletter.Page](lettersEvery),
			look: func(ctx context.Context) (page deadletter.Page, err error) {
				err = to.reading.do(ctx, func() (err error) {
					page, err = to.pages.Page(ctx, f, before)
					return err
				})
				return page, err
			}}
	})
}

// forget has all viewers see what an action has changed.
func (to *cluster) forget() {
	to.view.forget()
	to.parked.forget()
	to.queries.forget()
	to.finds.forget()
}

// topicRate is a topic's rate, zero where it is not known yet.
func (v view) topicRate(topic string) admin.Rate { return v.Rates[topic] }

// byLevel orders what is by level as the levels are.
func byLevel(a, b string) int {
	delay := func(s string) time.Duration {
		d, err := levels.ParseDelay(s)
		if err != nil {
			return levels.MaxDelay + 1
		}
		return d
	}
	return cmp.Or(cmp.Compare(delay(a), delay(b)), cmp.Compare(a, b))
}
