package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/harness"
	"github.com/delayd-io/delayd/internal/kafkatest"
	"github.com/delayd-io/delayd/internal/process"
	"github.com/delayd-io/delayd/levels"
)

const (
	// ladder has short levels: a wait is a wait, and a fault does not care.
	ladder = "1s 2s 5s"
	// calm is how long nothing has to come before a run is over: for duplicates, and
	// for what should never come.
	calm = 2 * time.Second
	// targetPartitions is what targets begin with.
	targetPartitions = 4
	// provisionWait is how long the topics may take to be made.
	provisionWait = time.Minute
)

// targets are the topics that records go to.
var targets = []string{"orders", "mails", "refunds"}

// world is what a row's run has to itself: a cluster, topics, the delayd that are
// started, and the history. What is broken is broken through its methods, which
// note crashes and when what was broken.
type world struct {
	row     *row
	dir     string
	cluster *kafkatest.Cluster
	proxies *proxies         // nil unless the row asks for them
	disk    *disk            // nil unless the row asks for one
	clock   *kafkatest.Clock // of the brokers; nil unless the row asks for it
	client  *kgo.Client
	admin   *kadm.Client // of the client
	names   levels.Names
	history *history
	faults  *faults
	beside  *beside // of the rows that cancel
	log     zerolog.Logger
	// rand is what a row draws from: the run's seed decides.
	rand *rand.Rand
	// load sends, and loadOver is closed when nothing more is sent.
	load     *load
	loadOver chan struct{}

	program  string   // delayd
	serve    []string // program and arguments of what is tortured
	old      string   // an older program; "" is none
	delivery delivery
	rate     int   // records a second
	backlog  int64 // records, for the row that has one

	// idle is what a delayd did before anything was sent, where a row has looked.
	idle effort

	mu        sync.Mutex // guards all below
	instances map[string]*instance
	crashes   int
	memory    int64    // bytes that a delayd has had at most, where a row has looked
	rewound   int64    // records that have to come once more, because of what the row did
	failed    []string // what went wrong that the history does not show
	notes     []string // what a row measured
}

// build starts the cluster and makes the topics.
func (w *world) build(ctx context.Context) (err error) {
	properties := map[string]string{"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000"}
	maps.Copy(properties, w.row.properties)
	if w.row.disk > 0 {
		if w.disk, err = mountDisk(w.row.disk); err != nil {
			return err
		}
		properties["log.dirs"] = w.disk.data()
	}
	cfg := kafkatest.Config{Nodes: w.row.nodes, Properties: properties, Proxied: w.row.proxied}
	if w.row.secured {
		cfg.Users = []string{user}
	}
	if w.row.clocked {
		if w.clock, err = kafkatest.NewClock(w.dir); err != nil {
			return err
		}
		if err := w.clock.Set(w.row.ahead); err != nil {
			return err
		}
		cfg.Env = w.clock.Env()
	}
	if w.row.nodes > 1 {
		properties["min.insync.replicas"] = "2"
	}
	if w.cluster, err = kafkatest.Launch(ctx, w.dir, cfg); err != nil {
		return err
	}
	if w.row.proxied {
		if w.proxies, err = startProxies(w.cluster.Routes()); err != nil {
			return err
		}
	}
	if w.client, err = kgo.NewClient(connect.Options(w.cluster.Brokers(), "torture-admin", w.log)...); err != nil {
		return err
	}
	w.admin = kadm.NewClient(w.client)
	for _, target := range w.history.mix.targets {
		if slices.Contains(w.row.absent, target) {
			continue
		}
		if err := w.createTarget(ctx, target); err != nil {
			return err
		}
	}
	if err := w.provision(ctx); err != nil || !w.row.secured {
		return err
	}
	return w.admit(ctx)
}

// createTarget makes a topic that the broker stamps, replicated and set up as the
// row says.
func (w *world) createTarget(ctx context.Context, topic string) error {
	settings := map[string]*string{timestampType: kadm.StringPtr(brokersTime)}
	for key, value := range w.row.topics[topic] {
		settings[key] = kadm.StringPtr(value)
	}
	if _, err := w.admin.CreateTopic(ctx, w.history.mix.targetPar, -1, settings, topic); err != nil {
		return fmt.Errorf("create target %s: %w", topic, err)
	}
	return nil
}

// The setting that says whose time a record's timestamp is.
const (
	timestampType = "message.timestamp.type"
	brokersTime   = "LogAppendTime"
)

// set changes settings of a topic, as an operator would.
func (w *world) set(ctx context.Context, topic string, settings map[string]string) error {
	var changes []kadm.AlterConfig
	for key, value := range settings {
		changes = append(changes, kadm.AlterConfig{Name: key, Value: kadm.StringPtr(value)})
	}
	answers, err := w.admin.AlterTopicConfigs(ctx, changes, topic)
	if err == nil {
		_, err = answers.On(topic, nil)
	}
	for _, a := range answers {
		err = errors.Join(err, a.Err)
	}
	if err != nil {
		return fmt.Errorf("set %v on topic %s: %w", settings, topic, err)
	}
	return nil
}

// provision makes the service's topics, as an operator would, so that there is
// something to send to.
func (w *world) provision(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, provisionWait)
	defer cancel()
	out, err := exec.CommandContext(ctx, w.program, "admin", "provision", "--brokers", strings.Join(w.cluster.Brokers(), ","),
		"--prefix", w.names.Prefix, "--levels", ladder, "--partitions", strconv.Itoa(int(w.partitions()))).CombinedOutput()
	if err != nil {
		return fmt.Errorf("delayd admin provision: %w: %s", err, out)
	}
	return nil
}

// partitions is how many the service's topics begin with.
func (w *world) partitions() int32 { return cmp.Or(w.row.partitions, targetPartitions) }

// topics are all that the history knows.
func (w *world) topics() []string {
	m := w.history.mix
	topics := append([]string{m.names.Inbox(), m.names.Dead()}, m.targets...)
	for _, l := range m.levels {
		topics = append(topics, m.names.Level(l))
	}
	return topics
}

// brokersOf is where the delayd of that name finds the cluster.
func (w *world) brokersOf(name string) []string {
	if w.proxies != nil && !slices.Contains(w.row.direct, name) {
		return w.proxies.addrs()
	}
	if w.row.secured {
		return w.cluster.Secure().SASL
	}
	return w.cluster.Brokers()
}

// start starts the delayd of that name, for the first time or again, and does not
// wait for anything.
func (w *world) start(name string) error {
	i, err := w.instance(name)
	if err != nil {
		return err
	}
	return i.start()
}

// ready waits until the delayd of that name says that it is ready.
func (w *world) ready(ctx context.Context, name string) error {
	i, err := w.instance(name)
	if err != nil {
		return err
	}
	return i.ready(ctx)
}

// startReady starts the delayd of that name, and waits until it says that it is ready.
func (w *world) startReady(ctx context.Context, name string) error {
	if err := w.start(name); err != nil {
		return err
	}
	return w.ready(ctx, name)
}

// instance returns the delayd of that name. It keeps its port, as one does that a
// service manager starts.
func (w *world) instance(name string) (*instance, error) { return w.twin(name, name) }

// twin is instance for one that has the instance id of another, which a mistake
// gives it.
func (w *world) twin(name, id string) (*instance, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := w.instances[name]; i != nil {
		return i, nil
	}
	addrs, err := process.FreeAddrs(1)
	if err != nil {
		return nil, err
	}
	under := w.row.under
	if w.row.confined {
		under = confine(w.hard())
	}
	command := append(slices.Concat(under, w.serve), "--brokers", strings.Join(w.brokersOf(name), ","), "--prefix", w.names.Prefix,
		"--levels", ladder, "--partitions", strconv.Itoa(int(w.partitions())), "--http", addrs[0], "--instance", id)
	if w.delivery != "" {
		command = append(command, "--delivery", string(w.delivery))
	}
	if w.row.secured {
		command = append(command, w.login()...)
	}
	i := newInstance(w.dir, name, addrs[0], append(command, w.row.flags...))
	i.program.Env, i.restarts = w.row.env, w.row.restarts
	if w.row.output != "" {
		i.program.Log = w.row.output
	}
	w.instances[name] = i
	return i, nil
}

// crashed counts a crash: something that may deliver records twice at least once.
func (w *world) crashed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.crashes++
}

// kill ends a delayd as kill -9 does, and begins a fault that ends with the
// function that it returns.
func (w *world) kill(name string) (end func(), err error) {
	i, err := w.instance(name)
	if err != nil {
		return nil, err
	}
	end = w.faults.begin("kill " + name)
	w.crashed()
	return end, i.kill()
}

// killAndRestart kills a delayd and starts it again after a while.
func (w *world) killAndRestart(ctx context.Context, name string, after time.Duration) error {
	end, err := w.kill(name)
	if err != nil {
		return err
	}
	defer end()
	if err := sleep(ctx, after); err != nil {
		return err
	}
	return w.start(name)
}

// freeze stops a delayd where it is for a while. It counts as a crash: another
// one may have its partitions before it goes on.
func (w *world) freeze(ctx context.Context, name string, d time.Duration) error {
	return w.whileFrozen(name, func() error { return sleep(ctx, d) })
}

// whileFrozen freezes a delayd for as long as do takes.
func (w *world) whileFrozen(name string, do func() error) error {
	i, err := w.instance(name)
	if err != nil {
		return err
	}
	defer w.faults.begin("freeze " + name)()
	w.crashed()
	if err := i.freeze(); err != nil {
		return err
	}
	return errors.Join(do(), i.thaw())
}

// stop ends a delayd as an operator does. That is no crash, and another exit code
// than 0 is an error.
func (w *world) stop(name string) (end func(), err error) {
	i, err := w.instance(name)
	if err != nil {
		return nil, err
	}
	end = w.faults.begin("stop " + name)
	return end, i.stop()
}

// sleep waits, and is an error when ctx ends before.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// violated notes something that is wrong and that the history does not show.
func (w *world) violated(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = append(w.failed, fmt.Sprintf(format, args...))
}

// metric is what a delayd says of a metric; see [harness.Metric]. One that is not there
// is 0.
func (w *world) metric(ctx context.Context, name, metric string, labels ...string) (float64, error) {
	i, err := w.instance(name)
	if err != nil {
		return 0, err
	}
	sum, _, err := harness.Metric(ctx, i.http, metric, labels...)
	if err != nil {
		return 0, fmt.Errorf("ask delayd %s for its metrics: %w", name, err)
	}
	return sum, nil
}

// measured notes something that is worth knowing, and not wrong.
func (w *world) measured(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, fmt.Sprintf(format, args...))
}

// whileLoad waits, and is false once nothing more is sent or ctx has ended.
func (w *world) whileLoad(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.loadOver:
	case <-ctx.Done():
	}
	return false
}

// between draws a time.
func between(draw *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(draw.Int64N(int64(most-least)))
}

// between draws a time for a row.
func (w *world) between(least, most time.Duration) time.Duration { return between(w.rand, least, most) }

// killBroker ends a node as kill -9 does, and starts it again after a while.
func (w *world) killBroker(ctx context.Context, node int, after time.Duration) error {
	defer w.faults.begin("kill broker " + strconv.Itoa(node))()
	if err := w.cluster.Kill(node); err != nil {
		return err
	}
	if err := sleep(ctx, after); err != nil {
		return err
	}
	return w.cluster.Start(ctx, node)
}

// freezeBroker stops a node where it is for a while.
func (w *world) freezeBroker(ctx context.Context, node int, d time.Duration) error {
	defer w.faults.begin("freeze broker " + strconv.Itoa(node))()
	if err := w.cluster.Pause(node); err != nil {
		return err
	}
	// Also when ctx has ended: nobody else would.
	return errors.Join(sleep(ctx, d), w.cluster.Resume(node))
}

// fix ends whatever is still broken: brokers, proxies and delayd run again.
func (w *world) fix(ctx context.Context) error {
	instances := w.all()
	errs := []error{w.cluster.StartAll(ctx)}
	if w.proxies != nil {
		errs = append(errs, w.proxies.healAll(ctx))
	}
	anyone := false
	for _, i := range instances {
		running, frozen := i.running()
		if frozen {
			errs = append(errs, i.thaw())
		}
		anyone = anyone || running
	}
	if !anyone && len(instances) > 0 {
		errs = append(errs, instances[0].ensure())
	}
	return errors.Join(errs...)
}

// all are the delayd that there have been.
func (w *world) all() []*instance {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Values(w.instances))
}

// settled waits until every acknowledged record has arrived and nothing comes any
// more, for a bounded time: what has not come by then is lost.
func (w *world) settled(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		missing, quiet := w.history.waitingFor()
		if missing == 0 && quiet >= calm || quiet >= calm && w.deserted() {
			return nil
		}
		if sleep(ctx, 100*time.Millisecond) != nil {
			return nil // the verdict says what is lost
		}
	}
}

// deserted reports whether every delayd has ended and none is started again: then
// nothing comes any more.
func (w *world) deserted() bool {
	return !w.row.restarts && !slices.ContainsFunc(w.all(), func(i *instance) bool {
		running, _ := i.running()
		return running
	})
}

// stopAll ends every delayd as an operator does.
func (w *world) stopAll() error {
	var errs []error
	for _, i := range w.instances {
		if running, _ := i.running(); running {
			errs = append(errs, i.stop())
		}
	}
	return errors.Join(errs...)
}

// unasked are the ends of delayd that nobody asked for.
func (w *world) unasked() []string {
	var all []string
	for _, i := range w.instances {
		all = append(all, i.unasked()...)
	}
	return all
}

// close ends everything at once.
func (w *world) close() {
	for _, i := range w.instances {
		if running, _ := i.running(); running {
			_ = i.kill()
		}
	}
	if w.proxies != nil {
		w.proxies.close()
	}
	if w.admin != nil {
		w.admin.Close()
	}
	if w.cluster != nil {
		_ = w.cluster.Close()
	}
	if w.disk != nil {
		if err := w.disk.unmount(); err != nil {
			w.log.Error().Err(err).Msg("a file system stays mounted")
		}
	}
}

// logs are the files that say what happened.
func (w *world) logs() string { return filepath.Join(w.dir, "*.log") }
