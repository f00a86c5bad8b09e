package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sync/errgroup"
)

const (
	// seatEvery is how often it is asked who holds a seat, and seatAsk how long a
	// broker may take to answer: a frozen one never does, and another is asked then.
	seatEvery = 100 * time.Millisecond
	seatAsk   = 2 * time.Second
	// seatWait is how long a seat may take to find its next holder: the brokers'
	// session (3 s here), and room for a busy machine.
	seatWait = 30 * time.Second
	// syncWait is how long a broker that came back may take until it has all records.
	syncWait = time.Minute
)

// seat is what one broker at a time holds, and another one takes when it is gone.
type seat struct {
	name   string
	holder func(ctx context.Context) (node int, err error)
}

// leads is the seat of a partition's leader.
func (w *world) leads(topic string, partition int32) seat {
	return seat{fmt.Sprintf("the lead of %s/%d", topic, partition), func(ctx context.Context) (int, error) {
		topics, err := w.admin.ListTopics(ctx, topic)
		if err != nil {
			return 0, err
		}
		p := topics[topic].Partitions[partition]
		return int(p.Leader), errors.Join(topics[topic].Err, p.Err)
	}}
}

// leadsOnly is the seat of the leader of one of a topic's partitions, who coordinates
// none of delayd's groups: losing the coordinator is another fault, which may deliver
// records twice.
func (w *world) leadsOnly(ctx context.Context, topic string) (seat, error) {
	var coordinators []int
	for _, group := range []string{w.names.RouterGroup(), w.names.ForwarderGroup()} {
		node, err := w.coordinates(group).holder(ctx)
		if err != nil {
			return seat{}, err
		}
		coordinators = append(coordinators, node)
	}
	ctx, cancel := context.WithTimeout(ctx, seatWait) // leaders may be on their way back
	defer cancel()
	for {
		for p := range int32(targetPartitions) { // levels have as many
			s := w.leads(topic, p)
			node, err := s.holder(ctx)
			if err == nil && !slices.Contains(coordinators, node) {
				return s, nil
			}
		}
		if err := sleep(ctx, seatEvery); err != nil {
			return seat{}, fmt.Errorf("every partition of %s is led by a coordinator %v: %w", topic, coordinators, err)
		}
	}
}

// coordinates is the seat of the broker that a group commits to: it leads the
// partition of __consumer_offsets that has the group's commits.
func (w *world) coordinates(group string) seat {
	return seat{"the coordinator of " + group, func(ctx context.Context) (int, error) {
		r := w.admin.FindGroupCoordinators(ctx, group)[group]
		return int(r.NodeID), r.Err
	}}
}

// ends is the seat of the broker that ends the transactions of an id: it leads the
// partition of __transaction_state that has them.
func (w *world) ends(id string) seat {
	return seat{"the coordinator of transactions of " + id, func(ctx context.Context) (int, error) {
		r := w.admin.FindTxnCoordinators(ctx, id)[id]
		return int(r.NodeID), r.Err
	}}
}

// transactor is an id under which transactions are made: one of delayd's forwarder
// where it makes any, else that of the load.
func (w *world) transactor(ctx context.Context) (string, error) {
	listed, err := w.admin.ListTransactions(ctx, nil, nil)
	if err != nil {
		return "", err
	}
	for _, id := range listed.TransactionalIDs() {
		if strings.HasPrefix(id, w.names.ForwarderGroup()) {
			return id, nil
		}
	}
	if w.delivery == exactlyOnce {
		return "", fmt.Errorf("delayd makes no transactions; those that there are: %q", listed.TransactionalIDs())
	}
	return transactionsOf(w.history.mix), nil
}

// overthrow breaks the broker that holds a seat. It returns when that is fixed, all
// brokers have all records again, and lead what they led at first. That nobody has taken the seat in the
// meantime is an error: then nothing was tried.
func (w *world) overthrow(ctx context.Context, s seat, breakIt func(ctx context.Context, node int) error) error {
	node, err := s.holder(ctx)
	if err != nil {
		return fmt.Errorf("who is %s: %w", s.name, err)
	}
	g, broken := errgroup.WithContext(ctx)
	g.Go(func() error { return breakIt(broken, node) })
	g.Go(func() error { return s.left(broken, node) })
	if err := g.Wait(); err != nil {
		return err
	}
	if err := w.inSync(ctx); err != nil {
		return err
	}
	_, err = w.admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, w.own())
	return err
}

// own are the partitions of delayd's topics and of the targets.
func (w *world) own() kadm.TopicsSet {
	var all kadm.TopicsSet
	for _, topic := range append(w.topics(), w.names.Parked()) {
		n := int32(targetPartitions) // levels and the others have as many
		if topic == w.names.Dead() {
			n = 1
		}
		for p := range n {
			all.Add(topic, p)
		}
	}
	return all
}

// left waits until a broker no longer holds the seat.
func (s seat) left(ctx context.Context, node int) error {
	ctx, cancel := context.WithTimeout(ctx, seatWait)
	defer cancel()
	for {
		ask, stop := context.WithTimeout(ctx, seatAsk)
		now, err := s.holder(ask)
		stop()
		if err == nil && now != node {
			return nil
		}
		if sleep(ctx, seatEvery) != nil {
			return fmt.Errorf("%s: still broker %d after %v (last: %w)", s.name, node, seatWait, errors.Join(context.Cause(ctx), err))
		}
	}
}

// inSync waits until every replica of every partition has all that is acknowledged:
// only then can another broker be broken, and a majority have it.
func (w *world) inSync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, syncWait)
	defer cancel()
	for {
		topics, err := w.admin.ListTopicsWithInternal(ctx)
		behind := 0
		for _, t := range topics {
			for _, p := range t.Partitions {
				if len(p.ISR) < len(p.Replicas) {
					behind++
				}
			}
		}
		if err == nil && behind == 0 {
			return nil
		}
		if sleep(ctx, seatEvery) != nil {
			return fmt.Errorf("%d partitions are not in sync after %v (last: %w)", behind, syncWait, errors.Join(context.Cause(ctx), err))
		}
	}
}

// leaders are those of all partitions.
func (w *world) leaders(ctx context.Context) (map[string]map[int32]int32, error) {
	topics, err := w.admin.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, err
	}
	all := make(map[string]map[int32]int32)
	for _, t := range topics {
		all[t.Topic] = make(map[int32]int32)
		for _, p := range t.Partitions {
			all[t.Topic][p.Partition] = p.Leader
		}
	}
	return all, nil
}

// moveLeaders gives every partition another leader, which nothing else goes wrong
// with, and says how many have one. One whose next replica is down keeps its own.
func (w *world) moveLeaders(ctx context.Context) (moved int, err error) {
	defer w.faults.begin("move leaders")()
	before, err := w.leaders(ctx)
	if err != nil {
		return 0, err
	}
	topics, err := w.admin.ListTopicsWithInternal(ctx)
	if err != nil {
		return 0, err
	}
	var req kadm.AlterPartitionAssignmentsReq
	var all kadm.TopicsSet
	for _, t := range topics {
		for _, p := range t.Partitions {
			if len(p.Replicas) < 2 {
				continue
			}
			req.Assign(t.Topic, p.Partition, append(p.Replicas[1:len(p.Replicas):len(p.Replicas)], p.Replicas[0]))
			all.Add(t.Topic, p.Partition)
		}
	}
	if _, err := w.admin.AlterPartitionAssignments(ctx, req); err != nil {
		return 0, err
	}
	// Each refusal is one partition's, whose leader stays: where a broker is down.
	if _, err := w.admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, all); err != nil {
		return 0, err
	}
	if err := sleep(ctx, time.Second); err != nil { // until the brokers have told each other
		return 0, err
	}
	after, err := w.leaders(ctx)
	for topic, partitions := range after {
		for p, leader := range partitions {
			if was, ok := before[topic][p]; ok && was != leader {
				moved++
			}
		}
	}
	return moved, err
}
