//go:build synctests

package main

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/delaydtest"
)

func TestRun(t *testing.T) {
	delaydtest.Run(t, delaydtest.Config{Prefix: names.Prefix}, func(t *testing.T, env *delaydtest.Env) {
		ctx, stop := context.WithCancel(t.Context())
		ended, checked := make(chan error), make(chan string)
		check := func(_ context.Context, rec *kgo.Record) error { checked <- string(rec.Key); return nil }
		go func() { ended <- run(ctx, zerolog.Nop(), check, env.Opts()...) }()
		began := time.Now()
		env.Produce(&kgo.Record{Topic: "billing.level.30m", Key: []byte("order-1")})
		if got := <-checked; got != "order-1" {
			t.Errorf("checked %q", got)
		}
		if waited := time.Since(began); waited < 30*time.Minute || waited > 30*time.Minute+time.Second {
			t.Errorf("checked after %v", waited)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
