//go:build synctests

package deliver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// registry stands for a cluster that knows the topics in exists.
type registry struct {
	mu        sync.Mutex
	exists    map[string]topicInfo
	takes     time.Duration
	fails     int // how many requests to fail
	requests  int
	asked     map[string]int
	underway  int
	atOnce    int
	longest   int
	announced map[string]int
}

func (r *registry) ask(ctx context.Context, topics []string) (map[string]topicInfo, error) {
	r.mu.Lock()
	r.requests++
	r.underway++
	r.atOnce, r.longest = max(r.atOnce, r.underway), max(r.longest, len(topics))
	fail := r.fails > 0
	r.fails--
	r.mu.Unlock()
	time.Sleep(r.takes)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.underway--
	if fail {
		return nil, errors.New("no broker")
	}
	infos := make(map[string]topicInfo)
	for _, topic := range topics {
		r.asked[topic]++
		info, ok := r.exists[topic]
		if !ok {
			info.err = kerr.UnknownTopicOrPartition
		}
		infos[topic] = info
	}
	return infos, nil
}

func (r *registry) changed(topics []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, topic := range topics {
		r.announced[topic]++
	}
}

// table runs test with a table whose cluster takes 5 ms for an answer.
func table(t *testing.T, test func(tt *topicTable, r *registry)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &registry{
			exists: map[string]topicInfo{"orders": {partitions: 3, limit: 1000}}, takes: 5 * time.Millisecond,
			asked: make(map[string]int), announced: make(map[string]int),
		}
		tt := newTopicTable(r.ask, r.changed)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); tt.run(ctx, func(error) {}) }()
		test(tt, r)
		cancel()
		<-done
	})
}

// pass lets time pass, and all that happens then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestTopicTable: a name is known after one question, an absent one for a second,
// and an existing one until nobody looks it up for a minute.
func TestTopicTable(t *testing.T) {
	table(t, func(tt *topicTable, r *registry) {
		known := func(topic string) (topicInfo, bool) { return tt.lookup(topic, time.Now()) }
		if _, ok := known("orders"); ok {
			t.Error("orders is known before anybody asked")
		}
		for range 3 {
			tt.want("orders")
			tt.want("nowhere")
		}
		pass(r.takes + time.Millisecond)
		if info, ok := known("orders"); !ok || info.err != nil || info.partitions != 3 || info.limit != 1000 {
			t.Errorf("orders: %+v, %t", info, ok)
		}
		if info, ok := known("nowhere"); !ok || !info.missing() {
			t.Errorf("nowhere: %+v, %t", info, ok)
		}
		if r.requests != 1 || r.asked["orders"] != 1 || r.announced["orders"] != 1 || r.announced["nowhere"] != 1 {
			t.Errorf("%d requests, asked %v, announced %v", r.requests, r.asked, r.announced)
		}
		pass(absentFor)
		if _, ok := known("nowhere"); ok {
			t.Error("an absent topic is believed for longer than absentFor")
		}
		if _, ok := known("orders"); !ok {
			t.Error("an existing topic is forgotten")
		}
		r.exists["nowhere"] = topicInfo{partitions: 1}
		tt.want("nowhere")
		pass(lookupPause + r.takes)
		if info, ok := known("nowhere"); !ok || info.err != nil {
			t.Errorf("nowhere exists: %+v, %t", info, ok)
		}
		for range 3 {
			pass(topicIdle / 2)
			known("orders")
			tt.sweep(time.Now())
		}
		if got := tt.topics(); len(got) != 1 || got[0] != "orders" {
			t.Errorf("%v are remembered", got)
		}
		pass(topicIdle + time.Second)
		tt.sweep(time.Now())
		if got := tt.topics(); len(got) != 0 {
			t.Errorf("%v are remembered", got)
		}
		requests := r.requests
		pass(time.Hour)
		if r.requests != requests {
			t.Errorf("%d requests while nobody wanted anything", r.requests-requests)
		}
	})
}

// TestTopicTableManyNames: 20,000 invented names take few requests, one at a time,
// and leave nothing behind. A name wanted behind them is known within 500 ms.
func TestTopicTableManyNames(t *testing.T) {
	table(t, func(tt *topicTable, r *registry) {
		const names = 20_000
		for i := range names {
			tt.want(fmt.Sprint("invented-", i))
		}
		tt.want("orders")
		pass(500 * time.Millisecond)
		if _, ok := tt.lookup("orders", time.Now()); !ok {
			t.Error("orders is not known after 500 ms")
		}
		for i := range names {
			if info, ok := tt.lookup(fmt.Sprint("invented-", i), time.Now()); !ok || !info.missing() {
				t.Fatalf("invented-%d: %+v, %t", i, info, ok)
			}
		}
		if r.requests > 2+names/lookupNames || r.atOnce != 1 || r.longest > lookupNames {
			t.Errorf("%d requests, %d at once, with up to %d names", r.requests, r.atOnce, r.longest)
		}
		pass(absentFor)
		tt.sweep(time.Now())
		if n := len(tt.topics()); n != 1 {
			t.Errorf("%d names are remembered, want 1", n)
		}
	})
}

// TestTopicTableBounds: what is kept of absent names is bounded, and so is the number
// of missing targets that are waited for.
func TestTopicTableBounds(t *testing.T) {
	table(t, func(tt *topicTable, r *registry) {
		for i := range 3 * maxAbsent {
			tt.want(fmt.Sprint(i))
			if i%1000 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		if n := len(tt.topics()); n > maxAbsent {
			t.Errorf("%d names are kept, more than %d", n, maxAbsent)
		}
		pass(2 * absentFor)
		tt.want("orders")
		pass(2 * lookupPause)
		if _, ok := tt.lookup("orders", time.Now()); !ok {
			t.Error("nothing is looked up any more after too many names")
		}
		for i := range maxAwaited {
			if !tt.await(fmt.Sprint(i)) {
				t.Fatalf("only %d targets may be waited for", i)
			}
		}
		if tt.await("one more") || !tt.await("0") {
			t.Error("one more may be waited for, or one that is may not")
		}
		tt.release("0")
		if !tt.await("one more") {
			t.Error("no room after a release")
		}
	})
}

// TestTopicTableFailure: a request that fails is repeated, and what was known stays.
func TestTopicTableFailure(t *testing.T) {
	table(t, func(tt *topicTable, r *registry) {
		tt.want("orders")
		pass(lookupPause)
		r.mu.Lock()
		r.fails = 5
		r.exists["orders"] = topicInfo{partitions: 4} // settings cannot be read
		r.mu.Unlock()
		tt.want("orders")
		if info, ok := tt.lookup("orders", time.Now()); !ok || info.partitions != 3 {
			t.Errorf("while it is looked up again: %+v, %t", info, ok)
		}
		pass(5*lookupRetry + time.Second)
		if info, ok := tt.lookup("orders", time.Now()); !ok || info.partitions != 4 || info.limit != 1000 {
			t.Errorf("after five failures: %+v, %t", info, ok)
		}
	})
}

// topics returns the names in the table.
func (t *topicTable) topics() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.answers.known))
}
