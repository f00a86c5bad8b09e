//go:build synctests

package deliver

import (
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/record"
)

// deliverTo delivers a record to a partition of a topic.
func (w *world) deliverTo(topic string, partition int32, value string) *owner {
	o := new(owner)
	src := &kgo.Record{Topic: "delay.level.1s", Value: []byte(value)}
	b := w.out.NewBatch(1)
	b.Deliver(o, src, record.Read(nil), Facts{Topic: topic, ID: "id", Granted: "1s", Partition: partition})
	b.Send()
	return o
}

// TestPartitionsRecoverTogether: when a partition takes a record that it refused, the
// target's other partitions are tried at once, and not each when its own wait is over.
func TestPartitionsRecoverTogether(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		const partitions = 8
		if err := w.Cluster.CreateTopic("wide", partitions, nil); err != nil {
			t.Fatal(err)
		}
		refuse := w.refuse("wide", kerr.NotEnoughReplicas)
		var owners []*owner
		for n := range int32(partitions) {
			owners = append(owners, w.deliverTo("wide", n, strconv.Itoa(int(n))))
		}
		time.Sleep(4 * time.Second) // within which the waits grow apart, and nothing is parked
		refuse.Remove()
		start := time.Now()
		time.Sleep(2 * backoffMax)
		var after []time.Duration
		for _, o := range owners {
			after = append(after, o.after(start))
		}
		slices.Sort(after)
		if first, last := after[0], after[partitions-1]; last-first > 10*time.Millisecond {
			t.Errorf("the partitions took their records from %v to %v after the target was healthy", first, last)
		}
	})
}

// TestPartitionFailsAlone: a partition that goes on failing is not tried more often because
// others take their records.
func TestPartitionFailsAlone(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		if err := w.Cluster.CreateTopic("wide", 2, nil); err != nil {
			t.Fatal(err)
		}
		var tried atomic.Int64
		w.Cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: "wide", Partitions: []int32{0}, Err: kerr.NotEnoughReplicas, Count: -1,
			When: func(kmsg.Request) bool { tried.Add(1); return true },
		})
		w.deliverTo("wide", 0, "fails")
		for range 300 {
			w.deliverTo("wide", 1, "well")
			time.Sleep(10 * time.Millisecond)
		}
		if n := tried.Load(); n < 2 || n > 20 {
			t.Errorf("tried %d times in three seconds", n)
		}
	})
}
