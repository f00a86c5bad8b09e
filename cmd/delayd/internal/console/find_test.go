//go:build synctests

package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/internal/find"
	"github.com/delayd-io/delayd/levels"
)

// searching runs a test with a console over a broker that counts its requests.
func searching(t *testing.T, test func(t *testing.T, w *world, requests *atomic.Int64)) {
	t.Helper()
	fakekafka.Run(t, fakekafka.Config{}, func(t *testing.T, env *fakekafka.Env) {
		w := overBroker(t, env.Cluster, nil, kgo.Dialer(env.Network.DialContext))
		test(t, w, countRequests(env.Cluster))
	})
}

// wait puts a record on the level of an hour and returns its id.
func (w *world) wait(t *testing.T, value string) string {
	t.Helper()
	rec := &kgo.Record{Topic: "delay.level.1h", Key: []byte("k"), Value: []byte(value), Headers: []kgo.RecordHeader{{Key: levels.HeaderTarget, Value: []byte("orders")}}}
	if err := w.cl.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("delay.level.1h-%d-%d-%d", rec.Partition, rec.Offset, rec.Timestamp.UnixMilli())
}

// TestFindPage shows a record by its id: where it is, when it is due, what is in it and
// what was searched.
func TestFindPage(t *testing.T) {
	searching(t, func(t *testing.T, w *world, _ *atomic.Int64) {
		id := w.wait(t, `{"order":4711}`)
		w.die(t, levels.BadLevel, &kgo.Record{Value: []byte("dead")})
		answer := w.ask("GET", "/console/find?id="+id, "")
		body := answer.Body.String()
		if answer.Code != http.StatusOK || !contains(body, `<b class="state waiting">waiting</b> on level 1h`, `href="record?at=delay.level.1h/0/0"`, "<dt>Due</dt>", "orders",
			"&#34;order&#34;: 4711", "What was searched", `value="`+id+`"`) {
			t.Errorf("%d %s", answer.Code, body)
		}
		var found Found
		if err := json.Unmarshal(w.ask("GET", "/api/v1/find?id="+id, "").Body.Bytes(), &found); err != nil || found.State != find.Waiting || found.At.IsZero() {
			t.Errorf("%+v, %v", found, err)
		}
		if body := w.ask("GET", "/console/find?id=delay.inbox-0-0-7", "").Body.String(); !contains(body, ">dead</b>", "bad-level: because of dead") {
			t.Error(body)
		}
		answer = w.ask("GET", "/console/find?id=nobody", "")
		if body := answer.Body.String(); answer.Code != http.StatusOK || !contains(body, "not found</b>", "no target was searched", "delay.dead") {
			t.Errorf("%d %s", answer.Code, body)
		}
		// The form stays, with what is wrong.
		answer = w.ask("GET", "/console/find?id=x&target=delay.inbox", "")
		if body := answer.Body.String(); !contains(body, `id="wrong"`, "own topics", `name="id" type="search" value="x"`) {
			t.Errorf("%d %s", answer.Code, body)
		}
		if answer := w.ask("GET", "/console/record?at=delay.dead/0/0", ""); !strings.Contains(answer.Body.String(), `href="find?id=delay.inbox-0-0-7"`) {
			t.Errorf("a record does not lead to where it is: %s", answer.Body)
		}
	})
}

// TestFindsAreShared: all who search for the same record share one search, of those that
// search for different ones one is at work at a time, and few wait.
func TestFindsAreShared(t *testing.T) {
	searching(t, func(t *testing.T, w *world, requests *atomic.Int64) {
		id := w.wait(t, "v")
		ask := func(n int, path func(i int) string) (answers map[int]int) {
			codes := make(chan int)
			for i := range n {
				go func() { codes <- w.ask("GET", path(i), "").Code }()
			}
			answers = make(map[int]int)
			for range n {
				answers[<-codes]++
			}
			return answers
		}
		same := func(int) string { return "/api/v1/find?id=" + id }
		idle := requests.Load()
		ask(1, same)
		one := requests.Load() - idle
		time.Sleep(findEvery)
		before := requests.Load()
		if got := ask(20, same); got[http.StatusOK] != 20 {
			t.Errorf("answers %v", got)
		}
		if n := requests.Load() - before; n > one {
			t.Errorf("twenty viewers cost %d requests, one %d", n, one)
		}
		t.Logf("a search costs %d requests", one)
		got := ask(100, func(i int) string { return fmt.Sprintf("/api/v1/find?id=x%d", i) })
		if got[http.StatusOK] > maxReaders || got[http.StatusOK] == 0 || got[http.StatusServiceUnavailable] != 100-got[http.StatusOK] {
			t.Errorf("answers to a hundred different searches: %v, want at most %d", got, maxReaders)
		}
		if n := len(w.con.to.finds.list); n > findsKept {
			t.Errorf("%d answers are kept", n)
		}
	})
}

// TestFindIsBounded: a search for an id of a producer's reads a bounded part of what waits,
// and says so.
func TestFindIsBounded(t *testing.T) {
	searching(t, func(t *testing.T, w *world, _ *atomic.Int64) {
		w.produce(t, 30_000, func(i int) *kgo.Record {
			return &kgo.Record{Topic: "delay.level.1h", Headers: []kgo.RecordHeader{{Key: levels.HeaderTarget, Value: []byte("orders")}}}
		})
		var found Found
		body := w.ask("GET", "/api/v1/find?id=nobody", "").Body.Bytes()
		if err := json.Unmarshal(body, &found); err != nil || !found.Cut || found.Read > findRead || found.State != find.NotFound {
			t.Errorf("%s, %v", body, err)
		}
		if body := w.ask("GET", "/console/find?id=nobody", "").Body.String(); !contains(body, "the search ended at its limit", "--around") {
			t.Error(body)
		}
	})
}
