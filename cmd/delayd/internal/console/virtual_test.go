//go:build synctests

package console

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/levels"
)

// countRequests counts those that a broker gets from now on.
func countRequests(broker *kfake.Cluster) *atomic.Int64 {
	requests := new(atomic.Int64)
	broker.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		requests.Add(1)
		return nil, nil, false
	})
	return requests
}

// requestsOf counts the requests that a broker gets while do runs, on virtual time, with
// records that come due in every minute of the hour.
func requestsOf(t *testing.T, do func(*testing.T, *world)) (n int64) {
	t.Helper()
	fakekafka.Run(t, fakekafka.Config{}, func(t *testing.T, env *fakekafka.Env) {
		w := overBroker(t, env.Cluster, nil, kgo.Dialer(env.Network.DialContext))
		for minute := range 60 {
			rec := &kgo.Record{Topic: "delay.level.1h", Timestamp: time.Now().Add(time.Duration(minute+1)*time.Minute - time.Hour)}
			if rec.Timestamp.After(time.Now()) {
				break
			}
			if err := w.cl.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		w.die(t, levels.BadLevel, &kgo.Record{Value: []byte("v")})
		requests := countRequests(env.Cluster)
		do(t, w)
		n = requests.Load()
	})
	return n
}

// watched is for how long consoles are open in these tests.
const watched = 5 * time.Minute

// viewers look at a page of their own each, as often as a browser does.
func viewers(n int, paths ...string) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		done := make(chan struct{})
		for i := range n {
			go func() {
				defer func() { done <- struct{}{} }()
				time.Sleep(time.Duration(i) * 137 * time.Millisecond)
				for begun := time.Now(); time.Since(begun) < watched; time.Sleep(lookEvery) {
					if answer := w.ask("GET", paths[i%len(paths)], ""); answer.Code != http.StatusOK {
						t.Errorf("%s: %d %s", paths[i%len(paths)], answer.Code, answer.Body)
						return
					}
				}
			}()
		}
		for range n {
			<-done
		}
	}
}

// statusWatch looks as `delayd admin status --watch` does.
func statusWatch(t *testing.T, w *world) {
	for begun := time.Now(); time.Since(begun) < watched; time.Sleep(2 * time.Second) {
		if _, err := admin.Inspect(t.Context(), w.cl, spec(t), time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, err := admin.Pauses(t.Context(), w.cl, levels.Names{}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestViewersShareALook: twenty viewers cost the broker what one does, and less than one
// status --watch.
func TestViewersShareALook(t *testing.T) {
	live := []string{"/console/", "/console/due", "/api/v1/due", "/console/targets", "/console/instances"}
	one, twenty := requestsOf(t, viewers(1, "/console/due")), requestsOf(t, viewers(20, live...))
	status := requestsOf(t, statusWatch)
	t.Logf("requests in %v: one viewer %d, twenty %d, status --watch %d", watched, one, twenty, status)
	// Twenty viewers ask at other moments than one does: a look begins a little earlier.
	if twenty > one+one/4 {
		t.Errorf("twenty viewers cost %d requests, one %d", twenty, one)
	}
	if twenty > status {
		t.Errorf("twenty viewers cost %d requests, status --watch %d", twenty, status)
	}
	// The two clients learn who leads what all the time, as every client does.
	if idle := requestsOf(t, func(*testing.T, *world) { time.Sleep(watched) }); idle > 60 {
		t.Errorf("a console that nobody looks at costs %d requests", idle)
	}
}

// TestBrokersAway: what was seen last stays, with the time and the reason, and a viewer
// does not wait for it for long.
func TestBrokersAway(t *testing.T) {
	fakekafka.Run(t, fakekafka.Config{}, func(t *testing.T, env *fakekafka.Env) {
		w := overBroker(t, env.Cluster, nil, kgo.Dialer(env.Network.DialContext), kgo.RetryTimeout(10*time.Second))
		first := w.ask("GET", "/api/v1/levels", "")
		time.Sleep(time.Minute)
		var away atomic.Bool
		away.Store(true)
		env.Cluster.ControlKey(int16(kmsg.OffsetFetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
			env.Cluster.KeepControl()
			if !away.Load() {
				return nil, nil, false
			}
			resp := kreq.ResponseKind().(*kmsg.OffsetFetchResponse)
			for _, g := range kreq.(*kmsg.OffsetFetchRequest).Groups {
				rg := kmsg.NewOffsetFetchResponseGroup()
				rg.Group, rg.ErrorCode = g.Group, 30 // GROUP_AUTHORIZATION_FAILED
				resp.Groups = append(resp.Groups, rg)
			}
			resp.ErrorCode = 30
			return resp, nil, true
		})
		began := time.Now()
		stale := w.ask("GET", "/console/", "")
		if took := time.Since(began); took > patience {
			t.Errorf("a viewer waited for %v", took)
		}
		if body := stale.Body.String(); stale.Code != http.StatusOK || !contains(body, "The brokers cannot be asked", "GROUP_AUTHORIZATION_FAILED") {
			t.Errorf("first %d, then %d %s", first.Code, stale.Code, body)
		}
		away.Store(false)
		time.Sleep(lookEvery)
		if again := w.ask("GET", "/console/", ""); contains(again.Body.String(), "cannot be asked") {
			t.Errorf("they can be asked again: %s", again.Body)
		}
	})
}

func contains(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
