package main

import (
	"context"
	"strconv"
	"time"
)

// singleRows restart a broker that is the only one.
var singleRows = []row{{
	name: "broker-restart", matrix: 8,
	about:      "SIGTERM for the only broker, and a start a second later",
	deliveries: bothDeliveries,
	// A broker that stops while no other can lead can lose a transaction whose commit
	// it has acknowledged: that is between it and the load's producer.
	load:   func(m *mix) { m.transactional = false },
	least:  30 * time.Second,
	limits: brokerLimits,
	run: func(ctx context.Context, w *world) error {
		for w.whileLoad(ctx, 6*time.Second) {
			if err := w.restartBroker(ctx, 0, time.Second); err != nil {
				return err
			}
		}
		return nil
	},
}, {
	name: "broker-kill", matrix: 8,
	about:      "kill -9 of the only broker, and a start a second later",
	deliveries: bothDeliveries,
	// A broker that stops while no other can lead can lose a transaction whose commit
	// it has acknowledged: that is between it and the load's producer.
	load:   func(m *mix) { m.transactional = false },
	least:  30 * time.Second,
	limits: brokerLimits,
	run: func(ctx context.Context, w *world) error {
		for w.whileLoad(ctx, 6*time.Second) {
			w.crashed() // commits that the broker has not answered
			if err := w.killBroker(ctx, 0, time.Second); err != nil {
				return err
			}
		}
		return nil
	},
}}

// brokerLimits are for a broker that takes a while to start on a busy machine.
var brokerLimits = limits{worst: time.Minute, recover: 6*time.Second + echo}

// restartBroker ends a node as an operator does, and starts it again after a while.
func (w *world) restartBroker(ctx context.Context, node int, after time.Duration) error {
	defer w.faults.begin("restart broker " + strconv.Itoa(node))()
	w.crashed() // commits that the broker cannot answer any more
	if err := w.cluster.Stop(node); err != nil {
		return err
	}
	if err := sleep(ctx, after); err != nil {
		return err
	}
	return w.cluster.Start(ctx, node)
}
