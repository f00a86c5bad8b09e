//go:build synctests

package deliver

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// TestRefusals: what kind of refusal ends how, with good records around and one
// that goes elsewhere.
func TestRefusals(t *testing.T) {
	const n = 20
	for _, c := range []struct {
		name  string
		err   *kerr.Error
		count int         // answers; -1: for ever
		code  levels.Code // "": delivered
	}{
		{"a policy", kerr.PolicyViolation, -1, levels.Rejected},
		{"the format", kerr.UnsupportedForMessageFormat, -1, levels.Rejected},
		{"no such topic name", kerr.InvalidTopicException, -1, levels.IllegalTarget},
		{"not authorized for a moment", kerr.TopicAuthorizationFailed, 1, ""},
		{"unknown, for a while", kerr.UnknownServerError, 5, ""},
		{"known to pass, for a while", kerr.NotEnoughReplicas, 5, ""},
		{"refused in company, taken alone", kerr.InvalidRecord, 1, ""},
		{"too large in company, not alone", kerr.MessageTooLarge, 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, Config{MissingTargetWait: DefaultMissingTargetWait, GiveUp: time.Minute}, func(w *world) {
				w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "sick", Err: c.err, Count: c.count})
				start := time.Now()
				owners := w.deliverAll("sick", n)
				other := w.deliver("apart", "x")
				time.Sleep(4 * time.Second)
				for i, o := range append(owners, other) {
					if d := o.after(start); d > 2*time.Second {
						t.Errorf("record %d: told after %v", i+1, d)
					}
				}
				dead, delivered := all(n, c.code), []string{}
				if c.code == "" {
					dead, delivered = all(0, ""), numbers(1, n)
				}
				if diff := cmp.Diff(dead, w.codes()); diff != "" {
					t.Errorf("dead letters (- want, + got):\n%s", diff)
				}
				if diff := cmp.Diff(delivered, texts(w.log("sick"))); diff != "" {
					t.Errorf("delivered (- want, + got):\n%s", diff)
				}
				if n := len(w.log(w.names.Parked())); n > 0 {
					t.Errorf("%d records are parked", n)
				}
			})
		})
	}
}

// TestPoison: one record is refused whatever it comes with. It dies alone.
func TestPoison(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		w.Cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: "sick", Err: kerr.InvalidRecord, Count: -1,
			When: func(req kmsg.Request) bool {
				return slices.ContainsFunc(req.(*kmsg.ProduceRequest).Topics, func(t kmsg.ProduceRequestTopic) bool {
					return bytes.Contains(t.Partitions[0].Records, []byte("poison"))
				})
			},
		})
		w.deliverAll("sick", 20)
		w.deliver("sick", "poison")
		for i := range 20 {
			w.deliver("sick", strconv.Itoa(i+21))
		}
		time.Sleep(time.Second)
		if diff := cmp.Diff(map[string]levels.Code{"poison": levels.Rejected}, w.codes()); diff != "" {
			t.Errorf("dead letters (- want, + got):\n%s", diff)
		}
		if diff := cmp.Diff(numbers(1, 40), texts(w.log("sick"))); diff != "" {
			t.Errorf("delivered (- want, + got):\n%s", diff)
		}
	})
}

// TestMissingTarget: a target that does not exist is waited for as long as the
// configuration says, by every record for itself.
func TestMissingTarget(t *testing.T) {
	for _, c := range []struct {
		name    string
		wait    time.Duration
		created time.Duration // 0: never
		dead    time.Duration // 0: delivered
	}{
		{"never comes", 3 * time.Second, 0, 3 * time.Second},
		{"comes in time", 10 * time.Second, 2 * time.Second, 0},
		{"is waited for without end", 0, 5 * time.Minute, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, Config{MissingTargetWait: c.wait, GiveUp: DefaultGiveUp}, func(w *world) {
				start := time.Now()
				early := w.deliverAll("new", 10)
				time.Sleep(time.Second)
				late := w.deliver("new", "late")
				time.Sleep(c.created)
				if c.created == 0 {
					time.Sleep(10 * time.Second)
					for i, o := range append(early, late) {
						if d := o.after(start); d < c.dead || d > c.dead+3*time.Second {
							t.Errorf("record %d was a dead letter after %v, with %v to wait", i+1, d, c.dead)
						}
					}
					if d := late.after(start); d < c.dead+time.Second {
						t.Errorf("the late one was a dead letter after %v, with %v to wait", d-time.Second, c.dead)
					}
					want := all(10, levels.UnknownTopic)
					want["late"] = levels.UnknownTopic
					if diff := cmp.Diff(want, w.codes()); diff != "" {
						t.Errorf("dead letters (- want, + got):\n%s", diff)
					}
					return
				}
				w.create("new", 0, nil)
				time.Sleep(5 * time.Second)
				w.redeliver(0) // what was parked, if it took that long
				time.Sleep(5 * time.Second)
				if diff := cmp.Diff(append(numbers(1, 10), "late"), texts(w.log("new"))); diff != "" {
					t.Errorf("delivered (- want, + got):\n%s", diff)
				}
				if n := len(w.codes()); n != 0 {
					t.Errorf("%d dead letters", n)
				}
			})
		})
	}
}

// TestRecreatedTarget: a topic that was deleted and made again has another id, and
// knows nothing of what the producer wrote before.
func TestRecreatedTarget(t *testing.T) {
	virtual(t, Config{MissingTargetWait: DefaultMissingTargetWait, GiveUp: time.Minute}, func(w *world) {
		w.deliverAll("sick", 10)
		time.Sleep(time.Second)
		if err := w.Cluster.DeleteTopic("sick"); err != nil {
			t.Fatal(err)
		}
		w.create("sick", 0, nil)
		start := time.Now()
		for i, o := range w.deliverAll("sick", 10) {
			time.Sleep(500 * time.Millisecond)
			if d := o.after(start); d > 5*time.Second {
				t.Errorf("record %d: told after %v", i+1, d)
			}
		}
		if diff := cmp.Diff(numbers(1, 10), texts(w.log("sick"))); diff != "" {
			t.Errorf("delivered (- want, + got):\n%s", diff)
		}
	})
}

// TestDeadTopicRefuses: a dead letter that cannot be written is neither lost nor
// skipped, and does not hold up deliveries.
func TestDeadTopicRefuses(t *testing.T) {
	for _, err := range []*kerr.Error{
		kerr.TopicAuthorizationFailed, kerr.UnknownServerError, kerr.NotEnoughReplicas, kerr.PolicyViolation, kerr.MessageTooLarge,
	} {
		t.Run(err.Message, func(t *testing.T) {
			virtual(t, Config{}, func(w *world) {
				fault := w.refuse(w.names.Dead(), err)
				letter := func(value string) *owner {
					o := new(owner)
					w.out.DeadLetter(o, &kgo.Record{Value: []byte(value)}, Facts{Partition: ByKey}, Refusal{Code: levels.NoTarget, Detail: "none"}, 0)
					return o
				}
				dead := []*owner{letter("1"), letter("2")}
				time.Sleep(5 * time.Minute)
				if n := told(dead); n != 0 {
					t.Fatalf("%d records were let go that are nowhere", n)
				}
				well := w.deliver("sick", "x")
				time.Sleep(time.Second)
				if well.done.Load() == nil {
					t.Error("a delivery waits for the dead letters")
				}
				fault.Remove()
				time.Sleep(10 * time.Second)
				if n := told(dead); n != 2 {
					t.Errorf("%d of 2 owners were told when the topic was well again", n)
				}
				if diff := cmp.Diff(all(2, levels.NoTarget), w.codes()); diff != "" {
					t.Errorf("dead letters (- want, + got):\n%s", diff)
				}
			})
		})
	}
}

// TestLimits: franz-go's limit of 1 MB is not the topic's, which is read when a
// record does not go through.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name        string
		limit       string // max.message.bytes of the target
		size, small int    // of one record, and of those around it
		code        levels.Code
	}{
		{"larger than franz-go's, record fits", "5000000", 3_000_000, 100, ""},
		{"larger than franz-go's, record does not fit", "5000000", 6_000_000, 100, levels.TooLarge},
		{"as usual, record does not fit", "1048588", 3_000_000, 100, levels.TooLarge},
		{"smaller than franz-go's, record fits", "100000", 90_000, 20_000, ""},
		{"smaller than franz-go's, record does not fit", "100000", 200_000, 10_000, levels.TooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, Config{}, func(w *world) {
				w.create("limited", 0, map[string]string{"max.message.bytes": c.limit})
				const around = 200
				sizes := slices.Repeat([]int{c.small}, around)
				sizes[around/2] = c.size
				round := func() {
					var owners []*owner
					for _, n := range sizes {
						owners = append(owners, w.deliver("limited", incompressible(n)))
					}
					time.Sleep(3 * time.Second)
					if n := told(owners); n != len(owners) {
						t.Errorf("%d of %d records are handled", n, len(owners))
					}
				}
				round()
				round()
				if c.code != "" {
					sizes = slices.Delete(sizes, around/2, around/2+1)
				}
				var got []int
				for _, rec := range w.log("limited") {
					got = append(got, len(rec.Value))
				}
				if len(got) != 2*len(sizes) {
					t.Fatalf("%d records were delivered, want %d; %d dead letters", len(got), 2*len(sizes), len(w.log(w.names.Dead())))
				}
				got = got[len(sizes):]
				if diff := cmp.Diff(sizes, got); diff != "" {
					t.Errorf("sizes delivered (- want, + got):\n%s", diff)
				}
				for _, code := range w.codes() {
					if code != c.code {
						t.Errorf("dead letter %s", code)
					}
				}
				for _, rec := range w.log(w.names.Dead()) {
					detail, _ := record.Last(rec.Headers, levels.HeaderErrorDetail)
					if want := "and the topic takes " + c.limit + " (max.message.bytes)"; !strings.Contains(string(detail), want) {
						t.Errorf("dead letter: %s; want %q", detail, want)
					}
				}
			})
		})
	}
}

// TestPartitions: a partition that a topic does not have is nowhere to deliver to;
// one that it has had for a moment is.
func TestPartitions(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		put := func(value string, n int32) {
			w.send(new(owner), &kgo.Record{Value: []byte(value)}, Facts{Topic: "sick", ID: "id", Granted: "1s", Partition: n})
		}
		put("there", 0)
		time.Sleep(time.Second)
		if _, err := w.Admin.CreatePartitions(context.Background(), 1, "sick"); err != nil {
			t.Fatal(err)
		}
		put("new", 1)
		put("none", 2)
		time.Sleep(3 * time.Second)
		at := make(map[string]int32)
		for _, rec := range w.log("sick") {
			at[string(rec.Value)] = rec.Partition
		}
		if diff := cmp.Diff(map[string]int32{"there": 0, "new": 1}, at); diff != "" {
			t.Errorf("partitions delivered to (- want, + got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]levels.Code{"none": levels.BadPartition}, w.codes()); diff != "" {
			t.Errorf("dead letters (- want, + got):\n%s", diff)
		}
	})
}

// TestForeignParked: whatever stands in the parked topic can be handled.
func TestForeignParked(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		o := new(owner)
		w.redeliverOne(o, &kgo.Record{Topic: w.names.Parked(), Key: []byte("sick"), Value: []byte("1")})
		time.Sleep(time.Second)
		if diff := cmp.Diff(all(1, levels.Rejected), w.codes()); diff != "" || o.done.Load() == nil {
			t.Errorf("dead letters (- want, + got):\n%s", diff)
		}
	})
}

// TestRedeliverMixed: the parked records of one batch may be for several targets, some of
// which are not allowed any more, and some may not have been made by the service. Each
// target's arrive in order, while another target refuses all.
func TestRedeliverMixed(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		fault := w.refuse("sick", kerr.NotEnoughReplicas)
		batch, targets := w.out.NewBatch(batchRoom), &record.Targets{Names: w.names, Deny: []string{"denied"}}
		owners := make(map[string][]*owner)
		topics := []string{"apart", "apart", "sick", "denied"}
		for i := range batchRoom {
			topic, value := topics[i%len(topics)], []byte(strconv.Itoa(i))
			rec := record.Parked(&kgo.Record{Key: []byte("k"), Value: value}, w.names.Parked(), Facts{Topic: topic, ID: "id", Granted: "1s", Partition: ByKey})
			if i == 7 {
				topic, rec.Headers = "foreign", nil
			}
			o := new(owner)
			owners[topic] = append(owners[topic], o)
			batch.Redeliver(o, rec, targets)
		}
		batch.Send()
		time.Sleep(time.Second)
		wrote := func(topic string) []string { return texts(w.log(topic)) }
		var want []string
		for i := 0; i < batchRoom; i += 4 {
			want = append(want, strconv.Itoa(i), strconv.Itoa(i+1))
		}
		if diff := cmp.Diff(want, wrote("apart")); diff != "" {
			t.Errorf("delivered beside a target that refuses (- want, + got):\n%s", diff)
		}
		codes := map[string]levels.Code{"7": levels.Rejected}
		for i := 3; i < batchRoom; i += 4 {
			if i != 7 {
				codes[strconv.Itoa(i)] = levels.ForbiddenTarget
			}
		}
		if diff := cmp.Diff(codes, w.codes()); diff != "" {
			t.Errorf("dead letters (- want, + got):\n%s", diff)
		}
		fault.Remove()
		time.Sleep(5 * time.Second)
		want = nil
		for i := 2; i < batchRoom; i += 4 {
			want = append(want, strconv.Itoa(i))
		}
		if diff := cmp.Diff(want, wrote("sick")); diff != "" {
			t.Errorf("delivered when the target was healthy again (- want, + got):\n%s", diff)
		}
		for topic, all := range owners {
			if n := told(all); n != len(all) {
				t.Errorf("%d of %d owners of records for %s were told", n, len(all), topic)
			}
		}
	})
}

// TestGone: what has failed is not sent again when its partition is another's.
func TestGone(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		fault := w.refuse("sick", kerr.UnknownServerError)
		owners := w.deliverAll("sick", 10)
		time.Sleep(time.Second)
		for _, o := range owners[:9] {
			o.gone.Store(true)
		}
		fault.Remove()
		time.Sleep(10 * time.Second)
		if diff := cmp.Diff([]string{"10"}, texts(w.log("sick"))); diff != "" {
			t.Errorf("delivered (- want, + got):\n%s", diff)
		}
		if n := told(owners); n != 1 {
			t.Errorf("%d owners were told, want the one whose record was delivered", n)
		}
	})
}

// TestForgetsMissingTargets: franz-go would ask for every name that was ever
// invented, for ever.
func TestForgetsMissingTargets(t *testing.T) {
	virtual(t, Config{MissingTargetWait: time.Second}, func(w *world) {
		for i := range 100 {
			w.deliver("invented"+strconv.Itoa(i), strconv.Itoa(i+1))
		}
		time.Sleep(2 * idleQueue)
		w.out.mu.Lock()
		queues := len(w.out.queues)
		w.out.mu.Unlock()
		if queues != 2 {
			t.Errorf("%d queues are left, want those of the service's own topics", queues)
		}
		asked := w.Cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Metadata}, Topic: "invented7", Count: -1, Observe: true,
		})
		time.Sleep(time.Hour)
		if n := asked.Hits(); n > 0 {
			t.Errorf("the broker was asked %d times for a topic that nobody writes to", n)
		}
		if n := len(w.codes()); n != 100 {
			t.Errorf("%d dead letters, want 100", n)
		}
	})
}
