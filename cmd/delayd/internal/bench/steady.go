package bench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/delayd-io/delayd/levels"
)

const (
	// warmUp is how long is sent before lateness counts: connections are made
	// and code is run for the first time.
	warmUp = time.Second
	// sickWarmUp is the same where a target is sick: when the records that are
	// sent after it come due, what is for the sick one has been parked since
	// about half that time.
	sickWarmUp = 10 * time.Second
	// paceTolerance is the share of the rate that has to have been sent.
	paceTolerance = 0.98
	// lostWait is how long nothing may arrive, behind the longest level, before
	// what is missing is lost.
	lostWait = 30 * time.Second
)

// steady sends records at a rate and watches them arrive.
func (b *bench) steady(ctx context.Context, t turn) (Result, error) {
	s := b.newStage(t.kind, b.targets())
	s.sick = t.label == LabelSick
	b.struck = append(b.struck, s)
	if err := s.create(ctx); err != nil {
		return Result{}, err
	}
	c := b.contender(s, t.kind)
	defer c.end()
	if err := c.startReady(ctx); err != nil {
		return Result{}, err
	}
	idle, cpu := float64(c.resident())/mib, c.cpu()

	load := b.steadyLoad(s, t)
	b.Progress.Start(b.say(t, "steady load"), load.tally.kept)
	defer b.Progress.Done()
	sent, err := b.drive(ctx, s, c, load)
	if err != nil {
		return Result{}, err
	}
	b.checkPace(t, load, sent)
	r := load.result(t, sent)
	if c := load.canceller; c != nil {
		if note := c.report(&r, t, load.tally.cancelled); note != "" {
			b.note(note)
		}
	}
	r.IdleMiB = idle
	r.use(c, load.worked-cpu)
	return r, nil
}

// steadyLoad is a steady load on its way.
type steadyLoad struct {
	maker  *maker
	tally  *tally
	rate   int
	paced  time.Duration // how long sending took
	worked time.Duration // the contender's CPU time at the last arrival
	// canceller cancels some of it; nil: nobody does. The last record that is sent is due by
	// lastDue, give or take the way to the broker.
	canceller *canceller
	lastDue   time.Time
}

func (b *bench) steadyLoad(s *stage, t turn) *steadyLoad {
	d := deck{levels: b.Load.Levels, keys: b.Load.Keys, targets: len(s.targets)}
	if b.Load.Exact {
		d.exact = longest(b.Load.Levels)
	}
	if t.label == LabelCancel {
		d.cancel = b.Cancel
	}
	rate, warm := b.rate(t.kind), warmUp
	if b.Sick {
		warm = sickWarmUp
	}
	first := int64(warm.Seconds() * float64(rate))
	n := first + int64(b.Load.Duration.Seconds()*float64(rate))
	load := &steadyLoad{maker: newMaker(d, b.Load.Size, s.address(d, b.Load.Through)), tally: newTally(d, n), rate: rate}
	if d.cancel > 0 {
		load.canceller = newCanceller(load.maker, s.names.Inbox())
	}
	load.tally.measured = func(id int64, _ time.Time) bool {
		return id >= first && (!b.Sick || d.target(id) > 0) // healthy ones only, also where all are: like with like
	}
	return load
}

// drive sends the load and reads until all of it has arrived or is lost.
func (b *bench) drive(ctx context.Context, s *stage, c *contender, load *steadyLoad) (sent int64, err error) {
	tallies := make(map[string]*tally)
	for _, target := range s.targets {
		tallies[target] = load.tally
	}
	sick := s.sick
	in, err := newConsumer(b.reading(), b.Load.Partitions, tallies, b.Progress)
	if err != nil {
		return 0, err
	}
	defer in.client.Close()
	in.read(s.there()...)

	g, ctx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	g.Go(func() (err error) {
		defer close(done)
		load.paced, sent, err = pace(ctx, b.Opts, load.maker, load.rate, load.tally.expected, load.canceller)
		load.lastDue = time.Now().Add(longest(load.tally.levels))
		return err
	})
	g.Go(func() error {
		patience := longest(load.tally.levels) + lostWait
		err := in.until(ctx, func() (bool, error) {
			over := load.tally.complete() && load.arrived(done) || isDone(done) && in.silent(patience)
			if sick && isDone(done) && (over || load.tally.healthy()) {
				sick, over = false, false
				if err := s.heal(ctx); err != nil {
					return false, err
				}
				in.read(s.targets[0])
				in.seen = time.Now()
			}
			return over, c.fault()
		})
		if err != nil {
			return err
		}
		load.worked = c.cpu()
		return in.settle(ctx)
	})
	err = g.Wait()
	return sent, err
}

// arrived reports whether what was cancelled would have arrived too, once all else has.
func (l *steadyLoad) arrived(done <-chan struct{}) bool {
	return l.canceller == nil || isDone(done) && time.Now().After(l.lastDue)
}

// checkPace tells the reader where less was sent than asked for.
func (b *bench) checkPace(t turn, l *steadyLoad, sent int64) {
	if got := float64(sent) / l.paced.Seconds(); got < paceTolerance*float64(l.rate) {
		b.note(fmt.Sprintf("The sender could not keep up in round %d of %s: it sent %.0f records a second instead of %d.", t.round, t, got, l.rate))
	}
}

// result is what the tally and the sender say of a steady load.
func (l *steadyLoad) result(t turn, sent int64) Result {
	r := l.tally.result(sent)
	r.Label, r.Late = t.label, newLate(l.tally.late.Histogram)
	r.SentRate = float64(sent) / l.paced.Seconds()
	return r
}

// use adds what the contender's process has used for all that was delivered.
func (r *Result) use(c *contender, cpu time.Duration) {
	r.CPUSeconds = cpu.Seconds()
	if r.Delivered > 0 {
		r.CPUPerMillion = r.CPUSeconds / float64(r.Delivered) * 1e6
	}
	r.PeakMiB = c.peakMiB()
}

// longest is the longest delay of levels.
func longest(all []levels.Level) time.Duration {
	return slices.MaxFunc(all, func(a, b levels.Level) int { return cmp.Compare(a.Delay, b.Delay) }).Delay
}

func isDone(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// shortest is the shortest delay of levels.
func shortest(all []levels.Level) time.Duration {
	return slices.MinFunc(all, func(a, b levels.Level) int { return cmp.Compare(a.Delay, b.Delay) }).Delay
}
