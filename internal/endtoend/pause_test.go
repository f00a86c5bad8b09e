//go:build synctests

package endtoend

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

func (w *world) pause(p admin.Paused) {
	w.t.Helper()
	if err := admin.Pause(context.Background(), w.Client, w.Names, p); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(time.Second)
}

func (w *world) resume(p admin.Paused) {
	w.t.Helper()
	if err := admin.Resume(context.Background(), w.Client, w.Names, p); err != nil {
		w.t.Fatal(err)
	}
}

// TestPauseLevel pauses a level for an hour, over a restart and with an instance that
// comes to it: nothing of it arrives, the other level is on time, nobody is unready,
// and when it is resumed everything arrives in order.
func TestPauseLevel(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery func(*router.Config, *forwarder.Config), slack time.Duration) {
		virtual(t, "5s 10s", []string{"orders", "mails"}, func(w *world) {
			got, others := w.watchCommitted("orders"), w.watchCommitted("mails")
			one := w.serve("one", delivery)
			n := 0
			send := func() {
				for range 20 {
					n++
					w.send(w.request("10s", "orders", "k"+strconv.Itoa(n%3), strconv.Itoa(n)),
						w.direct("5s", "mails", "k", strconv.Itoa(n)))
					time.Sleep(time.Second)
				}
			}
			level := admin.LevelOf(10 * time.Second)
			level.Reason = "a migration"
			w.pause(level)
			send()
			one.stop()
			one = w.serve("one", delivery)
			time.Sleep(10 * time.Second)
			send()
			two := w.serve("two", delivery)
			time.Sleep(10 * time.Minute)
			send()
			if all := got.now(); len(all) > 0 {
				t.Errorf("%d records of a paused level arrived", len(all))
			}
			for _, s := range []*service{one, two} {
				if err := s.forwarder.Ready(); err != nil {
					t.Error(err)
				}
			}
			paused, err := admin.Pauses(context.Background(), w.Client, w.Names)
			if err != nil || len(paused) != 1 || paused[0].Level != "10s" || paused[0].Reason != "a migration" {
				t.Errorf("paused: %+v, %v", paused, err)
			}
			resumed := time.Now()
			w.resume(level)
			all := got.wait(n, time.Minute)
			once(t, all, n)
			inOrder(t, all)
			for _, a := range all {
				if waited := a.at.Sub(resumed); waited > 2*time.Second && a.late() > slack {
					t.Errorf("%s: %v after it was resumed", a.Value, waited)
				}
			}
			all = others.wait(n, time.Minute)
			once(t, all, n)
			for _, a := range all[40:] {
				if a.late() > slack {
					t.Errorf("%s of the other level: %v late", a.Value, a.late())
				}
			}
			one.stop()
			two.stop()
		})
	})
}

// TestPauseTarget pauses a target for far longer than anything is given up after, over
// a restart; and it refuses writes for a while when it is resumed.
func TestPauseTarget(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery func(*router.Config, *forwarder.Config), slack time.Duration) {
		virtual(t, "5s 10s", []string{"orders", "mails"}, func(w *world) {
			got, others, dead := w.watchCommitted("orders"), w.watchCommitted("mails"), w.watchCommitted(w.Names.Dead())
			giveUp := func(rc *router.Config, fc *forwarder.Config) { rc.GiveUp, fc.GiveUp = time.Minute, time.Minute }
			one := w.serve("one", delivery, giveUp)
			n := 0
			send := func() {
				for range 20 {
					n++
					v := strconv.Itoa(n)
					w.send(w.request("10s", "orders", "inbox"+strconv.Itoa(n%3), v), w.request("0", "orders", "none", v),
						w.direct("5s", "orders", "direct", v), w.direct("5s", "mails", "k", v))
					time.Sleep(time.Second)
				}
			}
			target := admin.TargetOf("orders")
			send()
			w.pause(target)
			before := len(got.now())
			send()
			one.stop()
			one = w.serve("one", delivery, giveUp)
			time.Sleep(10 * time.Second)
			send()
			time.Sleep(4 * time.Minute)
			if all := got.now(); len(all) != before {
				t.Errorf("%d records for a paused target arrived", len(all)-before)
			}
			if err := one.forwarder.Ready(); err != nil {
				t.Error(err)
			}
			fault := w.Cluster.Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders", Err: kerr.NotEnoughReplicas, Count: -1,
			})
			w.resume(target)
			send()
			fault.Remove()
			all := got.wait(3*n, time.Minute)
			once(t, all, 3*n)
			inOrder(t, all)
			time.Sleep(10 * time.Second)
			send() // and now it is as ever
			for _, a := range got.wait(3*n, time.Minute)[len(all):] {
				if a.late() > slack {
					t.Errorf("%s: %v late after all that was parked", a.Value, a.late())
				}
			}
			for i, a := range others.wait(n, time.Minute) {
				if a.late() > slack && i >= 60 {
					t.Errorf("%s for the other target: %v late", a.Value, a.late())
				}
			}
			for _, a := range dead.now() {
				t.Errorf("%s: %s %s", a.Value, a.header(levels.HeaderError), a.header(levels.HeaderErrorDetail))
			}
			one.stop()
		})
	})
}

// TestPauseBehindAMarker ends the control topic with the marker of a transaction that
// was aborted: a restart still knows at once what is paused, and what was aborted is not.
func TestPauseBehindAMarker(t *testing.T) {
	virtual(t, "5s", []string{"orders", "mails"}, func(w *world) {
		w.pause(admin.TargetOf("orders"))
		other := w.newClient(kgo.TransactionalID("other"))
		if err := other.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		rec := &kgo.Record{Topic: w.Names.Control(), Key: []byte("target/mails"), Value: []byte(`{"paused":true}`)}
		if err := other.ProduceSync(context.Background(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := other.EndTransaction(context.Background(), kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
		other.Close()
		got, others := w.watchCommitted("orders"), w.watchCommitted("mails")
		one := w.serve("one")
		one.joined()
		w.send(w.direct("5s", "orders", "k", "1"), w.direct("5s", "mails", "k", "1"))
		if a := others.wait(1, 6*time.Second); a[0].late() > time.Second {
			t.Errorf("%v late", a[0].late())
		}
		time.Sleep(time.Minute)
		if all := got.now(); len(all) > 0 {
			t.Errorf("%d records for a paused target arrived", len(all))
		}
		one.stop()
	})
}

// TestRequireControl keeps the control topic from being read: nothing is delivered, and
// the instance says why, until it can be; then only what is not paused is.
func TestRequireControl(t *testing.T) {
	virtual(t, "5s", []string{"orders", "mails"}, func(w *world) {
		w.pause(admin.TargetOf("orders"))
		fault := w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: w.Names.Control(), Err: kerr.TopicAuthorizationFailed, Count: -1})
		got, others := w.watchCommitted("orders"), w.watchCommitted("mails")
		one := w.serve("one", func(rc *router.Config, fc *forwarder.Config) { rc.RequireControl, fc.RequireControl = true, true })
		w.send(w.direct("5s", "orders", "k", "1"), w.direct("5s", "mails", "k", "1"), w.request("0", "mails", "k", "2"))
		time.Sleep(2 * time.Minute)
		if n := len(got.now()) + len(others.now()); n > 0 {
			t.Errorf("%d records arrived before it was known what is paused", n)
		}
		for _, err := range []error{one.router.Ready(), one.forwarder.Ready()} {
			if err == nil || !strings.Contains(err.Error(), "what is paused is not known: topic delay.control has not been read yet") {
				t.Errorf("ready: %v", err)
			}
		}
		fault.Remove()
		others.wait(2, time.Minute)
		time.Sleep(time.Minute)
		if all := got.now(); len(all) > 0 {
			t.Errorf("%d records for a paused target arrived", len(all))
		}
		one.stop()
	})
}
