package consume

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A lane that is suspended takes nothing that is due, is not stuck, and leaves the
// memory that is short to the others.
func TestSuspendedLane(t *testing.T) {
	t.Parallel()
	now := time.Now()
	long := now.Add(-time.Hour)
	paused, other := &lane{topic: &Topic{}, wake: make(chan struct{}, 1)}, &lane{topic: &Topic{}}
	for _, l := range []*lane{paused, other} {
		l.usage.pool, l.moved = newPool(1000, false), long
		l.queue.push(&Work{Record: &kgo.Record{}, Due: long, lane: l, bytes: 900})
		l.usage.bytes = 900
	}
	paused.suspend(true)
	if batch, sleep := paused.due(make([]*Work, 0, 1), now); len(batch) != 0 || sleep < time.Minute {
		t.Errorf("a suspended lane took %d works, and sleeps for %v", len(batch), sleep)
	}
	if d := paused.stuck(now); d != 0 {
		t.Errorf("a suspended lane is stuck for %v", d)
	}
	fetch, hold := share(3000, []reach{paused.reach(), other.reach()}, now, true)
	if !slices.Equal(fetch, []*lane{other}) || !slices.Equal(hold, []*lane{paused}) {
		t.Errorf("%d fetch, %d are held: want the suspended one held, and the other not", len(fetch), len(hold))
	}
	paused.suspend(false)
	if d := paused.stuck(time.Now()); d != 0 {
		t.Errorf("stuck for %v as soon as it is resumed", d)
	}
	if batch, _ := paused.due(make([]*Work, 0, 1), now); len(batch) != 1 {
		t.Error("nothing was taken after it was resumed")
	}
	select {
	case <-paused.wake:
	default:
		t.Error("a lane that is resumed is not woken")
	}
}
