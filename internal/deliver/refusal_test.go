//go:build synctests

package deliver

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/target"
	"github.com/delayd-io/delayd/levels"
)

const (
	answerTime = 5 * time.Millisecond // of a broker
	poison     = "poison"
	poisonIn   = 20 // one record in so many
)

// poisoned makes a target that refuses whatever comes with poison, and has brokers
// take their time.
func (w *world) poisoned(config map[string]string) (refuses *kfake.FaultHandle) {
	w.t.Helper()
	w.create("poisoned", 0, config)
	w.slow.Store(int64(answerTime))
	return w.Cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: "poisoned", Err: kerr.InvalidRecord, Count: -1,
		When: func(req kmsg.Request) bool {
			return slices.ContainsFunc(req.(*kmsg.ProduceRequest).Topics, func(t kmsg.ProduceRequestTopic) bool {
				return slices.ContainsFunc(t.Partitions, func(p kmsg.ProduceRequestTopicPartition) bool {
					return bytes.Contains(p.Records, []byte(poison))
				})
			})
		},
	})
}

// stream sends a record each millisecond, some of them poison with the given key, and
// returns the longest time that one took, and that any but those took.
func (w *world) stream(n int, key []byte) (all, good time.Duration) {
	type sending struct {
		at time.Time
		*owner
	}
	sent := make([]sending, n)
	for i := range sent {
		rec := &kgo.Record{Topic: "delay.level.1s", Key: []byte(strconv.Itoa(i % 100)), Value: []byte(strconv.Itoa(i))}
		if i%poisonIn == 0 {
			rec.Key, rec.Value = key, []byte(poison)
		}
		sent[i] = sending{time.Now(), new(owner)}
		w.send(sent[i].owner, rec, Facts{Topic: "poisoned", ID: "id", Granted: "1s", Partition: ByKey})
		time.Sleep(time.Millisecond)
	}
	time.Sleep(10 * time.Second)
	for i, s := range sent {
		took := s.after(s.at)
		all = max(all, took)
		if i%poisonIn != 0 {
			good = max(good, took)
		}
	}
	return all, good
}

// TestManyRefusalsPark: a target that refuses so many single records that it never
// catches up makes progress all the time. It is sick all the same: what piles up
// would take the room of the others.
func TestManyRefusalsPark(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		w.poisoned(nil)
		if all, _ := w.stream(20_000, []byte(poison)); all > target.StalledAfter {
			t.Errorf("a record was neither written nor parked nor dead for %v", all)
		}
		if len(w.log(w.names.Parked())) == 0 {
			t.Error("nothing is parked")
		}
	})
}

// TestCompactedTarget: a compacted topic refuses each record without a key. Those
// alone are dead letters, and the others do not wait for it, until the topic takes
// them.
func TestCompactedTarget(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		const n = 2000
		refuses := w.poisoned(map[string]string{"cleanup.policy": "compact"})
		if _, good := w.stream(n, nil); good > 20*answerTime {
			t.Errorf("a record with a key took %v", good)
		}
		dead := w.log(w.names.Dead())
		if len(dead) != n/poisonIn {
			t.Errorf("%d dead letters, want %d", len(dead), n/poisonIn)
		}
		for _, rec := range dead {
			code, _ := record.Last(rec.Headers, levels.HeaderError)
			if string(rec.Value) != poison || rec.Key != nil || levels.Code(code) != levels.Rejected {
				t.Fatalf("dead letter %q %q: %s", rec.Key, rec.Value, code)
			}
		}

		refuses.Remove()
		deleted := "delete"
		if _, err := w.Admin.AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Name: "cleanup.policy", Value: &deleted}}, "poisoned"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.stream(n, nil)
		if more := len(w.log(w.names.Dead())) - len(dead); more != 0 {
			t.Errorf("%d dead letters when the topic is compacted no more", more)
		}
		if got, want := len(w.log("poisoned")), 2*n-n/poisonIn; got != want {
			t.Errorf("%d delivered, want %d", got, want)
		}
	})
}
