package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/delayd-io/delayd/internal/consume"
)

const (
	// takeover is how long the partitions of an instance may lie idle that does not
	// come back: its session, and a rebalance on a busy machine.
	takeover = consume.SessionTimeout + 6*time.Second
	// exitFenced is delayd's exit code when another process has its instance id.
	exitFenced = 3
	// Frozen for longer than a session, as by a pause of a virtual machine.
	freezeLeast = consume.SessionTimeout + 2*time.Second
	freezeMost  = 14 * time.Second
)

// processRows break delayd itself.
var processRows = []row{{
	name: "kill-loop", matrix: 2,
	about:      "kill -9 every few seconds, and a start half a second later",
	deliveries: bothDeliveries,
	limits:     limits{worst: 5 * time.Second, recover: 3*time.Second + echo},
	run: func(ctx context.Context, w *world) error {
		for w.whileLoad(ctx, w.between(1500*time.Millisecond, 4*time.Second)) {
			if err := w.killAndRestart(ctx, "one", 500*time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	},
}, {
	name: "failover", matrix: 3,
	about:      "kill -9 of one of two instances, which does not come back",
	deliveries: bothDeliveries, instances: []string{"one", "two"},
	least:  takeover + 15*time.Second,
	limits: limits{worst: takeover, recover: 3*time.Second + echo},
	run: func(ctx context.Context, w *world) error {
		if err := w.owned(ctx, "one", "two"); err != nil || !w.whileLoad(ctx, 5*time.Second) {
			return err
		}
		end, err := w.kill("one")
		if err != nil {
			return err
		}
		defer end()
		return w.owned(ctx, "two")
	},
}, {
	name: "rolling-restart", matrix: 4,
	about:      "SIGTERM and a start for one after the other of two instances, over and over",
	deliveries: bothDeliveries, instances: []string{"one", "two"},
	limits: limits{worst: 5 * time.Second, recover: 3*time.Second + echo},
	run: func(ctx context.Context, w *world) error {
		for n := 0; w.whileLoad(ctx, w.between(time.Second, 3*time.Second)); n++ {
			if err := w.restart(ctx, w.row.instances[n%2]); err != nil {
				return err
			}
		}
		return nil
	},
}, {
	name: "freeze", matrix: 5,
	about:      "SIGSTOP of one of two instances until the other has its partitions, then SIGCONT",
	deliveries: bothDeliveries, instances: []string{"one", "two"},
	least: 45 * time.Second,
	// What was delivered just before and not committed; never what waited in the
	// frozen one.
	limits: limits{worst: takeover + freezeMost - freezeLeast, recover: 3*time.Second + echo, uncommitted: time.Second / 2},
	run: func(ctx context.Context, w *world) error {
		for n := 0; w.whileLoad(ctx, w.between(4*time.Second, 6*time.Second)); n++ {
			if err := w.owned(ctx, "one", "two"); err != nil {
				return err
			}
			name, other := w.row.instances[n%2], w.row.instances[1-n%2]
			if err := w.whileFrozen(name, func() error {
				if err := sleep(ctx, w.between(freezeLeast, freezeMost)); err != nil {
					return err
				}
				return w.owned(ctx, other) // or nothing was broken
			}); err != nil {
				return err
			}
		}
		return nil
	},
}, {
	name: "one-id", matrix: 6,
	about:      "two processes with one instance id: the first ends with exit code 3, also when it was frozen",
	deliveries: bothDeliveries,
	least:      freezeMost + 15*time.Second,
	limits:     limits{worst: 5 * time.Second, recover: 3*time.Second + echo},
	run: func(ctx context.Context, w *world) error {
		if !w.whileLoad(ctx, 3*time.Second) {
			return nil
		}
		if err := w.replace(ctx, "one", "second"); err != nil || !w.whileLoad(ctx, 5*time.Second) {
			return err
		}
		return w.replaceFrozen(ctx, "second", "third")
	},
}, {
	name: "log-full", matrix: 19,
	about:      "there is no space for delayd's log, at any time",
	deliveries: bothDeliveries, output: "/dev/full", flags: []string{"--log-level", "debug"},
	least:  20 * time.Second,
	limits: limits{worst: 2 * takeover, recover: 3*time.Second + echo},
	run: func(ctx context.Context, w *world) error {
		if err := w.writesTo("one", w.row.output); err != nil {
			return err
		}
		// Both have much to say while partitions come and go.
		for w.whileLoad(ctx, 2*time.Second) {
			if err := w.start("two"); err != nil {
				return err
			}
			if err := w.owned(ctx, "one", "two"); err != nil {
				return err
			}
			end, err := w.stop("two")
			if err == nil {
				err = w.owned(ctx, "one")
				end()
			}
			if err != nil {
				return err
			}
		}
		return nil
	},
}, {
	name: "upgrade", matrix: 38, named: true,
	about:      "two instances are upgraded from --old one after the other, and one goes back",
	deliveries: bothDeliveries, instances: []string{"one"},
	least: time.Minute,
	// An older one may not tell the next owner of a partition what has overtaken its
	// commit.
	limits: limits{twice: 1000, worst: 5 * time.Second, recover: 3*time.Second + echo},
	run: func(ctx context.Context, w *world) error {
		if w.old == "" {
			return fmt.Errorf("--old FILE is needed: the older delayd, built from an earlier commit")
		}
		steps := []struct{ name, program string }{
			{"one", w.old}, {"two", w.old}, {"one", w.program}, {"two", w.program}, {"one", w.old}, {"one", w.program},
		}
		for _, s := range steps {
			if !w.whileLoad(ctx, 3*time.Second) {
				return fmt.Errorf("the load was over before all were upgraded")
			}
			if err := w.runAs(ctx, s.name, s.program); err != nil {
				return err
			}
		}
		return nil
	},
}}

// restart ends a delayd as an operator does, and returns when it is ready again.
func (w *world) restart(ctx context.Context, name string) error {
	end, err := w.stop(name)
	if err != nil {
		return err
	}
	defer end()
	return w.startReady(ctx, name)
}

// runAs has a program run under a name from now on, in place of what ran under it.
func (w *world) runAs(ctx context.Context, name, program string) error {
	i, err := w.instance(name)
	if err != nil {
		return err
	}
	i.program.Command[0] = program
	if running, _ := i.running(); running {
		return w.restart(ctx, name)
	}
	return w.startReady(ctx, name)
}

// replace starts a delayd with the instance id "one", which another one runs with:
// that one has to end because of it.
func (w *world) replace(ctx context.Context, old, name string) error {
	before, err := w.instance(old)
	if err != nil {
		return err
	}
	defer w.faults.begin("take the id of " + old)()
	w.crashed()
	before.expectEnd()
	if err := w.startTwin(ctx, name); err != nil {
		return err
	}
	if err := before.endsWith(ctx, exitFenced); err != nil {
		w.violated("%v", err)
	}
	return nil
}

// replaceFrozen is replace for one that is frozen when it happens, and for longer
// than its session.
func (w *world) replaceFrozen(ctx context.Context, old, name string) error {
	before, err := w.instance(old)
	if err != nil {
		return err
	}
	before.expectEnd()
	if err := w.whileFrozen(old, func() error {
		if err := w.startTwin(ctx, name); err != nil {
			return err
		}
		return sleep(ctx, w.between(freezeLeast, freezeMost))
	}); err != nil {
		return err
	}
	if err := before.endsWith(ctx, exitFenced); err != nil {
		w.violated("%v", err)
	}
	return nil
}

// startTwin starts a delayd that is one by its instance id, and returns when it is
// ready.
func (w *world) startTwin(ctx context.Context, name string) error {
	if _, err := w.twin(name, "one"); err != nil {
		return err
	}
	return w.startReady(ctx, name)
}

// writesTo checks that a delayd's standard output and error are a file.
func (w *world) writesTo(name, file string) error {
	i, err := w.instance(name)
	if err != nil {
		return err
	}
	for fd := 1; fd <= 2; fd++ {
		link := fmt.Sprintf("/proc/%d/fd/%d", i.pid(), fd)
		if got, err := os.Readlink(link); err != nil || got != file {
			return fmt.Errorf("%s is %q, want %s: %w", link, got, file, err)
		}
	}
	return nil
}
