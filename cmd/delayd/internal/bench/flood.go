package bench

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/delayd-io/delayd/levels"
)

// noFlood is the note that a flood was too small to measure anything beside it.
const noFlood = "A flood was over before any record came due beside it: it has to be larger to be measured."

// flooded sends the steady load while the service, which was away, releases a
// flood on another level. Sending begins first, and the service is started so
// that it is ready when the first records come due.
//
//	service   started once                        started, ready
//	flood                   filled ─▶ overdue           ├─ released ─┤
//	load                                   ├─ sent ─────┼────────────┼──┤
//	its due times                                     ├─┼─ measured ─┼─────────────┤
func (b *bench) flooded(ctx context.Context, t turn) ([]Result, error) {
	s := b.newStage(t.kind, 1)
	defer s.remove(ctx)
	f, err := b.makeFlood(ctx, s, t)
	if err != nil {
		return nil, err
	}
	load := b.steadyLoad(s, t)
	// One for each: the load's own consumer does not read a flood too.
	in, err := newConsumer(b.reading(), b.Load.Partitions, map[string]*tally{s.targets[0]: load.tally}, b.Progress)
	if err != nil {
		return nil, err
	}
	defer in.client.Close()
	in.read(s.targets[0])
	out, err := newConsumer(b.reading(), b.Load.Partitions, map[string]*tally{f.target: f.tally}, b.Progress)
	if err != nil {
		return nil, err
	}
	defer out.client.Close()
	out.read(f.target)
	b.Progress.Start(b.say(t, "steady load and the flood"), load.tally.expected+f.tally.expected)
	defer b.Progress.Done()

	c := b.contender(s, Delayd)
	defer c.end()
	g, ctx := errgroup.WithContext(ctx)
	sent, ready, released := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var n int64
	g.Go(func() (err error) {
		defer close(sent)
		load.paced, n, err = pace(ctx, b.Opts, load.maker, load.rate, load.tally.expected, nil)
		return err
	})
	g.Go(func() error {
		if err := pause(ctx, longest(b.Load.Levels)-f.lead); err != nil {
			return err
		}
		if err := c.startReady(ctx); err != nil {
			return err
		}
		close(ready)
		return nil
	})
	g.Go(func() error {
		defer close(released)
		return f.drain(ctx, out, ready)
	})
	g.Go(func() error { return f.watch(ctx, in, load, c, ready, sent, released) })
	if err := g.Wait(); err != nil {
		return nil, err
	}
	b.checkPace(t, load, n)
	r, flooding := load.result(t, n), f.tally.result(f.tally.expected)
	r.PeakMiB, flooding.Label = c.peakMiB(), LabelFlooding
	if r.Late == nil {
		b.note(noFlood)
	}
	return []Result{r, flooding}, nil
}

// flood is a backlog on a level of its own.
type flood struct {
	target string
	tally  *tally
	lead   time.Duration // how long the service takes until it is ready
}

// makeFlood makes the topics, sees how long the service takes to start on them,
// and fills the flood.
func (b *bench) makeFlood(ctx context.Context, s *stage, t turn) (*flood, error) {
	if err := s.create(ctx); err != nil {
		return nil, err
	}
	f := &flood{target: s.names.Prefix + "-target-flood"}
	if err := s.createTopics(ctx, nil, f.target); err != nil {
		return nil, err
	}
	c := b.contender(s, Delayd)
	defer c.end()
	if err := c.startReady(ctx); err != nil {
		return nil, err
	}
	f.lead = min(time.Since(c.started), longest(b.Load.Levels))
	c.stop()

	own := *s
	own.targets = []string{f.target}
	d := deck{levels: []levels.Level{b.FloodLevel}, keys: b.Load.Keys, targets: 1}
	f.tally = newTally(d, int64(b.Flood))
	return f, b.pile(ctx, t, newMaker(d, b.Load.Size, own.address(d, ThroughLevel)), f.tally.expected)
}

// drain reads the flood until all of it has arrived or is lost.
func (f *flood) drain(ctx context.Context, in *consumer, ready <-chan struct{}) error {
	err := in.until(ctx, func() (bool, error) {
		if !isDone(ready) { // the process may not even have been started
			in.seen = time.Now()
		}
		return f.tally.complete() || in.silent(lostWait), nil
	})
	if err != nil {
		return err
	}
	return in.settle(ctx)
}

// watch reads the load until all of it has arrived or is lost, and the flood is
// over.
func (f *flood) watch(ctx context.Context, in *consumer, load *steadyLoad, c *contender, ready, sent, released <-chan struct{}) error {
	var from time.Time
	load.tally.measured = func(_ int64, due time.Time) bool { return f.beside(from, due) }
	patience := longest(load.tally.levels) + lostWait
	err := in.until(ctx, func() (bool, error) {
		if from.IsZero() && isDone(ready) {
			from = time.Now().Add(warmUp)
		}
		over := load.tally.complete() || isDone(sent) && in.silent(patience)
		if !isDone(ready) { // the process may not even have been started
			return false, nil
		}
		return over && isDone(released), c.fault()
	})
	if err != nil {
		return err
	}
	return in.settle(ctx)
}

// beside reports whether a record of the load came due while the service was
// warm and the flood was being released. When the record arrived does not count:
// a service that lets it wait until the flood is over is to show it.
func (f *flood) beside(from, due time.Time) bool {
	if from.IsZero() || due.Before(from) {
		return false
	}
	return !f.tally.complete() || due.Before(f.tally.latestAt)
}
