package bench

import (
	"context"
	"fmt"
	"time"
)

const (
	// calm is how long a service is left alone before it is measured.
	calm = 5 * time.Second
	// watch is how long CPU time is counted: a process's is counted in hundredths
	// of a second.
	watch = 10 * time.Second
)

// pending measures what the service costs while nothing is due: before anything
// waits, when all records do, and when cancels are outstanding too.
func (b *bench) pending(ctx context.Context, t turn) (Result, error) {
	s := b.newStage(t.kind, 1)
	defer s.remove(ctx)
	if err := s.create(ctx); err != nil {
		return Result{}, err
	}
	c := b.contender(s, t.kind)
	defer c.end()
	if err := c.startReady(ctx); err != nil {
		return Result{}, err
	}
	var r Result
	var err error
	if r.IdleCPUPercent, r.IdleMiB, err = atRest(ctx, c); err != nil {
		return r, err
	}

	d := deck{levels: b.Load.Levels, keys: b.Load.Keys, targets: 1}
	if b.Load.Exact {
		d.exact, d.from = longest(b.Load.Levels), shortest(b.Load.Levels)
	}
	n := b.records(t.kind)
	before, began := c.cpu(), time.Now()
	b.Progress.Start(b.say(t, "filling"), n)
	err = fill(ctx, b.Opts, newMaker(d, b.Load.Size, s.address(d, b.Load.Through)).record, n, b.Progress)
	b.Progress.Done()
	if err != nil {
		return r, err
	}
	r.Sent = n
	r.CPUSeconds = (c.cpu() - before).Seconds()
	if r.PendingCPUPercent, r.PendingMiB, err = atRest(ctx, c); err != nil {
		return r, err
	}
	if b.Cancels > 0 {
		if err := b.cancelling(ctx, s, c, t, &r); err != nil {
			return r, err
		}
	}
	r.PeakMiB = c.peakMiB()
	if took := time.Since(began); took > shortest(b.Load.Levels) {
		return r, fmt.Errorf("it took %v, and some of %d records came due meanwhile; use fewer records or longer levels", took.Round(time.Second), n)
	}
	return r, nil
}

// atRest leaves the contender alone and then measures it: CPU in percent of a
// core, and resident memory.
func atRest(ctx context.Context, c *contender) (percent, resident float64, err error) {
	if err := pause(ctx, calm); err != nil {
		return 0, 0, err
	}
	before, start := c.cpu(), time.Now()
	if err := pause(ctx, watch); err != nil {
		return 0, 0, err
	}
	if err := c.fault(); err != nil {
		return 0, 0, err
	}
	return float64(c.cpu()-before) / float64(time.Since(start)) * 100, float64(c.resident()) / mib, nil
}
