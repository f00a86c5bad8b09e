package bench

import (
	"context"
	"fmt"
	"time"
)

// overdueMargin is what is waited behind the level before a backlog counts as
// overdue: the clock of a broker may be a little behind.
const overdueMargin = time.Second

// backlog fills the contender's topics while it is away, waits until all of it
// is overdue, starts the contender and watches the release.
func (b *bench) backlog(ctx context.Context, t turn) (Result, error) {
	s := b.newStage(t.kind, b.targets())
	defer s.remove(ctx)
	if err := s.create(ctx); err != nil {
		return Result{}, err
	}
	d := deck{levels: b.Load.Levels, keys: b.Load.Keys, targets: len(s.targets)}
	total := newTally(d, b.records(t.kind))
	m := newMaker(d, b.Load.Size, s.address(d, b.Load.Through))
	if err := b.pile(ctx, t, m, total.expected); err != nil {
		return Result{}, err
	}
	in, err := newConsumer(b.reading(), b.Load.Partitions, map[string]*tally{s.targets[0]: total}, b.Progress)
	if err != nil {
		return Result{}, err
	}
	defer in.client.Close()
	in.read(s.targets...)
	return b.release(ctx, t, b.contender(s, t.kind), in, total)
}

// pile writes records and returns when all of them are overdue.
func (b *bench) pile(ctx context.Context, t turn, m *maker, n int64) error {
	b.Progress.Start(b.say(t, "filling the backlog"), n)
	err := fill(ctx, b.Opts, m.record, n, b.Progress)
	b.Progress.Done()
	if err != nil {
		return err
	}
	return pause(ctx, longest(m.levels)+overdueMargin)
}

// release starts the contender and reads until all has arrived or is lost. It
// kills the contender as often as it is asked to.
func (b *bench) release(ctx context.Context, t turn, c *contender, in *consumer, total *tally) (Result, error) {
	b.Progress.Start(b.say(t, "releasing it"), total.expected)
	defer b.Progress.Done()
	in.seen = time.Now()
	if err := c.start(ctx); err != nil {
		return Result{}, err
	}
	defer c.end()
	started, kills := c.started, 0
	err := in.until(ctx, func() (bool, error) {
		if t.label == LabelKilled && kills < b.Kills && total.delivered.Load() >= killAt(total.expected, kills, b.Kills) {
			kills++
			if err := c.restart(ctx); err != nil {
				return false, err
			}
		}
		return total.complete() || in.silent(lostWait), c.fault()
	})
	if err != nil {
		return Result{}, err
	}
	cpu := c.cpu()
	if err := in.settle(ctx); err != nil {
		return Result{}, err
	}
	r := total.result(total.expected)
	r.Label, r.Kills = t.label, kills
	if t.label == LabelKilled && kills < b.Kills {
		b.note(fmt.Sprintf("A release was over after %d of %d kills: the backlog has to be larger.", kills, b.Kills))
	}
	r.use(c, cpu)
	if !total.firstAt.IsZero() {
		r.FirstSeconds = total.firstAt.Sub(started).Seconds()
	}
	return r, nil
}

// killAt is after how many of n deliveries the kill comes that has so many
// before it, of kills in all.
func killAt(n int64, before, kills int) int64 { return n * int64(before+1) / int64(kills+1) }

// pause waits for d, or returns why it could not.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
