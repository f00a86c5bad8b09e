package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	// clockWait is how long a broker may take to go by a clock that was set.
	clockWait = 30 * time.Second
	// clockNear is how near to what was set the clock has to be seen.
	clockNear = 3 * time.Second
	// estimated is when delayd has to know how far the clocks are apart: it takes
	// seconds until a difference cannot be a delay any more.
	estimated = 25 * time.Second
	// alarmed is when it has to have said so.
	alarmed = 60 * time.Second
	// ahead is how far this host's clock may be ahead of the brokers' from the start.
	ahead = 30 * time.Second
	// skewLogged is in what it says.
	skewLogged = "skew_ms"
)

// clockRows set clocks. delayd cannot be given a wrong clock by a library, because
// it uses none for that: it is the brokers' that are set, which is the same to it.
var clockRows = []row{
	clockRow("clock-10s", 10*time.Second),
	clockRow("clock-1h", time.Hour),
	{
		name:       "clock-ahead-at-start",
		about:      fmt.Sprintf("this host's clock is %v ahead of the broker's from the start, while delayd is restarted, killed and joined", ahead),
		deliveries: bothDeliveries, clocked: true, ahead: -ahead,
		instances: []string{},
		topics:    map[string]map[string]string{broken: {timestampType: "CreateTime", "message.timestamp.after.max.ms": "1000"}},
		load:      func(m *mix) { m.targets = withBroken },
		least:     45 * time.Second,
		limits:    limits{worst: takeover + 5*time.Second},
		run:       startAhead,
	},
	{
		name: "producer-clocks", matrix: 21,
		about:      "the clocks of producers are an hour ahead or behind",
		deliveries: bothDeliveries,
		load:       func(m *mix) { m.skew = time.Hour },
		limits:     limits{worst: time.Second},
		run:        untilLoadIsOver,
	},
}

// clockRow sets the brokers' clock ahead, back, and ahead again: what was accepted
// just before it was set back is due only then.
func clockRow(name string, step time.Duration) row {
	return row{
		name: name, matrix: 20,
		about:      fmt.Sprintf("the clock of the broker is set %v ahead, back, and ahead again", step),
		deliveries: bothDeliveries, clocked: true,
		least: 100 * time.Second,
		run: func(ctx context.Context, w *world) error {
			if !w.whileLoad(ctx, 5*time.Second) {
				return nil
			}
			if err := w.setClock(ctx, step); err != nil || !w.whileLoad(ctx, 15*time.Second) {
				return err
			}
			// Set back, it makes records seem older than they are, until delayd knows, and
			// those on their way seem to have come before they were sent.
			w.history.forgive(step + w.longest())
			if err := w.setClock(ctx, 0); err != nil || !w.whileLoad(ctx, estimated) {
				return err
			}
			w.history.forgive(0)
			if !w.whileLoad(ctx, 20*time.Second) {
				return errors.New("the load was over before it was seen that nothing comes early any more")
			}
			if err := w.setClock(ctx, step); err != nil {
				return err
			}
			return w.logged(ctx, "one", skewLogged, alarmed)
		},
	}
}

// setClock sets the brokers' clock, and returns when records are stamped by it.
func (w *world) setClock(ctx context.Context, ahead time.Duration) error {
	defer w.faults.begin(fmt.Sprintf("set the clock %v ahead", ahead))()
	if err := w.clock.Set(ahead); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, clockWait)
	defer cancel()
	for {
		seen := w.history.clockAhead()
		if (seen - ahead).Abs() < clockNear {
			return nil
		}
		if sleep(ctx, groupEvery) != nil {
			return fmt.Errorf("set the brokers' clock %v ahead: %w (it is seen to be %v ahead)", ahead, context.Cause(ctx), seen)
		}
	}
}

// logged waits until a delayd has said something, and notes a violation where it
// does not in time.
func (w *world) logged(ctx context.Context, name, text string, within time.Duration) error {
	i, err := w.instance(name)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		log, err := os.ReadFile(i.logFile)
		if err != nil || bytes.Contains(log, []byte(text)) {
			return err
		}
		if sleep(bounded, groupEvery) != nil {
			if ctx.Err() == nil {
				w.violated("delayd %s has not logged %q within %v", name, text, within)
			}
			return ctx.Err()
		}
	}
}

// startAhead starts a delayd when there is something to deliver, and then has all that
// begins anew begin anew: it is restarted, killed, and hands partitions over.
func startAhead(ctx context.Context, w *world) error {
	if !w.whileLoad(ctx, warmUp) {
		return errLoadOver
	}
	if err := w.startReady(ctx, "one"); err != nil {
		return err
	}
	for n := 0; w.whileLoad(ctx, warmUp); n++ {
		var err error
		if n%2 == 0 {
			err = w.restart(ctx, "one")
		} else {
			err = w.killAndRestart(ctx, "one", 0)
		}
		if err != nil || !w.whileLoad(ctx, warmUp) {
			return err
		}
		if err := w.grow(ctx, "two"); err != nil {
			return err
		}
		if !w.whileLoad(ctx, warmUp) {
			return nil
		}
		end, err := w.stop("two")
		if err != nil {
			return err
		}
		end()
	}
	return nil
}
