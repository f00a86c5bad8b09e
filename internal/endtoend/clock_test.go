//go:build synctests

package endtoend

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// soon is how late a record may be whose broker's time is known well.
const soon = 100 * time.Millisecond

// accepted is when records were sent, by their values. The broker takes them at once.
type accepted map[string]time.Time

// sendAt sends a record of each kind on the level, one by one.
func (w *world) sendAt(sent accepted, level string, kinds ...string) {
	w.t.Helper()
	for _, kind := range kinds {
		value := fmt.Sprintf("%s %s %d", level, kind, len(sent))
		rec := w.direct(level, "orders", value, value)
		if kind == "inbox" {
			rec = w.request(level, "orders", value, value)
		}
		sent[value] = time.Now()
		w.send(rec)
	}
}

// check waits for all that was sent, and reports what came early, late or twice, or
// died.
func (w *world) check(got *arrivals, sent accepted, mostLate time.Duration) {
	w.t.Helper()
	got.wait(len(sent), 2*time.Hour)
	time.Sleep(time.Minute)
	seen := make(map[string]bool)
	for _, a := range got.now() {
		value := string(a.Value)
		delay, err := levels.ParseDelay(a.header(levels.HeaderGranted))
		if err != nil {
			w.t.Fatal(err)
		}
		if late := a.at.Sub(sent[value]) - delay; late < 0 || late > mostLate {
			w.t.Errorf("%s: %v late", value, late)
		}
		if seen[value] {
			w.t.Errorf("%s came twice", value)
		}
		seen[value] = true
	}
	if len(seen) != len(sent) {
		w.t.Errorf("%d of %d came", len(seen), len(sent))
	}
}

var deliveries = map[string]func(*router.Config, *forwarder.Config){
	"at least once": func(*router.Config, *forwarder.Config) {}, "exactly once": exactly,
}

// onEachClock runs test at least once and exactly once, on a broker whose clock is
// ahead of this host's by each of some spans.
func onEachClock(t *testing.T, test func(w *world, change func(*router.Config, *forwarder.Config))) {
	for _, ahead := range []time.Duration{-30 * time.Second, -200 * time.Millisecond, -time.Hour, 30 * time.Second, 0} {
		for name, change := range deliveries {
			t.Run(fmt.Sprintf("%v %s", ahead, name), func(t *testing.T) {
				t.Parallel()
				virtual(t, "10s 30s 10m", []string{"orders"}, func(w *world) {
					w.setClock(ahead)
					test(w, change)
				})
			})
		}
	}
}

// TestClocksFromTheStart: the first records are on time, on two levels and through the
// inbox, those included that were there before the service.
func TestClocksFromTheStart(t *testing.T) {
	onEachClock(t, func(w *world, change func(*router.Config, *forwarder.Config)) {
		sent := make(accepted)
		w.sendAt(sent, "30s", "direct", "direct", "inbox")
		s := w.serve("one", change)
		defer s.stop()
		s.joined()
		got := w.watchCommitted("orders")
		for range 10 {
			w.sendAt(sent, "10s", "direct", "inbox")
			w.sendAt(sent, "30s", "direct", "inbox")
			time.Sleep(300 * time.Millisecond)
		}
		w.check(got, sent, soon)
	})
}

// TestClocksWhenRecordsAreRare: a record that is the only one for minutes, of a level or at
// an exact time, is late by no more than another. Nothing has carried the broker's time
// since it was read.
func TestClocksWhenRecordsAreRare(t *testing.T) {
	onEachClock(t, func(w *world, change func(*router.Config, *forwarder.Config)) {
		s := w.serve("one", change)
		defer s.stop()
		s.joined()
		got := w.watchCommitted("orders")
		const rounds, drifted = 3, 10 * time.Millisecond
		sent := make(accepted)
		for range rounds {
			w.sendAt(sent, "10m", "direct")
			sent["exact"] = time.Now()
			w.send(w.direct("10m", "orders", "k", "exact", kgo.RecordHeader{Key: levels.HeaderFor, Value: []byte("599s")}))
			time.Sleep(11 * time.Minute)
		}
		all := got.wait(2*rounds, 2*time.Hour)
		if len(all) != 2*rounds {
			w.t.Errorf("%d of %d came", len(all), 2*rounds)
		}
		for _, a := range all[max(0, len(all)-2):] { // what was sent last
			delay := 10 * time.Minute
			if a.header(levels.HeaderGranted) == levels.GrantedExact {
				delay = 599 * time.Second
			}
			if late := a.at.Sub(sent[string(a.Value)]) - delay; late < 0 || late > drifted {
				w.t.Errorf("%s: %v late", a.Value, late)
			}
		}
	})
}

// TestClocksAfterARestart: all records are minutes old then.
func TestClocksAfterARestart(t *testing.T) {
	onEachClock(t, func(w *world, change func(*router.Config, *forwarder.Config)) {
		s := w.serve("one", change)
		s.joined()
		got := w.watchCommitted("orders")
		sent := make(accepted)
		for range 10 {
			w.sendAt(sent, "10m", "direct", "inbox")
			time.Sleep(15 * time.Second)
		}
		s.stop()
		time.Sleep(3 * time.Minute)
		s = w.serve("one", change)
		s.joined()
		time.Sleep(2 * time.Minute)
		s.stop()
		s = w.serve("one", change)
		defer s.stop()
		w.check(got, sent, soon)
	})
}

// TestClocksAfterAHandOver: partitions come to an instance that has read nothing yet.
func TestClocksAfterAHandOver(t *testing.T) {
	onEachClock(t, func(w *world, change func(*router.Config, *forwarder.Config)) {
		one := w.serve("one", change)
		one.joined()
		got := w.watchCommitted("orders")
		sent := make(accepted)
		for range 10 {
			w.sendAt(sent, "10m", "direct", "inbox")
			time.Sleep(10 * time.Second)
		}
		two := w.serve("two", change)
		defer two.stop()
		two.joined()
		time.Sleep(3 * time.Minute)
		one.stop()
		w.check(got, sent, soon)
	})
}

// TestClocksWithoutProbes: where the parked topic may not be written, records are late
// after a restart by no more than they are old, and never early.
func TestClocksWithoutProbes(t *testing.T) {
	onEachClock(t, func(w *world, change func(*router.Config, *forwarder.Config)) {
		w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: w.Names.Parked(), Err: kerr.TopicAuthorizationFailed, Count: -1})
		sent := make(accepted)
		w.sendAt(sent, "30s", "direct", "direct", "inbox")
		time.Sleep(20 * time.Second)
		s := w.serve("one", change)
		s.joined()
		got := w.watchCommitted("orders")
		w.check(got, sent, 21*time.Second)
		w.sendAt(sent, "10s", "direct", "inbox", "direct", "inbox")
		s.stop()
		s = w.serve("one", change)
		defer s.stop()
		w.check(got, sent, 30*time.Second)
	})
}

// TestClocksOfAHandler: a forwarder with a handler reads no parked topic. What it is
// restarted with is on time all the same, and nothing is left there.
func TestClocksOfAHandler(t *testing.T) {
	for _, ahead := range []time.Duration{-30 * time.Second, 0, 30 * time.Second} {
		virtual(t, "10m", nil, func(w *world) {
			w.setClock(ahead)
			type call struct {
				value string
				at    time.Time
			}
			calls := make(chan call, 100)
			cfg := forwarder.DefaultConfig()
			cfg.Ladder = w.Ladder
			cfg.Handler = func(_ context.Context, rec *kgo.Record) error {
				calls <- call{string(rec.Value), time.Now()}
				return nil
			}
			sent := make(accepted)
			for range 3 {
				w.sendAt(sent, "10m", "direct", "direct")
				f, err := forwarder.New(cfg, w.Opts()...)
				if err != nil {
					t.Fatal(err)
				}
				stop := w.run(f.Run)
				defer stop()
				time.Sleep(3 * time.Minute)
				if len(calls) == 0 && len(sent) < 6 {
					stop()
				}
			}
			for range sent {
				c := <-calls
				if late := c.at.Sub(sent[c.value]) - 10*time.Minute; late < 0 || late > soon {
					t.Errorf("%s: %v late", c.value, late)
				}
			}
			starts, err := w.Admin.ListStartOffsets(context.Background(), w.Names.Parked())
			if err != nil {
				t.Fatal(err)
			}
			ends, err := w.Admin.ListEndOffsets(context.Background(), w.Names.Parked())
			if err != nil {
				t.Fatal(err)
			}
			marks := int64(0)
			ends.Each(func(end kadm.ListedOffset) {
				start, _ := starts.Lookup(end.Topic, end.Partition)
				if marks += end.Offset; start.Offset != end.Offset {
					t.Errorf("%d records are left on partition %d", end.Offset-start.Offset, end.Partition)
				}
			})
			if marks < 3 {
				t.Errorf("%d probes, want one for each start", marks)
			}
		})
	}
}

// TestClocksSetBack: a broker's clock that is set back is followed from the first
// record on that was appended after that.
func TestClocksSetBack(t *testing.T) {
	onEachClock(t, func(w *world, change func(*router.Config, *forwarder.Config)) {
		s := w.serve("one", change)
		defer s.stop()
		s.joined()
		got := w.watchCommitted("orders")
		before, after := make(accepted), make(accepted)
		for range 60 {
			w.sendAt(before, "10s", "direct")
			time.Sleep(time.Second)
		}
		w.check(got, before, soon)
		n := len(got.now())
		w.setClock(-2 * time.Hour)
		w.sendAt(after, "10s", "direct")
		time.Sleep(time.Second)
		for range 20 {
			w.sendAt(after, "10s", "direct", "inbox")
			time.Sleep(time.Second)
		}
		got.wait(n+len(after), time.Hour)
		for _, a := range got.now()[n:] {
			if late := a.at.Sub(after[string(a.Value)]) - 10*time.Second; late < 0 || late > soon {
				t.Errorf("%s: %v late", a.Value, late)
			}
		}
	})
}

// TestClocksOfTargets: a target that keeps its producers' times refuses those that are
// more than a second ahead of its broker's clock. This host is two hours ahead.
func TestClocksOfTargets(t *testing.T) {
	for name, change := range deliveries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual(t, "10s", []string{"orders"}, func(w *world) {
				clock := w.setClock(-2 * time.Hour)
				w.Cluster.Fault(kfake.Fault{
					Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.InvalidTimestamp, Count: -1,
					When: func(req kmsg.Request) (ahead bool) {
						for _, t := range req.(*kmsg.ProduceRequest).Topics {
							for _, p := range t.Partitions {
								if !clock.stamps(t.Topic, t.TopicID) {
									eachBatch(p.Records, func(batch []byte, _ uint16) {
										at := time.UnixMilli(int64(binary.BigEndian.Uint64(batch[atLast:])))
										ahead = ahead || at.After(clock.shows(time.Now()).Add(time.Second))
									})
								}
							}
						}
						return ahead
					},
				})
				s := w.serve("one", change)
				defer s.stop()
				s.joined()
				got, dead := w.watchCommitted("orders"), w.watchCommitted(w.Names.Dead())
				sent := make(accepted)
				for range 20 {
					w.sendAt(sent, "10s", "direct", "inbox")
				}
				value := strconv.Itoa(len(sent))
				w.send(w.request("0", "orders", value, value))
				sent[value] = time.Now()
				w.check(got, sent, soon)
				if n := len(dead.now()); n > 0 {
					t.Errorf("%d dead letters", n)
				}
				for _, a := range got.now() {
					if off := a.Timestamp.Sub(clock.shows(a.at)); off.Abs() > soon {
						t.Errorf("%s: stamped %v off the broker's clock", a.Value, off)
					}
				}
			})
		})
	}
}

// TestClocksThatAreSetRight: a target that refuses timestamps gets its records when it
// takes them again.
func TestClocksThatAreSetRight(t *testing.T) {
	for name, change := range deliveries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual(t, "10s", []string{"orders"}, func(w *world) {
				refusing := w.Cluster.Fault(kfake.Fault{
					Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders", Err: kerr.InvalidTimestamp, Count: -1,
				})
				s := w.serve("one", change)
				defer s.stop()
				s.joined()
				got, dead := w.watchCommitted("orders"), w.watchCommitted(w.Names.Dead())
				sent := make(accepted)
				for range 20 {
					w.sendAt(sent, "10s", "direct", "inbox")
					time.Sleep(time.Second)
				}
				time.Sleep(time.Minute)
				refusing.Remove()
				w.check(got, sent, 2*time.Minute)
				if n := len(dead.now()); n > 0 {
					t.Errorf("%d dead letters", n)
				}
			})
		})
	}
}
