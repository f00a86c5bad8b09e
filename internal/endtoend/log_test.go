//go:build synctests

package endtoend

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/router"
	"github.com/delayd-io/delayd/telemetry"
)

// logged is what a service has logged.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// about returns the messages, with error and reason, of lines that have one of names in
// name or topic and say one of words, in their order.
func (l *logged) about(names, words []string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		var fields struct{ Message, Name, Topic, Error, Reason string }
		if json.Unmarshal([]byte(line), &fields) != nil {
			continue
		}
		for _, name := range names {
			for _, word := range words {
				if (fields.Name == name || fields.Topic == name) && strings.Contains(fields.Message, word) {
					found = append(found, name+": "+fields.Message+": "+fields.Error+fields.Reason)
				}
			}
		}
	}
	return found
}

// published is a telemetry.Registry of one source.
type published struct{ source telemetry.Source }

func (p *published) Register(source telemetry.Source) (telemetry.Source, error) {
	p.source = source
	return source, nil
}

// gauges are the series of a gauge that are not 0, by their labels.
func gauges(p *published, name string) map[string]float64 {
	series := make(map[string]float64)
	for _, f := range p.source.Gather() {
		for _, s := range f.Series {
			if f.Name == name && s.Value != 0 {
				var labels []string
				for i, label := range f.Labels {
					labels = append(labels, label+"="+s.Values[i])
				}
				series[strings.Join(labels, " ")] = s.Value
			}
		}
	}
	return series
}

// TestLogOfTargets: a pause is logged as a pause, once and with its reason; a target that
// takes nothing with the cause; and nothing calls a target well that was never there.
func TestLogOfTargets(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery func(*router.Config, *forwarder.Config), _ time.Duration) {
		virtual(t, "1s 5s", []string{"orders", "refusing"}, func(w *world) {
			log, reg := new(logged), new(published)
			s := w.serve("one", delivery, missingWait(20*time.Second), func(rc *router.Config, fc *forwarder.Config) {
				rc.Log, fc.Log = zerolog.New(log), zerolog.New(log)
				fc.Metrics = reg
			})
			defer s.stop()
			s.joined()
			level, target := admin.LevelOf(5*time.Second), admin.TargetOf("orders")
			level.Reason, target.Reason = "a migration", "too fast"
			w.pause(level)
			w.pause(target)
			fault := w.Cluster.Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Produce}, Topic: "refusing", Err: kerr.NotEnoughReplicas, Count: -1,
			})
			send := func(targets ...string) {
				for _, to := range targets {
					w.send(w.direct("1s", to, "k", "1"), w.direct("5s", to, "k", "1"))
				}
				time.Sleep(time.Minute)
			}
			send("orders")
			if got := gauges(reg, "delayd_unavailable_targets"); len(got) > 0 {
				t.Errorf("a paused target counts as sick: %v", got)
			}
			send("refusing", "gone")
			want := map[string]float64{"level=5s target=": 1, "level= target=orders": 1}
			if diff := cmp.Diff(want, gauges(reg, "delayd_paused")); diff != "" {
				t.Errorf("delayd_paused (-want +got):\n%s", diff)
			}
			if got := gauges(reg, "delayd_unavailable_targets"); len(got) == 0 {
				t.Error("no target counts as sick")
			}
			fault.Remove()
			w.resume(level)
			w.resume(target)
			send("orders", "refusing", "gone")
			for _, name := range []string{"delayd_paused", "delayd_unavailable_targets"} {
				if got := gauges(reg, name); len(got) > 0 {
					t.Errorf("at the end %s is %v", name, got)
				}
			}
			got := log.about([]string{"5s", "orders"}, []string{"paused", "resumed", "unavailable", "well"})
			pauses := []string{"5s: level paused: a migration", "orders: target paused: too fast", "5s: level resumed: ", "orders: target resumed: "}
			if diff := cmp.Diff(pauses, got); diff != "" {
				t.Errorf("of what is paused the log says (-want +got):\n%s", diff)
			}
			for name, causes := range map[string][]string{
				"refusing": {"NOT_ENOUGH_REPLICAS", "not acknowledged for "}, // which franz-go retries, in transactions
				"gone":     {"UNKNOWN_TOPIC_OR_PARTITION"},
			} {
				got := log.about([]string{name}, []string{"unavailable", "well"})
				for _, line := range got {
					says, cause, _ := strings.Cut(line, " in order: ")
					if says != name+": target unavailable: its records are parked and retried" ||
						!slices.ContainsFunc(causes, func(c string) bool { return strings.HasPrefix(cause, c) }) {
						t.Errorf("the log says %q", line)
					}
				}
				if len(got) == 0 {
					t.Errorf("the log does not say that %s is unavailable", name)
				}
			}
		})
	})
}
