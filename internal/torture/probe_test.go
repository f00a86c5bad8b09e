package main

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/delayd-io/delayd/internal/kafkatest"
	"github.com/delayd-io/delayd/internal/process"
)

// What the rows break is broken, and fixed afterwards.
func TestNetworkFaults(t *testing.T) {
	t.Parallel()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	addrs, err := process.FreeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	ps, err := startProxies([]kafkatest.Route{{Advertised: addrs[0], Node: broker.ListenAddrs()[0]}})
	if err != nil {
		t.Fatal(err)
	}
	defer ps.close()
	w := &world{proxies: ps, row: new(row), faults: &faults{begun: time.Now()}}
	answered := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := w.ask(ctx, 0, 1000)
		return err == nil
	}
	become := func(name string, want bool) {
		t.Helper()
		for limit := time.Now().Add(time.Minute); answered() != want; {
			if time.Now().After(limit) {
				t.Fatalf("%s: the broker answers: %v, want %v", name, !want, want)
			}
		}
	}
	for name, fault := range map[string]func(context.Context) error{
		"cut":          func(ctx context.Context) error { return w.cut(ctx, 0, time.Hour) },
		"lose answers": func(ctx context.Context) error { return w.loseAnswers(ctx, 0, time.Hour) },
		"refuse":       func(ctx context.Context) error { return w.refuse(ctx, 0, time.Hour) },
	} {
		become(name, true)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- fault(ctx) }()
		become(name, false)
		stop()
		if err := <-ended; err == nil {
			t.Errorf("%s: ended by itself", name)
		}
		become(name, true)
	}
	if len(w.failed) != 0 {
		t.Errorf("violations %q of faults that were felt", w.failed)
	}
	if err := w.slow(t.Context(), 0, 0, time.Hour); err != nil || len(w.failed) != 1 {
		t.Errorf("a broker that is not slow: %v, violations %q", err, w.failed)
	}
	if w.unreachable(t.Context(), 0, time.Minute); len(w.failed) != 2 {
		t.Errorf("a broker that is not cut off: violations %q", w.failed)
	}
}

func TestSeatLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var node atomic.Int32
		node.Store(1)
		s := seat{"the lead", func(context.Context) (int, error) { return int(node.Load()), nil }}
		if err := s.left(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "still broker 1") {
			t.Errorf("nobody else takes the seat: %v", err)
		}
		time.AfterFunc(5*time.Second, func() { node.Store(2) })
		begun := time.Now()
		if err := s.left(t.Context(), 1); err != nil || time.Since(begun)-5*time.Second > seatEvery {
			t.Errorf("after %v: %v, want nil soon after 5s", time.Since(begun), err)
		}
	})
}
