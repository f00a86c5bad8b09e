package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
)

const (
	// warmUp is how long records pass before a broker is broken.
	warmUp = 3 * time.Second
	// brokerDown is how long a killed broker is away: longer than the brokers' own
	// session, so that its seats have to be taken by others.
	brokerDown = 5 * time.Second
	// brokerFrozen is how long a frozen one is: the same, and its connections stay open.
	brokerFrozen = 8 * time.Second
	// lateAfterwards is when a record counts as late after brokers or the network were
	// broken: the load's producers and the brokers themselves have to find each other
	// again too, on the machine that all of them share.
	lateAfterwards = time.Second
	// failover is how long after that records may be late. Seats are taken 9 s after
	// their holder was last heard of (broker.session.timeout.ms), and an abandoned
	// transaction ends up to 20 s after it was left.
	failover = 25 * time.Second
)

// brokerRows break brokers. Three of them have every partition three times, and what
// is acknowledged is on two: delayd's acks=all makes one a loss for nobody. A target
// that does not answer for five seconds is parked, though, with what may have been
// written there: at least once, those are duplicates.
var brokerRows = []row{
	{
		name: "leader-kill", matrix: 9,
		about: "kill -9 of the brokers that lead a level's and a target's partition",
		nodes: 3, deliveries: bothDeliveries, least: 60 * time.Second,
		limits: limits{late: lateAfterwards, twice: twicePerCrash, worst: 30 * time.Second, recover: failover + echo},
		run:    overthrowLeaders((*world).killForAWhile),
	}, {
		name: "leader-freeze", matrix: 10,
		about: "the brokers that lead a level's and a target's partition are stopped for " + brokerFrozen.String() + ", and go on",
		nodes: 3, deliveries: bothDeliveries, least: 45 * time.Second,
		limits: limits{late: lateAfterwards, twice: twicePerCrash, worst: 30 * time.Second, recover: failover + echo},
		run: overthrowLeaders(func(w *world, ctx context.Context, node int) error {
			return w.freezeBroker(ctx, node, brokerFrozen)
		}),
	}, {
		name: "coordinator-kill", matrix: 11,
		about: "kill -9 of the brokers that coordinate the forwarders' group, and transactions",
		nodes: 3, deliveries: bothDeliveries, least: 60 * time.Second,
		limits: limits{late: lateAfterwards, twice: twicePerCrash, worst: 30 * time.Second, recover: failover + echo},
		run: func(ctx context.Context, w *world) error {
			if !w.whileLoad(ctx, warmUp) {
				return errLoadOver
			}
			id, err := w.transactor(ctx)
			if err != nil {
				return err
			}
			return w.overthrowAll(ctx, w.killForAWhile, w.coordinates(w.names.ForwarderGroup()), w.ends(id))
		},
	}, {
		name: "coordinator-kills", matrix: 11,
		about: "kill -9 of the broker that has the forwarders' commits, while commits are under way, again and again",
		nodes: 3, deliveries: bothDeliveries, least: 75 * time.Second,
		limits: limits{late: lateAfterwards, twice: 3 * twicePerCrash, worst: 30 * time.Second, recover: 15*time.Second + echo},
		run: func(ctx context.Context, w *world) error {
			return w.atRandom(ctx, time.Second, 3*time.Second, 3, func() error {
				return w.overthrow(ctx, w.coordinates(w.names.ForwarderGroup()), w.killForAWhile)
			})
		},
	}, {
		name: "brokers-kill", matrix: 12,
		about: "kill -9 of all brokers at once, while what is delivered is purged at once",
		nodes: 3, deliveries: bothDeliveries, least: 45 * time.Second,
		flags:  []string{"--purge-after", "0"},
		limits: limits{late: lateAfterwards, twice: twicePerCrash, worst: time.Minute, recover: 30*time.Second + echo},
		run:    killAllBrokers,
	}, {
		name: "leaders-move", matrix: 13,
		about: "every partition gets another leader, and nothing else goes wrong",
		nodes: 3, deliveries: bothDeliveries, least: 30 * time.Second,
		limits: limits{late: lateAfterwards, worst: 10 * time.Second, recover: 5*time.Second + echo},
		run: func(ctx context.Context, w *world) error {
			return w.atRandom(ctx, 3*time.Second, 5*time.Second, 3, func() error {
				moved, err := w.moveLeaders(ctx)
				if err == nil && moved == 0 {
					w.violated("no partition has got another leader")
				}
				return err
			})
		},
	}, {
		name: "disk-full", matrix: 18,
		about: "the broker's disk fills up, which ends it; there is room again, and it is started",
		nodes: 1, disk: 512 << 20, deliveries: bothDeliveries, least: 40 * time.Second,
		limits: limits{late: lateAfterwards, twice: twicePerCrash, worst: time.Minute, recover: 30*time.Second + echo},
		run:    fillDisk,
	}, {
		name: "quota", matrix: 29,
		about: "the brokers let delayd write less than there is to deliver",
		nodes: 1, deliveries: bothDeliveries, least: 60 * time.Second,
		// Twice: a broker may let nothing through for more than five seconds at a time,
		// and its targets count as sick.
		limits: limits{late: lateAfterwards, twice: twicePerCrash, worst: 2 * time.Minute, recover: 60*time.Second + echo},
		run:    limitDelayd,
	}, {
		name: "hung-transaction", matrix: 33,
		about: "a producer begins a transaction on a level's topic, and never ends it",
		nodes: 1, deliveries: bothDeliveries, least: 45 * time.Second,
		limits: limits{late: lateAfterwards, worst: hungTimeout + 15*time.Second, recover: 10*time.Second + echo},
		run:    hangTransaction,
	},
}

// killForAWhile kills a broker for as long as its seats take to be taken.
func (w *world) killForAWhile(ctx context.Context, node int) error {
	return w.killBroker(ctx, node, brokerDown)
}

// overthrowLeaders breaks the leader of a level's partition, and then that of a
// target's.
func overthrowLeaders(breakIt func(w *world, ctx context.Context, node int) error) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		m := w.history.mix
		for _, topic := range []string{m.names.Level(m.levels[0]), m.targets[0]} {
			s, err := w.leadsOnly(ctx, topic)
			if err != nil {
				return err
			}
			if err := w.overthrowAll(ctx, func(ctx context.Context, node int) error { return breakIt(w, ctx, node) }, s); err != nil {
				return err
			}
		}
		return nil
	}
}

// overthrowAll breaks the holders of seats one after another.
func (w *world) overthrowAll(ctx context.Context, breakIt func(context.Context, int) error, seats ...seat) error {
	for _, s := range seats {
		if !w.whileLoad(ctx, warmUp) {
			return errLoadOver
		}
		if err := w.overthrow(ctx, s, breakIt); err != nil {
			return err
		}
	}
	return nil
}

// killAllBrokers kills every broker, once something has been purged: where a log
// begins is no more durable than a minute, so it begins further back afterwards, and
// only the group's commits keep what was purged from being delivered again.
func killAllBrokers(ctx context.Context, w *world) error {
	if !w.whileLoad(ctx, 10*time.Second) {
		return errLoadOver
	}
	m := w.history.mix
	starts, err := w.admin.ListStartOffsets(ctx, m.names.Level(m.levels[0]))
	if err != nil {
		return err
	}
	purged := int64(0)
	starts.Each(func(o kadm.ListedOffset) { purged += max(o.Offset, 0) })
	if purged == 0 {
		w.violated("nothing has been purged before the brokers were killed")
	}
	defer w.faults.begin("kill all brokers")()
	var errs []error
	for node := range w.row.nodes {
		errs = append(errs, w.cluster.Kill(node))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	return w.cluster.StartAll(ctx)
}

// fillDisk leaves the broker no room, waits until that has ended it, makes room and
// starts it again.
func fillDisk(ctx context.Context, w *world) error {
	const endWait = 30 * time.Second
	if !w.whileLoad(ctx, warmUp) {
		return errLoadOver
	}
	defer w.faults.begin("disk full")()
	if err := w.disk.fill(); err != nil {
		return err
	}
	ending, cancel := context.WithTimeout(ctx, endWait)
	defer cancel()
	for w.cluster.Running(0) {
		if sleep(ending, seatEvery) != nil {
			return fmt.Errorf("the broker still runs %v after its disk was full", endWait)
		}
	}
	if err := w.disk.free(); err != nil {
		return err
	}
	return w.cluster.Start(ctx, 0)
}

// limitDelayd has the broker take less of delayd than comes in, for a while. Then
// there is a backlog, which takes as long as the quota says.
func limitDelayd(ctx context.Context, w *world) error {
	const (
		quota  = 300_000          // bytes a second, of the 700,000 or so that there are
		filled = 10 * time.Second // brokers average over that
	)
	if !w.whileLoad(ctx, filled) {
		return errLoadOver
	}
	defer w.faults.begin("quota")()
	if err := w.setQuota(ctx, kadm.AlterClientQuotaOp{Value: quota}); err != nil {
		return err
	}
	if err := sleep(ctx, filled); err != nil {
		return err
	}
	if late := w.history.worst(); late < time.Second {
		w.violated("the quota has made nothing later than %v", late)
	}
	return w.setQuota(ctx, kadm.AlterClientQuotaOp{Remove: true})
}

// setQuota sets how many bytes a second each of delayd's clients that deliver may
// write to a broker, or takes that off.
func (w *world) setQuota(ctx context.Context, op kadm.AlterClientQuotaOp) error {
	op.Key = "producer_byte_rate"
	var entries []kadm.AlterClientQuotaEntry
	for _, client := range []string{"delayd-router", "delayd-forwarder"} {
		entries = append(entries, kadm.AlterClientQuotaEntry{
			Entity: kadm.ClientQuotaEntity{{Type: "client-id", Name: &client}}, Ops: []kadm.AlterClientQuotaOp{op},
		})
	}
	altered, err := w.admin.AlterClientQuotas(ctx, entries)
	for _, a := range altered {
		err = errors.Join(err, a.Err)
	}
	return err
}

const (
	// hungTimeout is when the broker aborts the transaction that hangs, and hungScan
	// how much later it may notice; see [world.build].
	hungTimeout = 15 * time.Second
	hungScan    = time.Second
	// hungHeld is how many records a level has to have behind such a transaction
	// after some seconds. Behind the load's own, which are short, there are far fewer.
	hungHeld = 1000
)

// hangTransaction writes to every partition of the first level in a transaction that
// nobody ends. No record behind it may be read, and so delivered, until the broker
// aborts it; delayd's metrics have to say so.
func hangTransaction(ctx context.Context, w *world) error {
	if !w.whileLoad(ctx, warmUp) {
		return errLoadOver
	}
	cl, err := kgo.NewClient(append(connect.Options(w.cluster.Brokers(), "torture-hung", w.log),
		kgo.TransactionalID("torture-hung"), kgo.TransactionTimeout(hungTimeout), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	level := w.history.mix.levels[0]
	var recs []*kgo.Record
	for p := range int32(targetPartitions) { // levels have as many
		recs = append(recs, &kgo.Record{Topic: w.names.Level(level), Partition: p, Value: []byte("never committed")})
	}
	defer w.faults.begin("hung transaction")()
	if err := cl.ProduceSync(ctx, recs...).FirstErr(); err != nil {
		return err
	}
	const left = 5 * time.Second
	if err := sleep(ctx, hungTimeout-left); err != nil {
		return err
	}
	const metric = "delayd_held_records"
	held, err := w.metric(ctx, "one", metric, "level="+level.String())
	if err != nil {
		return err
	}
	if held < hungHeld {
		w.violated("%s is %v while a transaction hangs, want %d at least", metric, held, hungHeld)
	}
	return sleep(ctx, left+hungScan)
}
