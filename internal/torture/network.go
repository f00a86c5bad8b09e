package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/levels"
)

// networkRows break the network between delayd and the brokers. Everyone else goes
// past the proxies.
var networkRows = []row{
	cutRow("cut-20s", 20*time.Second),
	cutRow("cut-90s", 90*time.Second),
	{
		name: "coordinator-cut", matrix: 15,
		about: "one of two delayd no longer reaches the coordinator of its group, but reaches the other brokers",
		nodes: 3, proxied: true, deliveries: bothDeliveries,
		instances: []string{"one", "two"}, direct: []string{"two"}, least: 55 * time.Second,
		// The router's group may have another coordinator, which takes nothing from a
		// delayd that it hears of: requests in flight to the broker that is cut off wait.
		limits: limits{late: lateAfterwards, worst: coordinatorCut + 15*time.Second, recover: 15*time.Second + echo},
		run:    cutFromCoordinator,
	}, {
		name: "ack-lost", matrix: 16,
		about: "brokers take what delayd sends, and their answers are lost, for three seconds at a time",
		nodes: 1, proxied: true, deliveries: bothDeliveries, least: 35 * time.Second,
		limits: limits{late: lateAfterwards, worst: 15 * time.Second, recover: 5*time.Second + echo},
		run: func(ctx context.Context, w *world) error {
			return w.atRandom(ctx, 3*time.Second, 6*time.Second, 3, func() error { return w.loseAnswers(ctx, 0, 3*time.Second) })
		},
	}, {
		name: "latency", matrix: 17,
		about: "a round trip to a broker takes 200 ms, more or less",
		nodes: 1, proxied: true, deliveries: bothDeliveries, least: 30 * time.Second,
		limits: limits{late: lateAfterwards, worst: 10 * time.Second, recover: 5*time.Second + echo},
		run: func(ctx context.Context, w *world) error {
			return w.throttle(ctx, "latency", map[string]int64{"latency": 100, "jitter": 50}, 0, 200*time.Millisecond)
		},
	}, {
		name: "bandwidth", matrix: 17,
		about: "each connection to a broker carries 3 Mbit/s",
		nodes: 3, proxied: true, deliveries: bothDeliveries, least: 30 * time.Second,
		limits: limits{late: lateAfterwards, worst: 30 * time.Second, recover: 15*time.Second + echo},
		run: func(ctx context.Context, w *world) error {
			const rate, size = 375, 200_000 // KB/s, and what is sent to see it
			return w.throttle(ctx, "bandwidth", map[string]int64{"rate": rate}, size, size*time.Millisecond/rate)
		},
	}, {
		name: "resets", matrix: 17,
		about: "connections to a broker are reset, and new ones too for a moment, again and again",
		nodes: 1, proxied: true, deliveries: bothDeliveries, least: 20 * time.Second,
		limits: limits{late: lateAfterwards, worst: 10 * time.Second, recover: 5*time.Second + echo},
		run: func(ctx context.Context, w *world) error {
			return w.breaking(ctx, "one", func() error {
				return w.atRandom(ctx, 500*time.Millisecond, 2*time.Second, 5, func() error { return w.reset(ctx, 0) })
			})
		},
	}, {
		name: "commit-lost", matrix: 31,
		about: "connections break while commits are under way: a broker has them, and delayd does not hear of it",
		nodes: 1, proxied: true, deliveries: bothDeliveries, least: 20 * time.Second,
		limits: limits{late: lateAfterwards, worst: 10 * time.Second, recover: 5*time.Second + echo},
		run:    loseAnswersAtRandom,
	}, {
		name: "end-lost", matrix: 32,
		about: "connections break while transactions are ended: nobody knows whether they were",
		nodes: 1, proxied: true, deliveries: []delivery{exactlyOnce}, least: 20 * time.Second,
		limits: limits{late: lateAfterwards, worst: 30 * time.Second, recover: 15*time.Second + echo},
		run:    loseAnswersAtRandom,
	},
}

// cutRow cuts delayd off from all brokers for a time that is longer than its
// session: the group takes it for dead.
func cutRow(name string, d time.Duration) row {
	const before, after = 5 * time.Second, 15 * time.Second
	return row{
		name: name, matrix: 14,
		about: "nothing gets through between delayd and the broker for " + d.String(),
		nodes: 1, proxied: true, deliveries: bothDeliveries, least: before + d + after,
		limits: limits{late: lateAfterwards, worst: d + 30*time.Second, recover: 15*time.Second + echo},
		run: func(ctx context.Context, w *world) error {
			if !w.whileLoad(ctx, before) {
				return errLoadOver
			}
			return w.cut(ctx, 0, d)
		},
	}
}

// errLoadOver is that of a fault that came when nothing was sent any more.
var errLoadOver = errors.New("the load was over before anything was broken; send for longer (--duration)")

// atRandom has a fault happen again and again while records are sent, with pauses
// that are drawn. Less often than least is an error: then too little was tried.
func (w *world) atRandom(ctx context.Context, shortest, longest time.Duration, least int, fault func() error) error {
	n := 0
	for ; w.whileLoad(ctx, w.between(shortest, longest)); n++ {
		if err := fault(); err != nil {
			return err
		}
	}
	if n < least && ctx.Err() == nil {
		w.violated("only %d of %d faults before the load was over; send for longer (--duration)", n, least)
	}
	return nil
}

// silence drops what passes between delayd and a broker in those directions for a
// while: connections stay open, new ones are taken, and nothing answers. Then they
// are closed, and whatever was under way is lost.
func (w *world) silence(ctx context.Context, node int, d time.Duration, directions ...direction) error {
	defer w.proxies.heal(context.WithoutCancel(ctx), node)
	for _, dir := range directions {
		if err := w.proxies.toxic(node, dir, "timeout", map[string]int64{"timeout": 0}); err != nil {
			return err
		}
	}
	begun := time.Now()
	w.unreachable(ctx, node, min(d/2, time.Second))
	return sleep(ctx, d-time.Since(begun))
}

// cut lets nothing through between delayd and a broker for a while.
func (w *world) cut(ctx context.Context, node int, d time.Duration) error {
	defer w.faults.begin("cut " + strconv.Itoa(node))()
	w.crashed() // a group may take a delayd that it does not hear of for dead
	return w.silence(ctx, node, d, toBroker, fromBroker)
}

// loseAnswers has a broker hear of delayd, and delayd not of the broker, for a while
// that is shorter than the session.
func (w *world) loseAnswers(ctx context.Context, node int, d time.Duration) error {
	defer w.faults.begin("lose answers of " + strconv.Itoa(node))()
	return w.silence(ctx, node, d, fromBroker)
}

// loseAnswersAtRandom loses what is under way at moments that are drawn. Commits
// are made ten times a second, so the cuts hit a number of them.
func loseAnswersAtRandom(ctx context.Context, w *world) error {
	return w.breaking(ctx, "one", func() error {
		return w.atRandom(ctx, 100*time.Millisecond, time.Second, 10, func() error {
			return w.loseAnswers(ctx, 0, w.between(10*time.Millisecond, 300*time.Millisecond))
		})
	})
}

// refuse breaks delayd's connections to a broker, and takes no new ones, for a
// while.
func (w *world) refuse(ctx context.Context, node int, d time.Duration) error {
	defer w.faults.begin("refuse " + strconv.Itoa(node))()
	w.crashed()
	w.proxies.refuse(node)
	return errors.Join(sleep(ctx, d), w.proxies.accept(node))
}

// reset breaks delayd's connections to a broker, and those that it opens for a
// moment after that.
func (w *world) reset(ctx context.Context, node int) error {
	defer w.faults.begin("reset " + strconv.Itoa(node))()
	defer w.proxies.heal(context.WithoutCancel(ctx), node)
	for _, d := range []direction{toBroker, fromBroker} {
		if err := w.proxies.toxic(node, d, "reset_peer", map[string]int64{"timeout": 0}); err != nil {
			return err
		}
	}
	return sleep(ctx, 200*time.Millisecond)
}

// breaking notes a violation where delayd has met no broken connection meanwhile.
func (w *world) breaking(ctx context.Context, name string, fault func() error) error {
	const metric = "delayd_kafka_disconnects_total"
	before, err := w.metric(ctx, name, metric)
	if err != nil {
		return err
	}
	if err := fault(); err != nil {
		return err
	}
	after, err := w.metric(ctx, name, metric)
	if err == nil && after <= before {
		w.violated("delayd %s has met no broken connection: %s is %v, as before", name, metric, after)
	}
	return err
}

// throttle has a toxic in both directions on the ways to all brokers for a while, and
// checks that a request of a size takes so long at least.
func (w *world) throttle(ctx context.Context, kind string, attributes map[string]int64, size int, least time.Duration) error {
	const before, long = 3 * time.Second, 15 * time.Second
	if !w.whileLoad(ctx, before) {
		return errLoadOver
	}
	defer w.faults.begin(kind)()
	for node := range w.proxies.nodes {
		defer w.proxies.heal(context.WithoutCancel(ctx), node)
		for _, d := range []direction{toBroker, fromBroker} {
			if err := w.proxies.toxic(node, d, kind, attributes); err != nil {
				return err
			}
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	for node := range w.proxies.nodes {
		g.Go(func() error { return w.slow(ctx, node, size, least) })
	}
	g.Go(func() error { return sleep(ctx, long) })
	return g.Wait()
}

// coordinatorCut is how long a delayd is cut off from its coordinator.
const coordinatorCut = 30 * time.Second

// cutFromCoordinator cuts the first delayd off from the coordinator of the forwarders'
// group. It still reaches those that lead most partitions, and what it has fetched:
// only its lease keeps it from delivering what the second one delivers in its place.
func cutFromCoordinator(ctx context.Context, w *world) error {
	if !w.whileLoad(ctx, 5*time.Second) {
		return errLoadOver
	}
	node, err := w.coordinates(w.names.ForwarderGroup()).holder(ctx)
	if err != nil {
		return err
	}
	before, err := w.forwarded(ctx, "one")
	if err != nil {
		return err
	}
	if before == 0 {
		w.violated("delayd one has delivered nothing before it was cut off")
	}
	g, cutCtx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.cut(cutCtx, node, coordinatorCut) })
	g.Go(func() error { return w.leaseHolds(cutCtx, "one", coordinatorCut) })
	return g.Wait()
}

// leaseHolds notes a violation where a delayd that is cut off from its coordinator
// goes on delivering for as long as it is.
func (w *world) leaseHolds(ctx context.Context, name string, long time.Duration) error {
	// What was sent under the lease may be acknowledged a little later, and its
	// metrics ask the brokers, of which one does not answer: a Prometheus would wait
	// for ten seconds.
	const acked, counted = consume.SessionTimeout, 10 * time.Second
	end := time.Now().Add(long)
	if err := sleep(ctx, acked); err != nil {
		return err
	}
	stopped, err := w.forwarded(ctx, name)
	if err != nil {
		return err
	}
	if err := sleep(ctx, time.Until(end)-counted); err != nil {
		return err
	}
	asked := time.Now()
	after, err := w.forwarded(ctx, name)
	switch {
	case err != nil:
		return err
	case time.Since(asked) > counted:
		w.violated("delayd %s took %v to answer with its metrics, want %v at most", name, time.Since(asked), counted)
	case after > stopped:
		w.violated("delayd %s has delivered %v records without a lease", name, after-stopped)
	}
	return nil
}

// forwarded is how many records a delayd's forwarder has delivered.
func (w *world) forwarded(ctx context.Context, name string) (float64, error) {
	return w.metric(ctx, name, "delayd_delivered_total", "level!="+levels.Level{}.String())
}
