//go:build synctests

package deliver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// refusals are the ways in which a target refuses whole batches of good records.
var refusals = map[string]func(w *world) (heal func()){
	"its limit is lowered": func(w *world) func() {
		alter := func(limit string) {
			_, err := w.Admin.AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, "keyed")
			if err != nil {
				w.t.Fatal(err)
			}
		}
		alter("5000")
		return func() { alter("1048588") }
	},
	"it refuses at random": func(w *world) func() {
		random := rand.New(rand.NewPCG(1, 2))
		return w.Cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: "keyed", Err: kerr.InvalidRecord, Count: -1,
			When: func(req kmsg.Request) bool { // never one alone; all partitions of the request are refused
				alone := func(p kmsg.ProduceRequestTopicPartition) bool { return len(p.Records) <= 2000 }
				return !slices.ContainsFunc(req.(*kmsg.ProduceRequest).Topics[0].Partitions, alone) && random.IntN(2) == 0
			},
		}).Remove
	},
	"it takes no timestamps": func(w *world) func() { return w.refuse("keyed", kerr.InvalidTimestamp).Remove },
	"nobody may write for a moment": func(w *world) func() {
		return w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "keyed", Err: kerr.TopicAuthorizationFailed, Count: 1}).Remove
	},
}

// TestRefusedBatchesKeepOrder sends keyed records while their target refuses whole
// batches: none is a dead letter, and each key's arrive in order.
func TestRefusedBatchesKeepOrder(t *testing.T) {
	for name, refuse := range refusals {
		t.Run(name, func(t *testing.T) {
			virtual(t, Config{GiveUp: time.Hour}, func(w *world) {
				const n, keys = 20_000, 50
				if err := w.Cluster.CreateTopic("keyed", 3, nil); err != nil {
					t.Fatal(err)
				}
				w.slow.Store(int64(5 * time.Millisecond))
				var heal func()
				var owners []*owner
				for i := range n {
					switch i {
					case n / 4:
						heal = refuse(w)
					case n / 2:
						heal()
					}
					o := new(owner)
					rec := &kgo.Record{Topic: "delay.level.1s", Key: []byte(strconv.Itoa(i % keys)), Value: fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", 300))}
					w.send(o, rec, Facts{Topic: "keyed", ID: "id", Granted: "1s", Partition: ByKey})
					owners = append(owners, o)
					if i%20 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
				time.Sleep(30 * time.Second)
				if n := len(w.codes()); n > 0 {
					t.Errorf("%d dead letters", n)
				}
				got := make(map[string]int)
				for _, rec := range append(w.log("keyed"), w.unparked()...) {
					i, _ := strconv.Atoi(strings.Fields(string(rec.Value))[0])
					if last, ok := got[string(rec.Key)]; ok && i <= last {
						t.Fatalf("key %s: %d behind %d", rec.Key, i, last)
					}
					got[string(rec.Key)] = i
				}
				if told := told(owners); told != n {
					t.Errorf("%d of %d are handled", told, n)
				}
			})
		})
	}
}

// unparked is what is parked, as it was: it is delivered behind what is written.
func (w *world) unparked() (recs []*kgo.Record) {
	for _, rec := range w.log(w.names.Parked()) {
		src, _, err := record.Unpark(rec)
		if err != nil {
			w.t.Fatal(err)
		}
		recs = append(recs, src)
	}
	return recs
}

// TestOneLetterHoldsUpNoOther: a dead letter that its topic refuses waits, and the
// others pass.
func TestOneLetterHoldsUpNoOther(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		fault := w.Cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: w.names.Dead(), Err: kerr.PolicyViolation, Count: -1,
			When: func(req kmsg.Request) bool {
				return strings.Contains(string(req.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records), poison)
			},
		})
		var owners []*owner
		for i := range 100 {
			o := new(owner)
			value := strconv.Itoa(i)
			if i == 20 {
				value = poison
			}
			w.out.DeadLetter(o, &kgo.Record{Value: []byte(value)}, Facts{Partition: ByKey}, Refusal{Code: levels.NoTarget, Detail: "none"}, 0)
			owners = append(owners, o)
		}
		time.Sleep(5 * time.Second)
		if n := told(owners); n != 99 {
			t.Errorf("%d of 99 other letters are written", n)
		}
		fault.Remove()
		time.Sleep(5 * time.Second)
		if n := told(owners); n != 100 {
			t.Errorf("%d letters of 100 are written once the topic takes them", n)
		}
	})
}
