//go:build synctests

package main

import (
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/delayd-io/delayd/delaydtest"
	"github.com/delayd-io/delayd/forwarder"
)

func TestRun(t *testing.T) {
	delaydtest.Run(t, delaydtest.Config{Topics: []string{"reminders"}}, func(t *testing.T, env *delaydtest.Env) {
		f, err := forwarder.New(forwarder.DefaultConfig(), env.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		env.Start(f)
		if err := run(t.Context(), zerolog.Nop(), env.Opts()...); err != nil {
			t.Fatal(err)
		}
		if got := env.Records("reminders", 1, 61*time.Minute); len(got) != 1 {
			t.Errorf("got %v, want the reminder", got)
		}
	})
}
