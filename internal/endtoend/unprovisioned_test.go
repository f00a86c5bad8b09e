//go:build synctests

package endtoend

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// missingTopics are the lines of a log that name topics that do not exist.
func missingTopics(log string) (found []string) {
	for line := range strings.Lines(log) {
		if strings.Contains(line, "do not exist") {
			found = append(found, line)
		}
	}
	return found
}

// TestUnprovisioned starts a service whose topics nobody has made: it names them, in its
// log now and then and whenever it is asked, and works as soon as they exist.
func TestUnprovisioned(t *testing.T) {
	virtual(t, "5s 1m", []string{"orders"}, func(w *world) {
		w.Names = levels.Names{Prefix: "new"}
		var log journal
		s := w.serve("one", func(rc *router.Config, fc *forwarder.Config) {
			rc.Names, fc.Names = w.Names, w.Names
			rc.Log, fc.Log = zerolog.New(&log), zerolog.New(&log)
		})
		defer s.stop()
		time.Sleep(10 * time.Second)
		saysWhy(t, s.router.Ready(), "new.inbox", "delayd admin provision", "admin.Ensure")
		saysWhy(t, s.forwarder.Ready(), "new.level.1m, new.level.5s, new.parked", "delayd admin provision", "admin.Ensure")
		if n := len(missingTopics(log.text())); n != 2 {
			t.Errorf("%d lines name topics that do not exist, want one of each:\n%s", n, log.text())
		}
		time.Sleep(25 * time.Minute)
		if n := len(missingTopics(log.text())); n != 6 {
			t.Errorf("%d lines name topics that do not exist after 25 minutes, want 6:\n%s", n, log.text())
		}
		w.ensure(w.Ladder)
		time.Sleep(15 * time.Second)
		for _, err := range []error{s.router.Ready(), s.forwarder.Ready()} {
			if err != nil {
				t.Error(err)
			}
		}
		got := w.watch("orders")
		w.send(w.request("5s", "orders", "k", "1"))
		all := got.wait(1, time.Minute)
		once(t, all, 1)
		onTime(t, all)
	})
}

// ensure makes the topics of a ladder.
func (w *world) ensure(ladder levels.Ladder) {
	w.t.Helper()
	if _, err := admin.Ensure(context.Background(), w.Client, admin.Spec{Ladder: ladder, Names: w.Names, Partitions: 2, Replicas: -1}); err != nil {
		w.t.Fatal(err)
	}
}

// TestLadderLongerThanProvisioned: the levels without a topic are named, and the others
// are delivered meanwhile.
func TestLadderLongerThanProvisioned(t *testing.T) {
	virtual(t, "5s", []string{"orders"}, func(w *world) {
		longer, err := levels.Parse("5s 1m 2m")
		if err != nil {
			t.Fatal(err)
		}
		var log journal
		s := w.serve("one", func(rc *router.Config, fc *forwarder.Config) {
			rc.Ladder, fc.Ladder = longer, longer
			fc.Log = zerolog.New(&log)
		})
		defer s.stop()
		got := w.watch("orders")
		time.Sleep(10 * time.Second)
		w.send(w.request("5s", "orders", "k", "1"))
		once(t, got.wait(1, time.Minute), 1)
		saysWhy(t, s.forwarder.Ready(), "delay.level.1m, delay.level.2m;")
		if all := missingTopics(log.text()); len(all) != 1 || !strings.Contains(all[0], `["delay.level.1m","delay.level.2m"]`) {
			t.Errorf("want one line that names two topics:\n%s", strings.Join(all, ""))
		}
		w.ensure(longer)
		time.Sleep(15 * time.Second)
		if err := s.forwarder.Ready(); err != nil {
			t.Error(err)
		}
		w.send(w.request("1m", "orders", "k", "2"))
		all := got.wait(2, time.Hour)
		once(t, all, 2)
		onTime(t, slices.DeleteFunc(all, func(a arrival) bool { return string(a.Value) == "1" }))
	})
}
