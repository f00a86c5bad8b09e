package consume

import (
	"context"
	"time"
)

// unstick notes that records move again, where they have given back half of the budget.
func (c *Consumer) unstick() {
	if !c.main.pressed() {
		c.stuck.Store(false)
	}
}

// awaitRoom waits until the records that were fetched ahead are within the
// budget again. When none move, as with a target that hangs, it does not wait
// for long: then their lanes are held back, and the others are fetched.
//
// Waiting is better than holding back where it is enough: a fetch that is under
// way has to end before a lane that was held back can join the next.
func (c *Consumer) awaitRoom(ctx context.Context) {
	if !c.main.full() || c.stuck.Load() {
		return
	}
	timer := time.NewTimer(roomWait)
	defer timer.Stop()
	before := c.main.bytes.Load()
	for c.main.full() {
		select {
		case <-c.main.room:
		case <-timer.C:
			if now := c.main.bytes.Load(); before-now >= c.main.budget/roomParts {
				before = now
				timer.Reset(roomWait)
				continue
			}
			c.stuck.Store(true)
			c.throttle(time.Now(), false)
			return
		case <-ctx.Done():
			return
		}
	}
}

// awaitAside does the same for the pool aside, whose lanes move as fast as a release, or
// not at all for hours. While they move, the poll loop waits for them; the lanes that do
// not move are held back, once each time that they stop.
func (c *Consumer) awaitAside(ctx context.Context) {
	if !c.aside.crowded() {
		return
	}
	rests := time.Since(c.vain) < asideRest
	wait := asideWait
	if rests {
		wait = asideBrief
	}
	c.aside.awaited.Store(true)
	defer c.aside.awaited.Store(false)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for c.aside.crowded() {
		select {
		case <-c.aside.room:
		case <-timer.C:
			now := time.Now()
			if !rests {
				c.vain = now
			}
			c.throttle(now, true)
			return
		case <-ctx.Done():
			return
		}
	}
	c.vain = time.Time{}
}

// lockedConsumer is a consumer whose lock is held. What needs the lock is a method of it.
type lockedConsumer Consumer

func (c *Consumer) lock() *lockedConsumer {
	c.mu.Lock()
	return (*lockedConsumer)(c)
}

func (c *lockedConsumer) unlock() { c.mu.Unlock() }

// resume fetches partitions again, unless the budget holds them back.
func (c *lockedConsumer) resume(parts map[string][]int32) {
	free := make(map[string][]int32)
	for topic, ns := range parts {
		for _, n := range ns {
			if l := c.lanes[partition{topic, n}]; l != nil && !l.held() {
				free[topic] = append(free[topic], n)
			}
		}
	}
	c.client.ResumeFetchPartitions(free)
}

// throttle stops and starts the fetching of lanes, as their pools' budgets say.
// asideFull says that the pool aside has had no room for asideWait.
func (c *Consumer) throttle(now time.Time, asideFull bool) {
	lc := c.lock()
	defer lc.unlock()
	reaches := make(map[*pool][]reach, 2)
	for _, l := range c.lanes {
		reaches[l.usage.pool] = append(reaches[l.usage.pool], l.reach())
	}
	pause, resume := make(map[string][]int32), make(map[string][]int32)
	for p, lanes := range reaches {
		fetch, hold := c.share(p, lanes, now, asideFull)
		for _, l := range hold {
			l.hold(true, ownPart(p.budget, len(lanes))/2, pause)
		}
		for _, l := range fetch {
			l.hold(false, 0, resume)
		}
	}
	if len(pause) > 0 {
		c.client.PauseFetchPartitions(pause)
	}
	lc.resume(resume)
	held := false
	for _, l := range c.lanes {
		held = held || l.isHeld()
	}
	c.held.Store(held)
}

// share decides for the lanes of p.
func (c *Consumer) share(p *pool, lanes []reach, now time.Time, asideFull bool) (fetch, hold []*lane) {
	if p == c.aside {
		return shareAside(p.budget, lanes, now, asideFull)
	}
	return share(p.budget, lanes, now, c.stuck.Load())
}

func (l *lane) isHeld() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.usage.paused
}

// hold notes whether the lane is held back, and adds it to changed when that
// is new. When it has fallen to low, maintain is notified.
func (l *lane) hold(paused bool, low int64, changed map[string][]int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.usage.hold(paused, low) {
		return
	}
	l.fetched, l.caughtUp = time.Now(), false
	changed[l.topic.Name] = append(changed[l.topic.Name], l.partition)
}
