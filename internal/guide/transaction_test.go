//go:build synctests

package guide

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/delaydtest"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/router"
)

// order writes an order and its reminder in one transaction of cl, which has a
// kgo.TransactionalID: both, or neither.
func order(ctx context.Context, cl *kgo.Client, key string, commit func() error) error {
	reminder, err := router.Policy{}.Prepare(&kgo.Record{Topic: "reminders", Key: []byte(key)}, 10*time.Minute, time.Now())
	if err != nil {
		return err
	}
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	err = cl.ProduceSync(ctx, &kgo.Record{Topic: "orders", Key: []byte(key)}, reminder).FirstErr()
	if err == nil {
		err = commit() // whatever else has to succeed
	}
	return errors.Join(err, cl.EndTransaction(ctx, kgo.TransactionEndTry(err == nil)))
}

// TestTransaction: a reminder of a transaction that was aborted is never delivered.
func TestTransaction(t *testing.T) {
	cfg := delaydtest.Config{Topics: []string{"orders", "reminders"}}
	delaydtest.Run(t, cfg, func(t *testing.T, env *delaydtest.Env) {
		opts := append(env.Opts(), kgo.FetchMaxWait(200*time.Millisecond))
		f, err := forwarder.New(forwarder.DefaultConfig(), opts...)
		if err != nil {
			t.Fatal(err)
		}
		env.Start(f)
		cl, err := kgo.NewClient(append(opts, kgo.TransactionalID("shop-1"))...)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		if err := order(t.Context(), cl, "kept", func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		failed := errors.New("no stock")
		if err := order(t.Context(), cl, "aborted", func() error { return failed }); !errors.Is(err, failed) {
			t.Fatalf("got %v, want %v", err, failed)
		}
		got := env.Records("reminders", 2, 11*time.Minute)
		if len(got) != 1 || string(got[0].Key) != "kept" {
			t.Errorf("got %v, want the reminder of the order that was kept", got)
		}
	})
}
