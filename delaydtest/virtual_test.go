//go:build synctests

package delaydtest_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/delaydtest"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
)

// TestEachIsOnTime: what makes hours cheap makes no record late.
func TestEachIsOnTime(t *testing.T) {
	delaydtest.Run(t, delaydtest.Config{Levels: "1s 5s 10s 1m", Topics: []string{"orders"}}, func(t *testing.T, env *delaydtest.Env) {
		fc := forwarder.DefaultConfig()
		fc.Ladder, fc.Names = env.Ladder, env.Names
		f, err := forwarder.New(fc, env.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		env.Start(f)
		const rounds = 50
		for i := range rounds {
			for level := range env.Ladder.All() {
				env.Produce(&kgo.Record{
					Topic: env.Names.Level(level), Key: strconv.AppendInt(nil, int64(i), 10), Value: []byte(level.String()),
					Headers: []kgo.RecordHeader{{Key: levels.HeaderTarget, Value: []byte("orders")}},
				})
			}
			time.Sleep(1700 * time.Millisecond)
		}
		want := rounds * env.Ladder.Len()
		recs := env.Records("orders", want+1, 5*time.Minute)
		if len(recs) != want {
			t.Errorf("%d records arrived, want %d", len(recs), want)
		}
		for _, rec := range recs {
			for _, h := range rec.Headers {
				if h.Key != levels.HeaderDue {
					continue
				}
				due, err := strconv.ParseInt(string(h.Value), 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				if late := rec.Timestamp.Sub(time.UnixMilli(due)); late < 0 || late > time.Second {
					t.Errorf("a record of %s is %v late", rec.Value, late)
				}
			}
		}
	})
}

// TestStopAndStartAgain: what waits while nothing runs is delivered after it.
func TestStopAndStartAgain(t *testing.T) {
	cfg := delaydtest.Config{Levels: "5s", Prefix: "billing", Partitions: 1}
	delaydtest.Run(t, cfg, func(t *testing.T, env *delaydtest.Env) {
		handled := make(chan string, 2)
		start := func() (stop func()) {
			fc := forwarder.DefaultConfig()
			fc.Ladder, fc.Names = env.Ladder, env.Names
			fc.Handler = func(_ context.Context, rec *kgo.Record) error { handled <- string(rec.Value); return nil }
			f, err := forwarder.New(fc, env.Opts()...)
			if err != nil {
				t.Fatal(err)
			}
			return env.Start(f)
		}
		send := func(value string) {
			env.Produce(&kgo.Record{Topic: env.Names.Level(env.Ladder.First()), Value: []byte(value)})
		}
		stop := start()
		send("first")
		if got := <-handled; got != "first" {
			t.Errorf("handled %q, want first", got)
		}
		stop()
		send("second")
		time.Sleep(time.Hour)
		if len(handled) > 0 {
			t.Error("a record was handled while nothing runs")
		}
		start()
		if got := <-handled; got != "second" {
			t.Errorf("handled %q, want second", got)
		}
	})
}
