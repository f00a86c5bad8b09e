//go:build synctests

package endtoend

import (
	"bytes"
	"context"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

const (
	inventedNames = 20_000
	invented      = "invented-"
)

// asked counts the metadata requests with invented names, and the names in them.
type asked struct{ requests, names atomic.Int64 }

// note counts a request.
func (a *asked) note(req *kmsg.MetadataRequest) {
	n := int64(0)
	for _, t := range req.Topics {
		if t.Topic != nil && strings.HasPrefix(*t.Topic, invented) {
			n++
		}
	}
	if n > 0 {
		a.requests.Add(1)
		a.names.Add(n)
	}
}

// countAsked counts from now on.
func (w *world) countAsked() *asked {
	a := new(asked)
	w.Cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Metadata}, Count: -1, Observe: true, TopLevel: true,
		When: func(req kmsg.Request) bool {
			a.note(req.(*kmsg.MetadataRequest))
			return false
		},
	})
	return a
}

// deny has the broker say of invented names that they may not be described. Its answers
// are counted here: faults do not see them.
func (w *world) deny(a *asked) {
	meta, err := w.Admin.Metadata(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	w.Cluster.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.Cluster.KeepControl()
		m := req.(*kmsg.MetadataRequest)
		if len(m.Topics) == 0 {
			return nil, nil, false
		}
		resp := m.ResponseKind().(*kmsg.MetadataResponse)
		resp.ControllerID = meta.Controller
		for _, b := range meta.Brokers {
			rb := kmsg.NewMetadataResponseBroker()
			rb.NodeID, rb.Host, rb.Port = b.NodeID, b.Host, b.Port
			resp.Brokers = append(resp.Brokers, rb)
		}
		for _, t := range m.Topics {
			if t.Topic == nil {
				return nil, nil, false
			}
			rt := kmsg.NewMetadataResponseTopic()
			rt.Topic = t.Topic
			if strings.HasPrefix(*t.Topic, invented) {
				rt.ErrorCode = kerr.TopicAuthorizationFailed.Code
			} else {
				known := meta.Topics[*t.Topic]
				rt.TopicID = known.ID
				for _, p := range known.Partitions.Sorted() {
					rp := kmsg.NewMetadataResponseTopicPartition()
					rp.Partition, rp.Leader, rp.LeaderEpoch, rp.Replicas, rp.ISR = p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR
					rt.Partitions = append(rt.Partitions, rp)
				}
			}
			resp.Topics = append(resp.Topics, rt)
		}
		a.note(m)
		return resp, nil, true
	})
}

// lines counts what is logged, by the second of the world's clock.
type lines struct {
	mu    sync.Mutex
	most  int
	now   int
	since time.Time
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.since) >= time.Second {
		l.since, l.now = now, 0
	}
	l.now += bytes.Count(b, []byte("\n"))
	l.most = max(l.most, l.now)
	return len(b), nil
}

// heap is the memory in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestInventedNames has 20,000 records for as many targets that do not exist,
// or that may not be written, due within two seconds. Each is a dead letter, others are
// on time, and afterwards no client asks for these names any more.
func TestInventedNames(t *testing.T) {
	for _, denied := range []bool{false, true} {
		name, code := "missing", levels.UnknownTopic
		if denied {
			name, code = "denied", levels.NotAuthorized
		}
		t.Run(name, func(t *testing.T) {
			eachDelivery(t, func(t *testing.T, mode change) {
				virtual(t, "1s", []string{"well"}, func(w *world) {
					logged := new(lines)
					s := w.serve("one", mode, func(rc *router.Config, fc *forwarder.Config) {
						rc.Log, fc.Log = zerolog.New(logged), zerolog.New(logged)
					})
					defer s.stop()
					s.joined()
					a := w.countAsked()
					if denied {
						w.deny(a)
					}
					well, dead := w.watchCommitted("well"), w.watchCommitted(w.Names.Dead())
					end := w.each("well")
					time.Sleep(2 * time.Second)
					before := heap()
					for i := range inventedNames {
						w.Client.Produce(context.Background(), w.direct("1s", invented+strconv.Itoa(i), strconv.Itoa(i%20), strconv.Itoa(i)), nil)
						if i%100 == 99 {
							time.Sleep(10 * time.Millisecond)
						}
					}
					most := int64(0)
					for range 30 {
						time.Sleep(time.Second)
						most = max(most, heap()-before)
					}
					well.punctual(t, end(), largeLate)
					codes := make(map[string]int)
					for _, d := range dead.now() {
						codes[d.header(levels.HeaderError)]++
					}
					if len(codes) != 1 || codes[string(code)] != inventedNames {
						t.Errorf("dead letters %v, want %d × %s", codes, inventedNames, code)
					}
					if u := w.uncommitted("1s"); u != 0 {
						t.Errorf("%d offsets are not committed", u)
					}
					requests, names := a.requests.Load(), a.names.Load()
					t.Logf("%d requests for %d names; %d MB more in use at most, the broker's included; %d log lines in a second at most",
						requests, names, most>>20, logged.most)
					if requests > 1000 || names > 3*inventedNames {
						t.Errorf("%d requests for %d names", requests, names)
					}
					if logged.most > 100 {
						t.Errorf("%d log lines in a second", logged.most)
					}
					time.Sleep(3 * time.Minute)
					requests = a.requests.Load()
					time.Sleep(5 * time.Minute)
					if n := a.requests.Load() - requests; n > 0 {
						t.Errorf("%d requests for invented names in five idle minutes", n)
					}
				})
			})
		})
	}
}

// TestTopicsOfAnotherService refuses them as targets: a record for one pauses nothing
// there and forges nothing. Topics that only look like those are targets like any.
func TestTopicsOfAnotherService(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery func(*router.Config, *forwarder.Config), _ time.Duration) {
		virtual(t, "5s", []string{"orders.dead", "mail.inbox"}, func(w *world) {
			other := levels.Names{Prefix: "shop"}
			if _, err := admin.Ensure(context.Background(), w.Client, admin.Spec{Ladder: w.Ladder, Names: other, Partitions: 2, Replicas: -1}); err != nil {
				t.Fatal(err)
			}
			forbidden := []string{other.Control(), other.Dead(), other.Parked(), other.Inbox(), "shop.level.5s"}
			allowed := []string{"orders.dead", "mail.inbox"}
			dead, got := w.watchCommitted(w.Names.Dead()), w.watchCommitted(allowed...)
			theirs := w.watchCommitted(forbidden...)
			one := w.serve("one", delivery)
			for _, topic := range append(forbidden, allowed...) {
				w.send(w.request("0", topic, "level/5s", `{"paused":true}`), w.direct("5s", topic, "level/5s", `{"paused":true}`))
			}
			got.wait(2*len(allowed), time.Minute)
			for _, a := range dead.wait(2*len(forbidden), time.Minute) {
				detail := a.header(levels.HeaderErrorDetail)
				if a.header(levels.HeaderError) != string(levels.ForbiddenTarget) || !strings.Contains(detail, "it belongs to another delay service, with the prefix shop") {
					t.Errorf("%s: %s", a.header(levels.HeaderError), detail)
				}
			}
			if n := len(theirs.now()); n > 0 {
				t.Errorf("%d records reached topics of another service", n)
			}
			one.stop()
		})
	})
}
