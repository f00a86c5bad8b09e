package consume

import "context"

// usage is what a lane uses of its pool: memory for what is fetched, slots for what is
// sent. The lane's lock guards it.
type usage struct {
	pool       *pool
	bytes      int64 // taken by works that are not done
	unfinished int   // works that are sent and not done
	slots      int   // taken by works that are sent and not committed
	overdue    int   // those of them that are overdue
	paused     bool  // not fetched: the budget is used by nearer lanes
	low        int64 // bytes at which one that is paused asks to be fetched again; 0: when empty
}

// add counts n bytes, taken of the pool or given back.
func (u *usage) add(n int64) {
	u.bytes += n
	if u.paused {
		u.pool.held.Add(n)
	}
}

// take counts slots that the pool has given for n works. overdue is how many of them
// are.
func (u *usage) take(n, overdue int) {
	u.unfinished += n
	u.slots += n
	u.overdue += overdue
}

// release counts slots that go back to the pool.
func (u *usage) release(n, overdue int) {
	u.slots -= n
	u.overdue -= overdue
}

// hoards reports whether n more works would leave others fewer slots than the lane has.
// A lane that is aside keeps its slots for hours when its first work does not end, and
// those behind it do.
func (u *usage) hoards(n int) bool {
	return u.slots > 0 && int64(u.slots+n) > u.pool.free.Load()
}

// hold notes whether the lane is held back, and reports whether that is new.
func (u *usage) hold(paused bool, low int64) bool {
	if u.paused == paused {
		return false
	}
	u.paused, u.low = paused, low
	if paused {
		u.pool.held.Add(u.bytes)
	} else {
		u.pool.held.Add(-u.bytes)
	}
	return true
}

// emptied reports, once, that a lane which is held back has fallen to low.
func (u *usage) emptied() bool {
	if !u.paused || u.bytes > u.low {
		return false
	}
	u.low = -1
	return true
}

// clear forgets all that goes back to the pool, and returns it.
func (u *usage) clear() (bytes int64, slots, overdue int) {
	bytes, slots, overdue = u.bytes, u.slots, u.overdue
	u.add(-bytes)
	u.paused, u.slots, u.overdue = false, 0, 0
	return bytes, slots, overdue
}

// claim takes slots for batch, which commit gives back. It is false when the lane
// ended before.
func (l *lane) claim(ctx context.Context, batch []*Work) bool {
	n, overdue := len(batch), 0
	for _, w := range batch {
		if w.overdue {
			overdue++
		}
	}
	for l.topic.Aside && l.hoards(n) {
		select {
		case <-l.wake: // by commit
		case <-ctx.Done():
			return false
		}
	}
	if !l.usage.pool.acquire(ctx, n, overdue) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.live.Load() {
		l.usage.pool.release(n, overdue)
		return false
	}
	l.usage.take(n, overdue)
	return true
}

func (l *lane) hoards(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.usage.hoards(n)
}
