package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// topicAway is how long a topic is away that is made again, and routing how long
	// the router may take, when all is well.
	topicAway = 3 * time.Second
	routing   = time.Second
	// settling is how long records pass after a topic was made again, before anything
	// else happens.
	settling = 5 * time.Second
	// lullLength is how long nothing is sent: long enough for everything to be
	// committed, and for a lease to run out where nothing is.
	lullLength = 8 * time.Second
	// abandonedFrom is the number from which no record asks for the level that is
	// deleted.
	abandonedFrom = 20_000
)

// recreateRows delete topics of delayd's own under load. What they held is lost with
// them, and nothing else.
var recreateRows = []row{
	recreateRow("topic-recreated", "", func(context.Context, *world) error { return nil }),
	recreateRow("topic-recreated-restart", ", and delayd is restarted each time", func(ctx context.Context, w *world) error { return w.restart(ctx, "one") }),
	{
		name:       "level-deleted",
		about:      "a level with pending records is deleted; nobody asks for it any more",
		deliveries: bothDeliveries,
		least:      70 * time.Second,
		load: func(m *mix) {
			m.transactional = false // a transaction on a topic that goes has no outcome
			m.alter = m.abandon
		},
		limits: calmLimits,
		run:    deleteLevel,
	},
}

// abandon has the later records ask for the other levels. Those that were chosen at
// random stay what they are.
func (m *mix) abandon(c *recipe, _ *rand.Rand) {
	if c.id >= abandonedFrom && c.level == m.levels[abandoned] {
		c.level = m.levels[int(c.id)%abandoned]
	}
}

// abandoned is the level that is deleted: the longest, on which most is pending.
const abandoned = 2

// recreateRow deletes a level, the inbox, the parked topic and a target one after the
// other, and makes each of them again.
func recreateRow(name, more string, afterwards func(context.Context, *world) error) row {
	return row{
		name:       name,
		about:      "a level, the inbox, the parked topic and a target are deleted, and made again after " + topicAway.String() + more,
		deliveries: bothDeliveries,
		least:      90 * time.Second,
		absent:     []string{broken}, apart: []string{broken}, // so that something is parked
		flags: []string{"--missing-target-wait", "10m"},
		load: func(m *mix) {
			m.targets = withBroken
			m.transactional = false // a transaction on a topic that goes has no outcome
		},
		limits: limits{late: lateAfterwards, worst: 30 * time.Second, recover: 15*time.Second + echo, drain: 30 * time.Second},
		run: func(ctx context.Context, w *world) error {
			for _, step := range []func(context.Context) error{w.recreateParked, w.recreateTarget, w.recreateLevel, w.recreateInbox} {
				if !w.whileLoad(ctx, settling) {
					return errLoadOver
				}
				if err := step(ctx); err != nil {
					return err
				}
				if !w.whileLoad(ctx, settling) {
					return errLoadOver
				}
				if err := afterwards(ctx, w); err != nil {
					return err
				}
			}
			return untilLoadIsOver(ctx, w)
		},
	}
}

// recreate deletes a topic, and makes it again by how. It returns when the brokers
// have deleted it.
func (w *world) recreate(ctx context.Context, topic string, how func() error) (deleted time.Time, err error) {
	defer w.faults.begin("delete " + topic)()
	if _, err := w.admin.DeleteTopic(ctx, topic); err != nil {
		return deleted, fmt.Errorf("delete topic %s: %w", topic, err)
	}
	deleted = time.Now().Add(goneGrace)
	if err := sleep(ctx, topicAway); err != nil {
		return deleted, err
	}
	// What producers still have for the old one does not get to the new one.
	w.load.renew(topic)
	if err := how(); err != nil {
		return deleted, fmt.Errorf("make topic %s again: %w", topic, err)
	}
	return deleted, nil
}

// forsake tells the history that what a topic held is gone with it, once readers have
// seen what there is.
func (w *world) forsake(ctx context.Context, topic string, which func(c *recipe, e *entry) bool) error {
	if err := sleep(ctx, calm); err != nil {
		return err
	}
	n := w.history.drop(which)
	w.measured("%d records went with the old %s", n, topic)
	return nil
}

// recreateLevel deletes a level. What was accepted for it is lost, but for what the
// inbox still holds.
func (w *world) recreateLevel(ctx context.Context) error {
	level := w.history.mix.levels[1]
	topic := w.names.Level(level)
	deleted, err := w.recreate(ctx, topic, func() error { return w.provision(ctx) })
	if err != nil {
		return err
	}
	return w.forsake(ctx, topic, func(c *recipe, e *entry) bool { return c.level == level && w.history.told(e, deleted) })
}

// recreateInbox deletes the inbox. What had not been routed is lost.
func (w *world) recreateInbox(ctx context.Context) error {
	topic := w.names.Inbox()
	deleted, err := w.recreate(ctx, topic, func() error { return w.provision(ctx) })
	if err != nil {
		return err
	}
	return w.forsake(ctx, topic, func(c *recipe, e *entry) bool {
		return c.way == viaInbox && e.hop == 0 && w.history.told(e, deleted)
	})
}

// recreateParked deletes the parked topic, on which there are the records of the
// target that is not there. What was due by then is lost.
func (w *world) recreateParked(ctx context.Context) error {
	topic := w.names.Parked()
	deleted, err := w.recreate(ctx, topic, func() error { return w.provision(ctx) })
	if err != nil {
		return err
	}
	return w.forsake(ctx, topic, func(c *recipe, e *entry) bool {
		return w.history.mix.onBroken(c) && w.history.due(c, e) <= deleted.UnixMilli()
	})
}

// recreateTarget makes the target that is not there, lets what is parked for it be
// delivered, deletes it and makes it again.
func (w *world) recreateTarget(ctx context.Context) error {
	if err := w.createTarget(ctx, broken); err != nil {
		return err
	}
	if !w.whileLoad(ctx, 2*settling) {
		return errLoadOver
	}
	deleted, err := w.recreate(ctx, broken, func() error { return w.createTarget(ctx, broken) })
	if err != nil {
		return err
	}
	return w.forsake(ctx, broken, func(c *recipe, e *entry) bool {
		return w.history.mix.onBroken(c) && w.history.due(c, e) <= deleted.UnixMilli()
	})
}

// due is when an acknowledged record is due, in Unix milliseconds. One that readers
// have not seen was accepted when its producer got the answer, at the latest.
func (h *history) due(c *recipe, e *entry) int64 {
	accepted := e.accepted
	if accepted == 0 {
		accepted = e.told
	}
	return c.dueMs(h.unixMilli(accepted))
}

// deleteLevel deletes a level when the last record that asks for it has been routed.
// All others have to be on time, also after a time in which nothing is sent.
func deleteLevel(ctx context.Context, w *world) error {
	for !w.history.complete(abandonedFrom) {
		if !w.whileLoad(ctx, seatEvery) {
			return errLoadOver
		}
	}
	if !w.whileLoad(ctx, routing) {
		return errLoadOver
	}
	level := w.history.mix.levels[abandoned]
	topic := w.names.Level(level)
	end := w.faults.begin("level deleted")
	if _, err := w.admin.DeleteTopic(ctx, topic); err != nil {
		return fmt.Errorf("delete topic %s: %w", topic, err)
	}
	end()
	err := w.forsake(ctx, topic, func(c *recipe, e *entry) bool { return c.level == level })
	for range 2 {
		if err != nil || !w.whileLoad(ctx, settling) {
			break
		}
		w.load.held.Store(true)
		err = sleep(ctx, lullLength)
		w.load.held.Store(false)
	}
	if err != nil {
		return err
	}
	return untilLoadIsOver(ctx, w)
}

// complete reports whether the outcome of each record below a number is known.
func (h *history) complete(below int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return int64(len(h.entries)) >= below &&
		!slices.ContainsFunc(h.entries[:below], func(e entry) bool { return e.outcome == unsent })
}
