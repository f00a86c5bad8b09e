package consume

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// horizon is how far ahead of its due time a record is worth fetching when
// others wait for memory: a lane whose last record is due later than this has
// enough.
const horizon = 750 * time.Millisecond

// roomWait is how long the poll loop waits for memory to come back before it
// holds back the lanes that use it, and goes on with the others. It waits on while one of
// roomParts of the budget comes back in that time.
const (
	roomWait  = 100 * time.Millisecond
	roomParts = 8
)

// asideWait is the same for memory of the pool aside. It is longer because in transactions
// memory comes back with a commit. No level is so short that its records would be late for
// that: they are fetched as soon as they are there. For asideRest after a wait in vain the
// others are asideBrief: where many targets take records slowly, each lane would hold up
// the loop in turn. One that is not in vain ends that: a target that takes records again
// gives back a budget in less.
const (
	asideWait  = 500 * time.Millisecond
	asideBrief = 50 * time.Millisecond
	asideRest  = 5 * time.Second
)

// farOff is how far off the next record of a lane is that is suspended.
const farOff = 365 * 24 * time.Hour

// throttleEvery is how often lanes that are held back are checked again.
const throttleEvery = 250 * time.Millisecond

// pool is what lanes share: memory for what is fetched ahead, and slots for
// what is sent and not committed.
type pool struct {
	budget int64
	bytes  atomic.Int64
	held   atomic.Int64 // bytes of lanes that are held back
	slots  *semaphore.Weighted
	free   atomic.Int64 // slots that nobody has, at the least
	// overdue are those slots that works have to have too which are overdue by more than overdueAfter: in a
	// release there are always more of them, and what is on time must not queue up
	// behind them.
	overdue *semaphore.Weighted
	room    chan struct{} // has room for one: a quarter of the budget is free again
	eased   chan struct{} // the same for half of it; nil: nobody is notified
	awaited atomic.Bool   // somebody waits until the pool is not crowded

	// overtaking is how many works were sent before a record in front of them, and are
	// in no commit, nor listed by one.
	overtaking    atomic.Int64
	maxOvertaking int64 // how many there may be
}

// overdueAfter is by how much a work is late, when it is sent, that counts as overdue.
const overdueAfter = 100 * time.Millisecond

// maxOvertaking leaves slots for the works that overtake nothing.
const maxOvertaking = CommitRecords

// newPool returns a pool with slots for twice as many works as are committed at once.
// In transactions what is written holds its memory until it is committed: the budget is
// doubled for that.
func newPool(budget int64, transactional bool) *pool {
	p := &pool{budget: budget, room: make(chan struct{}, 1), maxOvertaking: maxOvertaking}
	slots := int64(2 * CommitRecords)
	if transactional {
		p.budget, p.maxOvertaking, slots = 2*budget, TransactionRecords, 2*TransactionRecords
	}
	p.free.Store(slots)
	p.slots, p.overdue = semaphore.NewWeighted(slots), semaphore.NewWeighted(maxOverdue(slots))
	return p
}

// maxOverdue is how many of a pool's slots are for works that are overdue: the others
// are left to those on time.
func maxOverdue(slots int64) int64 { return slots / 4 * 3 }

// acquire takes slots for n works, some of them overdue. It returns false when ctx ends
// before there are any.
func (p *pool) acquire(ctx context.Context, n, overdue int) bool {
	if p.overdue.Acquire(ctx, int64(overdue)) != nil {
		return false
	}
	if p.slots.Acquire(ctx, int64(n)) != nil {
		p.overdue.Release(int64(overdue))
		return false
	}
	p.free.Add(-int64(n))
	return true
}

// release gives back what acquire took.
func (p *pool) release(n, overdue int) {
	p.free.Add(int64(n))
	p.slots.Release(int64(n))
	p.overdue.Release(int64(overdue))
}

// mayOvertake says whether one more work may be sent before a record in front of it.
func (p *pool) mayOvertake() bool { return p.overtaking.Load() < p.maxOvertaking }

// full says that the budget is used.
func (p *pool) full() bool { return p.bytes.Load() >= p.budget }

// pressed says that memory is getting short.
func (p *pool) pressed() bool { return p.bytes.Load() >= p.budget/2 }

// crowded reports whether the lanes that fetch use more than is left, in a pool whose
// lanes may stop for hours at any moment. What they hold then stays in use, and half of
// the rest is still there for others. A fetch is always allowed.
func (p *pool) crowded() bool {
	used := p.bytes.Load()
	return used-p.held.Load() > max(p.budget-used, fetchMaxPartitionBytes)
}

// give takes back n bytes. It signals room when a quarter of the budget is free again,
// and to who awaits it when the pool is not crowded any more.
func (p *pool) give(n int64) {
	low := p.budget / 4 * 3
	after := p.bytes.Add(-n)
	if half := p.budget / 2; after < half && after+n >= half {
		signal(p.eased)
	}
	if after < low && after+n >= low || p.awaited.Load() && !p.crowded() {
		signal(p.room)
	}
}

// reach is what a pool needs to know of a lane.
type reach struct {
	lane   *lane
	next   time.Time // when its first waiting record is due
	last   time.Time // the same of its last
	moved  time.Time // when it last finished a record
	bytes  int64
	paused bool
}

func (l *lane) reach() reach {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.queue.lastDue
	if !l.unread.IsZero() {
		last = l.unread
	}
	r := reach{lane: l, last: l.here(last), moved: l.moved, bytes: l.usage.bytes, paused: l.usage.paused}
	if w := l.queue.peek(len(l.queue.exact) > 0); w != nil {
		r.next = l.here(w.Due)
	}
	if l.suspended.Load() { // what it has is enough for any time
		r.next, r.last = time.Now().Add(farOff), time.Now().Add(farOff)
	}
	return r
}

// ownPart returns the part of a budget that each of a number of lanes may always fill.
func ownPart(budget int64, lanes int) int64 { return budget / 2 / int64(max(1, lanes)) }

// share decides which of a pool's lanes are held back and which fetch on.
// Every lane may fill a small part of the budget, so that none is ever without
// a record to wait for; what is left goes to those that are due within the
// horizon, nearest first. Unless strict, these may use more than there is: they
// move, and memory comes back by itself. A lane that is held back has to fall to
// half of what held it back, so that lanes are not stopped and started for every
// record: each stop may have one fetch read again.
func share(budget int64, lanes []reach, now time.Time, strict bool) (fetch, hold []*lane) {
	if len(lanes) == 0 {
		return nil, nil
	}
	slices.SortFunc(lanes, func(a, b reach) int {
		return cmp.Or(a.next.Compare(b.next), cmp.Compare(a.bytes, b.bytes))
	})
	own := ownPart(budget, len(lanes))
	var used int64 // by all lanes: those that are far may have been near
	for _, r := range lanes {
		used += r.bytes
	}
	for _, r := range lanes {
		own, budget := own, budget
		if r.paused {
			own, budget = own/2, budget/2
		}
		switch {
		case r.bytes <= own:
			fetch = append(fetch, r.lane)
		case (used < budget || !strict) && r.last.Before(now.Add(horizon)):
			fetch = append(fetch, r.lane)
			used += fetchMaxPartitionBytes // what it is about to take
		default:
			hold = append(hold, r.lane)
		}
	}
	return fetch, hold
}

// shareAside returns the lanes of the pool aside that start or stop fetching. Those that
// were held back fetch again when they have used up what they hold. When timedOut, the
// pool has been crowded for asideWait: the lanes that have not moved are held back, or
// all if each has moved.
func shareAside(budget int64, lanes []reach, now time.Time, timedOut bool) (fetch, hold []*lane) {
	own := ownPart(budget, len(lanes))
	var slow []*lane
	for _, r := range lanes {
		switch {
		case r.paused && r.bytes <= own/2:
			fetch = append(fetch, r.lane)
		case r.paused, r.bytes <= own:
		case now.Sub(r.moved) >= asideWait:
			hold = append(hold, r.lane)
		default:
			slow = append(slow, r.lane)
		}
	}
	switch {
	case !timedOut:
		return fetch, nil
	case len(hold) == 0:
		return fetch, slow
	}
	return fetch, hold
}
