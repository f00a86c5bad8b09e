//go:build synctests

package endtoend

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/router"
)

// component is what a Router and a Forwarder have in common.
type component interface {
	Run(context.Context) error
	Ready() error
}

// components makes a Router or a Forwarder, with a log.
var components = map[string]func(w *world, log zerolog.Logger, delivery forwarder.Delivery) (component, error){
	"router": func(w *world, log zerolog.Logger, delivery forwarder.Delivery) (component, error) {
		cfg := router.DefaultConfig()
		cfg.Ladder, cfg.PurgeAfter, cfg.Log, cfg.Delivery = w.Ladder, forwarder.PurgeOff, log, delivery
		return router.New(cfg, w.Opts()...)
	},
	"forwarder": func(w *world, log zerolog.Logger, delivery forwarder.Delivery) (component, error) {
		cfg := forwarder.DefaultConfig()
		cfg.Ladder, cfg.PurgeAfter, cfg.Log, cfg.Delivery = w.Ladder, forwarder.PurgeOff, log, delivery
		return forwarder.New(cfg, w.Opts()...)
	},
}

// eachComponent runs test for both, with both deliveries.
func eachComponent(t *testing.T, test func(w *world, create func(log zerolog.Logger) component)) {
	t.Helper()
	for name, create := range components {
		for _, delivery := range []forwarder.Delivery{forwarder.AtLeastOnce, forwarder.ExactlyOnce} {
			t.Run(name+" "+delivery.String(), func(t *testing.T) {
				virtual(t, "1s 5s", nil, func(w *world) {
					test(w, func(log zerolog.Logger) component {
						c, err := create(w, log, delivery)
						if err != nil {
							t.Fatal(err)
						}
						return c
					})
				})
			})
		}
	}
}

// saysWhy fails the test unless err has all of the words.
func saysWhy(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%v, want %q in it", err, word)
		}
	}
}

// TestNewLeavesNothing: what New returns may be dropped.
func TestNewLeavesNothing(t *testing.T) {
	eachComponent(t, func(w *world, create func(zerolog.Logger) component) {
		before := runtime.NumGoroutine()
		for range 20 {
			saysWhy(w.t, create(zerolog.Nop()).Ready(), "not started")
		}
		if n := runtime.NumGoroutine() - before; n > 0 {
			w.t.Errorf("20 times New left %d goroutines", n)
		}
	})
}

// TestRunOnce: a second Run, later or at the same time, is an error, and does not
// disturb the first.
func TestRunOnce(t *testing.T) {
	eachComponent(t, func(w *world, create func(zerolog.Logger) component) {
		c := create(zerolog.Nop())
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 2)
		for range 2 {
			go func() { ended <- c.Run(ctx) }()
		}
		saysWhy(w.t, <-ended, "already run", "make another with New")
		time.Sleep(10 * time.Second)
		if err := c.Ready(); err != nil {
			w.t.Error(err)
		}
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
		saysWhy(w.t, c.Ready(), "stopped")
		saysWhy(w.t, c.Run(context.Background()), "already run", "make another with New")
		saysWhy(w.t, c.Ready(), "stopped")
	})
}

// TestCleanStop: however the context ends, Run returns nil and logs no error.
func TestCleanStop(t *testing.T) {
	contexts := map[string]func() (context.Context, context.CancelFunc){
		"deadline": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 20*time.Second)
		},
		"cause": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(context.Background())
			time.AfterFunc(20*time.Second, func() { cancel(errors.New("the program ends")) })
			return ctx, func() { cancel(nil) }
		},
	}
	for name, newContext := range contexts {
		t.Run(name, func(t *testing.T) {
			eachComponent(t, func(w *world, create func(zerolog.Logger) component) {
				var log journal
				ctx, cancel := newContext()
				defer cancel()
				if err := create(zerolog.New(&log).Level(zerolog.WarnLevel)).Run(ctx); err != nil {
					w.t.Error(err)
				}
				if text := log.text(); text != "" {
					w.t.Errorf("logged at a clean stop:\n%s", text)
				}
			})
		})
	}
}

// journal collects a log.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *journal) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *journal) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
