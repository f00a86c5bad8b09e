//go:build synctests

package guide

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/delaydtest"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// TestSigns: the mistakes of a first program are reported, by an error of Send or in the
// log, with the words that the page quotes.
func TestSigns(t *testing.T) {
	delaydtest.Run(t, delaydtest.Config{}, func(t *testing.T, env *delaydtest.Env) {
		out := new(bytes.Buffer)
		log := zerolog.New(zerolog.SyncWriter(out)).Level(zerolog.InfoLevel)
		cfg := forwarder.DefaultConfig()
		cfg.Log = log
		f, err := forwarder.New(cfg, env.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		stop := env.Start(f)
		send := func(policy router.Policy, topic string) error {
			p, err := router.NewProducer(router.ProducerConfig{Policy: policy, Log: log}, env.Opts()...)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close(context.Background())
			_, err = p.Send(t.Context(), &kgo.Record{Topic: topic}, time.Second)
			return err
		}
		for _, c := range []struct {
			policy      router.Policy
			topic, want string
		}{
			{router.Policy{}, "", "no-target"},
			{router.Policy{}, "delay.dead", "forbidden-target"},
			{router.Policy{Names: levels.Names{Prefix: "elsewhere"}}, "reminders", "create the topics"},
		} {
			if err := send(c.policy, c.topic); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
		}

		if err := send(router.Policy{}, "reminders"); err != nil { // there is no such topic
			t.Error(err)
		}
		time.Sleep(time.Minute)
		stop()
		for _, want := range []string{"target unavailable: its records are parked", "create topic reminders"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, out)
			}
		}
	})
}
