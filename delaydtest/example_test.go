//go:build synctests

package delaydtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/delaydtest"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/router"
)

// TestTwoHours is a whole test of a program that reminds its customers after two hours.
func TestTwoHours(t *testing.T) {
	cfg := delaydtest.Config{Levels: "1s 1h 2h", Topics: []string{"reminders"}}
	delaydtest.Run(t, cfg, func(t *testing.T, env *delaydtest.Env) {
		fc := forwarder.DefaultConfig()
		fc.Ladder, fc.Names = env.Ladder, env.Names
		f, err := forwarder.New(fc, env.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		env.Start(f)
		p, err := router.NewProducer(router.ProducerConfig{Policy: router.Policy{Ladder: env.Ladder, Names: env.Names}}, env.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close(context.Background())

		sent := time.Now()
		rec := &kgo.Record{Topic: "reminders", Key: []byte("order-1"), Value: []byte("still in your basket")}
		if _, err := p.Send(t.Context(), rec, 2*time.Hour); err != nil {
			t.Fatal(err)
		}
		got := env.Records("reminders", 1, 3*time.Hour)
		if len(got) != 1 || string(got[0].Value) != "still in your basket" {
			t.Fatalf("got %v, want the reminder", got)
		}
		if waited := time.Since(sent); waited < 2*time.Hour || waited > 2*time.Hour+time.Second {
			t.Errorf("the reminder came after %v, want 2h", waited)
		}
	})
}
