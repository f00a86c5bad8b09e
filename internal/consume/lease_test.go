package consume

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// wallStep is t with the wall clock set forward by d, in whole seconds, and the
// monotonic clock as it was. The time package has no such thing, because it cannot
// be seen from the outside; to a process it happens when a machine was suspended,
// or when somebody sets the clock.
func wallStep(t *testing.T, at time.Time, d time.Duration) time.Time {
	t.Helper()
	const secondBits = 30 // the wall seconds begin above the nanoseconds
	stepped := at
	*(*uint64)(unsafe.Pointer(&stepped)) += uint64(d/time.Second) << secondBits
	if stepped.Sub(at) != 0 || stepped.Round(0).Sub(at.Round(0)) != d {
		t.Fatalf("time.Time has another form: the step moves the clocks by %v and %v", stepped.Sub(at), stepped.Round(0).Sub(at.Round(0)))
	}
	return stepped
}

func TestLeaseHeld(t *testing.T) {
	from := time.Now() // both clocks; nothing here goes by the real time
	for _, c := range []struct {
		name string
		now  time.Time
		want bool
	}{
		{"at once", from, true},
		{"just before the end", from.Add(leaseTime - 1), true},
		{"at the end", from.Add(leaseTime), false},
		{"long after", from.Add(time.Hour), false},
		{"suspended: the monotonic clock stood still", wallStep(t, from.Add(time.Second), time.Hour), false},
		{"the wall clock is a second ahead", wallStep(t, from.Add(leaseTime-2*time.Second), time.Second), true},
		{"the wall clock is two seconds ahead", wallStep(t, from.Add(leaseTime-2*time.Second), 2*time.Second), false},
		{"the wall clock was set back", wallStep(t, from.Add(time.Second), -time.Hour), true},
		{"set back, and over", wallStep(t, from.Add(leaseTime), -time.Hour), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLease()
			if l.held(c.now) {
				t.Error("held before the first commit")
			}
			l.renew(from)
			if got := l.held(c.now); got != c.want {
				t.Errorf("held %t, want %t", got, c.want)
			}
			l.lose()
			if l.held(c.now) {
				t.Error("held after it was lost")
			}
			l.renew(c.now)
			if !l.held(c.now) {
				t.Error("not held after a new commit")
			}
		})
	}
}

// TestLeaseAge goes by the monotonic clock, and has nothing to say of a lease that
// is lost.
func TestLeaseAge(t *testing.T) {
	from := time.Now()
	l := newLease()
	if got := l.age(from); got != 0 {
		t.Errorf("age %v before the first commit", got)
	}
	l.renew(from)
	if got := l.age(wallStep(t, from.Add(5*time.Second), time.Hour)); got != 5*time.Second {
		t.Errorf("age %v, want 5s", got)
	}
	l.lose()
	if got := l.age(from.Add(time.Second)); got != 0 {
		t.Errorf("age %v of a lease that is lost", got)
	}
}

// waiters starts n waits, and counts those that have ended by what they said.
func waiters(ctx context.Context, l *lease, n int) (held, ended *atomic.Int32) {
	held, ended = new(atomic.Int32), new(atomic.Int32)
	for range n {
		go func() { // ends with ctx at the latest
			if l.wait(ctx) {
				held.Add(1)
			}
			ended.Add(1)
		}()
	}
	synctest.Wait()
	return held, ended
}

func TestLeaseWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLease()
		held, ended := waiters(t.Context(), l, 3)
		if ended.Load() != 0 {
			t.Fatal("went on before the first commit")
		}
		l.renew(time.Now())
		synctest.Wait()
		if held.Load() != 3 {
			t.Fatalf("%d of 3 went on after a commit", held.Load())
		}
		if held, _ := waiters(t.Context(), l, 1); held.Load() != 1 {
			t.Fatal("waits under a lease that is held")
		}

		// A frozen process wakes up: its lease is over, and a commit that was
		// asked for before it froze does not bring it back.
		asked := time.Now()
		time.Sleep(leaseTime)
		held, ended = waiters(t.Context(), l, 3)
		l.renew(asked)
		synctest.Wait()
		if ended.Load() != 0 {
			t.Fatal("went on under a lease that is over")
		}
		l.renew(time.Now())
		synctest.Wait()
		if held.Load() != 3 {
			t.Fatalf("%d of 3 went on after a new commit", held.Load())
		}
	})
}

func TestLeaseWaitLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLease()
		l.renew(time.Now())
		l.lose()
		held, ended := waiters(t.Context(), l, 1)
		time.Sleep(time.Hour)
		synctest.Wait()
		if ended.Load() != 0 {
			t.Fatal("went on under a lease that was lost")
		}
		l.renew(time.Now())
		synctest.Wait()
		if held.Load() != 1 {
			t.Fatal("waits under a new lease")
		}
	})
}

func TestLeaseWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := newLease()
		held, ended := waiters(ctx, l, 3)
		cancel()
		synctest.Wait()
		if ended.Load() != 3 || held.Load() != 0 {
			t.Fatalf("%d of 3 waits ended, %d of them with a lease", ended.Load(), held.Load())
		}
		// A lane that is halted sends nothing, whatever its lease.
		l.renew(time.Now())
		if held, ended := waiters(ctx, l, 1); ended.Load() != 1 || held.Load() != 0 {
			t.Fatal("went on although the lane was halted")
		}
	})
}
