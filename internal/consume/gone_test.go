//go:build synctests

package consume

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/delayd-io/delayd/internal/metrics"
)

// second adds a topic "u" of one partition.
func (w *world) second(h Handler) func(*Config) {
	w.t.Helper()
	if err := w.Cluster.CreateTopic("u", 1, nil); err != nil {
		w.t.Fatal(err)
	}
	return func(cfg *Config) {
		cfg.Topics = append(cfg.Topics, Topic{Name: "u", Label: "u", Handler: h})
	}
}

func (w *world) send(topic string, n int) {
	w.t.Helper()
	for range n {
		if err := w.Client.ProduceSync(context.Background(), &kgo.Record{Topic: topic}).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) remove(topic string) {
	w.t.Helper()
	if _, err := w.Admin.DeleteTopics(context.Background(), topic); err != nil {
		w.t.Fatal(err)
	}
	w.Client.PurgeTopicsFromClient(topic)
}

// TestRefusedCommit: commits that are refused for one partition, whatever the reason,
// leave the lease and all others alone, and are made when they are taken.
func TestRefusedCommit(t *testing.T) {
	for _, err := range []*kerr.Error{
		kerr.TopicAuthorizationFailed, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.OffsetMetadataTooLarge,
		kerr.InvalidCommitOffsetSize, kerr.UnknownServerError, kerr.InvalidTopicException,
	} {
		t.Run(err.Message, func(t *testing.T) {
			virtual(t, 1, func(w *world) {
				h, other := new(handler), new(handler)
				c, stop := w.consume(h, w.second(other))
				defer stop()
				time.Sleep(5 * time.Second)
				fault := w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: "u", Err: err, Count: -1})
				w.send("u", 4)
				time.Sleep(time.Minute) // without news of the other
				n := 0
				for range 60 {
					w.fill(0, n, 1, 10)
					n++
					time.Sleep(time.Second)
				}
				if got := len(h.now()); got != n {
					t.Errorf("%d of %d handled", got, n)
				}
				for _, h := range h.now() {
					if late := h.at.Sub(time.UnixMilli(h.appended)); late > time.Second {
						t.Fatalf("handled %v late", late)
					}
				}
				unready(t, c, "u/0: commits refused", err.Message)
				fault.Remove()
				time.Sleep(2 * refusalMax)
				if err := c.Ready(); err != nil {
					t.Error(err)
				}
				commits, err := w.Admin.FetchOffsetsForTopics(context.Background(), group, "u")
				if err != nil {
					t.Fatal(err)
				}
				if o, _ := commits.Lookup("u", 0); o.At != 4 {
					t.Errorf("%d committed, want 4", o.At)
				}
			})
		})
	}
}

// TestTopicDeleted: a topic that is deleted with pending records leaves all others
// running; Ready says what is the matter. When it exists again it is read from its
// start, without a restart and after one, and nothing of it is lost.
func TestTopicDeleted(t *testing.T) {
	for name, cluster := range map[string][]kfake.Opt{
		"offsets by id":   nil,
		"offsets by name": {kfake.MaxVersions(kversion.FromString("4.1"))},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, 1, func(w *world) {
				h, other := new(handler), &handler{delay: 2 * time.Second}
				with := w.second(other)
				c, stop := w.consume(h, with)
				n := 0
				run := func(seconds int) {
					for range seconds {
						w.fill(0, n, 1, 10)
						n++
						time.Sleep(time.Second)
					}
				}
				run(5)
				w.send("u", 20)
				run(1)
				w.remove("u")
				run(30)
				unready(t, c, "topic u: not read for ", "provision")
				if n := c.cfg.Metrics.Stalled.WithLabelValues("u").Value(); n != 1 {
					t.Errorf("%v partitions are stalled, want 1", n)
				}
				if got := len(h.now()); got != n {
					t.Errorf("%d of %d of the other topic handled", got, n)
				}
				before := len(other.now())
				if err := w.Cluster.CreateTopic("u", 1, nil); err != nil {
					t.Fatal(err)
				}
				w.send("u", 30)
				run(30)
				if err := c.Ready(); err != nil {
					t.Error(err)
				}
				if got := len(other.now()) - before; got != 30 {
					t.Errorf("%d of the new topic's records handled, want 30", got)
				}
				stop()
			}, cluster...)
		})
	}
}

// TestTopicRecreatedBetweenStarts: a commit for the former topic, which brokers up to
// 4.1 keep or take for the new one, is not used.
func TestTopicRecreatedBetweenStarts(t *testing.T) {
	for _, pending := range []time.Duration{0, time.Hour} {
		virtual(t, 1, func(w *world) {
			w.fill(0, 0, 100, 10)
			_, stop := w.consume(new(handler))
			time.Sleep(5 * time.Second)
			stop()
			commits, err := w.Admin.FetchOffsetsForTopics(context.Background(), group, "t")
			if err != nil {
				t.Fatal(err)
			}
			o, _ := commits.Lookup("t", 0)
			w.remove("t")
			if err := w.Cluster.CreateTopic("t", 1, nil); err != nil {
				t.Fatal(err)
			}
			w.fill(0, 0, 200, 10)
			var late kadm.Offsets // a commit that has been on its way
			late.Add(o.Offset)
			if err := w.Admin.CommitAllOffsets(context.Background(), group, late); err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			h := &handler{delay: pending}
			c, stop := w.consume(h, func(cfg *Config) { cfg.Log = cfg.Log.Output(&log).Level(0) })
			time.Sleep(pending + time.Minute)
			stop()
			if n := len(h.now()); n != 200 {
				t.Errorf("%d of the new topic's 200 records handled", n)
			}
			if !strings.Contains(log.String(), "deleted and created again") {
				t.Errorf("the log says nothing:\n%s", log.String())
			}
			if n := w.committed(); n != 200 {
				t.Errorf("%d committed, want 200", n)
			}
			_ = c
		})
	}
}

// TestCommitOfAnotherCluster: what was translated for a copied topic counts, and so does
// the commit of a version that names no topic.
func TestCommitOfAnotherCluster(t *testing.T) {
	for _, meta := range []string{"", identity{kadm.TopicID{1}, "another"}.format()} {
		virtual(t, 1, func(w *world) {
			w.fill(0, 0, 100, 10)
			var at kadm.Offsets
			at.Add(kadm.Offset{Topic: "t", At: 60, LeaderEpoch: -1, Metadata: meta})
			if err := w.Admin.CommitAllOffsets(context.Background(), group, at); err != nil {
				t.Fatal(err)
			}
			h := new(handler)
			_, stop := w.consume(h)
			defer stop()
			time.Sleep(5 * time.Second)
			if n := len(h.now()); n != 40 {
				t.Errorf("metadata %q: %d handled, want 40", meta, n)
			}
		})
	}
}

// TestUnreadableTopicAtStart: a topic that cannot be described keeps no other from
// starting.
func TestUnreadableTopicAtStart(t *testing.T) {
	virtual(t, 1, func(w *world) {
		h, other := new(handler), new(handler)
		with := w.second(other)
		w.send("u", 5)
		_, stop := w.consume(new(handler), with) // the group knows both
		time.Sleep(5 * time.Second)
		stop()
		w.fill(0, 0, 5, 10)
		w.send("u", 5)
		fault := w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "u", Err: kerr.LeaderNotAvailable, Count: -1})
		c, stop := w.consume(h, func(cfg *Config) {
			cfg.Topics = append(cfg.Topics, Topic{Name: "u", Label: "u", Handler: other})
		})
		defer stop()
		time.Sleep(15 * time.Second)
		if n := len(h.now()); n != 5 {
			t.Errorf("%d handled beside a topic without a leader, want 5", n)
		}
		fault.Remove()
		time.Sleep(time.Minute)
		if n := len(other.now()); n != 10 {
			t.Errorf("%d handled of that topic, want 10", n)
		}
		if err := c.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// TestGaugesWhileTopicsChange: the gauges are set while retired topics come and go.
func TestGaugesWhileTopicsChange(t *testing.T) {
	c := &Consumer{topics: make(map[string]*Topic), gone: make(map[string]*gone), lanes: make(map[partition]*lane)}
	c.cfg.Metrics = metrics.New(nil)
	l := newTestLane()
	l.topic = &Topic{Name: "retired", Label: "1h"}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for range 1000 {
			c.mu.Lock()
			c.topics["retired"] = l.topic
			c.lanes[partition{"retired", 0}] = l
			c.mu.Unlock()
			c.mu.Lock()
			delete(c.topics, "retired") // as abandon does, before the lane ends
			c.mu.Unlock()
		}
	})
	for range 1000 {
		c.measure(time.Now())
	}
	tasks.Wait()
}
