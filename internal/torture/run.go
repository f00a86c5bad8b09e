package main

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/delayd-io/delayd/levels"
)

const (
	// patience is how long after the end of the load records may still come.
	patience = 3 * time.Minute
	// backlogWait is how long a backlog may take to be sent.
	backlogWait = 15 * time.Minute
	// The load, but for its rate.
	keysEach  = 50
	producers = 4 // the last of them in transactions
)

// runner runs rows, each in a world of its own.
type runner struct {
	program  string   // delayd
	serve    []string // program and arguments of what is tortured
	dir      string
	seed     uint64
	rate     int
	records  int64
	duration time.Duration
	// delivery is passed on to delayd, "" for its default.
	delivery delivery
	// old is an older delayd, and backlog how many records wait; for the rows that
	// are about those.
	old     string
	backlog int64
	// patience is how long after the end of the load records may still come.
	patience time.Duration
	log      zerolog.Logger
}

// mix is what a run sends.
func (r *runner) mix(name string) (*mix, error) {
	parsed, err := levels.Parse(ladder)
	if err != nil {
		return nil, err
	}
	f := fnv.New32a()
	fmt.Fprintf(f, "%s %d %d", name, r.seed, time.Now().UnixNano())
	return &mix{
		run: fmt.Sprintf("%0*x", runLength, f.Sum32()), seed: r.seed,
		names: levels.Names{Prefix: "delay"}, levels: slices.Collect(parsed.All()),
		targets: targets, targetPar: targetPartitions, keys: keysEach, producers: producers, transactional: true,
	}, nil
}

// run runs a row and says what came of it. An error says that there is no verdict.
func (r *runner) run(ctx context.Context, row *row) (*result, error) {
	dir, err := os.MkdirTemp(r.dir, row.name+"-")
	if err != nil {
		return nil, err
	}
	m, err := r.mix(row.name)
	if err != nil {
		return nil, err
	}
	if row.load != nil {
		row.load(m)
	}
	w := &world{
		row: row, dir: dir, names: m.names, log: r.log, rand: rand.New(rand.NewPCG(r.seed, 0)),
		loadOver: make(chan struct{}), program: r.program, serve: r.serve, delivery: r.delivery,
		old: r.old, backlog: r.backlog, rate: max(r.rate, row.rate),
		instances: make(map[string]*instance),
		history:   newHistory(m, time.Now()),
	}
	w.history.letters, w.history.apart = row.letters, row.apart
	defer w.close()
	if err := w.build(ctx); err != nil {
		return nil, err
	}
	instances := row.instances
	if instances == nil {
		instances = []string{"one"}
	}
	for _, name := range instances {
		if err := w.start(name); err != nil {
			return nil, err
		}
	}
	for _, name := range instances {
		if err := w.ready(ctx, name); err != nil {
			return nil, err
		}
	}
	if row.before != nil {
		if err := row.before(ctx, w); err != nil {
			return nil, fmt.Errorf("row %s: %w; the logs are %s", row.name, err, w.logs())
		}
	}
	begun := time.Now().Truncate(time.Millisecond) // nothing has been sent yet
	w.history.begun = begun.Add(row.ahead)         // by the brokers' clock
	w.faults = &faults{begun: begun}
	if err := r.play(ctx, w); err != nil {
		return nil, fmt.Errorf("%w; the logs are %s", err, w.logs())
	}
	res := r.result(w)
	if len(res.Violations) == 0 {
		_ = os.RemoveAll(dir) // a violation's logs stay
	} else {
		res.Logs = w.logs()
	}
	return res, nil
}

// play runs the row's faults on the load, fixes what is left broken, and waits
// until all has arrived.
func (r *runner) play(ctx context.Context, w *world) error {
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return read(reading, w.history, w.cluster.Brokers(), w.topics(), w.log) })
	g.Go(func() error { return w.weigh(reading) })
	g.Go(func() error {
		defer stopReading()
		return r.attack(ctx, w)
	})
	return g.Wait()
}

func (r *runner) attack(ctx context.Context, w *world) error {
	l := &load{mix: w.history.mix, history: w.history, brokers: w.cluster.Brokers(), log: w.log, rate: w.rate, records: cmp.Or(w.row.records, r.records)}
	if w.row.backlog {
		l.records = r.backlog
	}
	w.load = l
	g, attackCtx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(w.loadOver)
		sending, cancel := context.WithTimeout(attackCtx, r.lasts(w.row))
		defer cancel()
		return l.run(sending)
	})
	g.Go(func() error {
		if err := w.row.run(attackCtx, w); err != nil {
			return fmt.Errorf("row %s: %w", w.row.name, err)
		}
		return w.fix(attackCtx)
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if err := w.settled(ctx, r.patience); err != nil {
		return err
	}
	if w.row.after != nil {
		if err := w.row.after(ctx, w); err != nil {
			return fmt.Errorf("row %s: %w", w.row.name, err)
		}
	}
	if w.row.resend {
		if err := w.resendLetters(ctx); err != nil {
			return err
		}
		if err := w.settled(ctx, r.patience); err != nil {
			return err
		}
	}
	if err := w.stopAll(); err != nil {
		w.violated("%v", err)
	}
	// Nothing is written any more, but the reader may be behind, and what it has not read would be called lost.
	if err := w.settled(ctx, standingWait); err != nil {
		return err
	}
	if err := w.findStanding(ctx); err != nil { // what it has not found is called lost
		w.violated("%v", err)
	}
	return nil
}

// lasts is how long records are sent at most.
func (r *runner) lasts(row *row) time.Duration {
	if row.backlog {
		return backlogWait
	}
	return max(r.duration, row.least)
}

// result is what came of a run.
func (r *runner) result(w *world) *result {
	v := w.history.verdict()
	w.history.decide()
	late := w.history.late
	spans := w.faults.all()
	res := &result{
		Row: w.row.name, Matrix: w.row.matrix, About: w.row.about, Delivery: cmp.Or(r.delivery, atLeastOnce), Seed: r.seed, Rate: w.rate,
		verdict: v, Crashes: w.crashes, Rewound: w.rewound, Memory: w.memory, Faults: spans, Violations: w.failed, Command: r.command(w.row),
		P50: late.percentile(50), P99: late.percentile(99), Worst: late.max(),
		Recovered: late.recovered(spans, w.row.limits.lateLimit()), worst: late.worst, Notes: w.notes,
	}
	if len(spans) > 0 {
		res.RecoveredLast = late.recovered(lastToEnd(spans), w.row.limits.lateLimit())
	}
	if warmUp := w.row.limits.warmUp; warmUp > 0 {
		res.Notes = append(res.Notes, fmt.Sprintf("after the first %v records were %v late at worst", warmUp, worstFrom(late.worst, warmUp)))
	}
	if w.row.limits.last > 0 {
		res.Notes = append(res.Notes, fmt.Sprintf("recovered after %.1f s: the last record that was more than %v late, after the last fault",
			res.RecoveredLast.Seconds(), w.row.limits.lateLimit()))
	}
	if n := len(spans); n > 0 {
		res.Drained = w.history.aside.recovered(spans[n-1:], w.row.limits.lateLimit())
	}
	if apart := w.apart(); len(apart) > 0 {
		worst := w.history.aside.max()
		res.Notes = append(res.Notes, fmt.Sprintf("records of %v were %v late at worst, and on time again %v after the last fault",
			apart, worst, res.Drained.Round(time.Millisecond)))
		if worst < w.row.limits.lateLimit() && w.row.letters == nil {
			res.Violations = append(res.Violations, fmt.Sprintf("no record of %v was late: nothing was broken", apart))
		}
	}
	res.Violations = append(res.Violations, w.row.violations(res)...)
	if ends := w.unasked(); w.row.restarts {
		res.Restarts = len(ends)
	} else {
		res.Violations = append(res.Violations, ends...)
	}
	return res
}

// command is what to type to run a row again.
func (r *runner) command(row *row) string {
	words := []string{"go run ./internal/torture"}
	if row.name == randomName {
		words = append(words, "random", "--for", r.duration.String())
	} else {
		words = append(words, "--row", row.name, "--duration", r.duration.String())
	}
	words = append(words, "--seed", fmt.Sprint(r.seed), "--rate", fmt.Sprint(r.rate))
	if r.records > 0 {
		words = append(words, "--records", fmt.Sprint(r.records))
	}
	if row.backlog {
		words = append(words, "--backlog", fmt.Sprint(r.backlog))
	}
	if r.old != "" {
		words = append(words, "--old", r.old)
	}
	if r.delivery != "" {
		words = append(words, "--delivery", string(r.delivery))
	}
	return strings.Join(words, " ")
}

// buildDelayd builds the program that is tortured.
func buildDelayd(ctx context.Context, dir string) (string, error) {
	program := filepath.Join(dir, "delayd")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/delayd-io/delayd/cmd/delayd").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build delayd: %w\n%s", err, out)
	}
	return program, nil
}
