//go:build synctests

package main

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/delayd-io/delayd/delaydtest"
)

func TestRun(t *testing.T) {
	delaydtest.Run(t, delaydtest.Config{Topics: []string{"reminders"}}, func(t *testing.T, env *delaydtest.Env) {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		began := time.Now()
		go func() { ended <- run(ctx, zerolog.Nop(), env.Opts()...) }()
		if got := env.Records("reminders", 1, time.Minute); len(got) != 1 || string(got[0].Value) != "still in your basket" {
			t.Errorf("got %v, want the reminder", got)
		}
		if waited := time.Since(began); waited < 10*time.Second {
			t.Errorf("the reminder came after %v", waited)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
