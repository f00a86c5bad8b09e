//go:build synctests

package endtoend

import (
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// named is a header with a record's own id.
func named(id string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: levels.HeaderID, Value: []byte(id)}
}

var replaces = kgo.RecordHeader{Key: levels.HeaderReplace, Value: []byte("true")}

// cancel is a cancel of an id, without a key where key is "".
func (w *world) cancel(id, key string) *kgo.Record {
	rec := &kgo.Record{Topic: w.names.Inbox(), Partition: -1, Headers: []kgo.RecordHeader{{Key: levels.HeaderCancel, Value: []byte(id)}}}
	if key != "" {
		rec.Key = []byte(key)
	}
	return rec
}

// counts returns what arrived, as a set.
func counts(got []arrival) map[string]int {
	set := make(map[string]int)
	for _, a := range got {
		set[string(a.Value)]++
	}
	return set
}

// checkArrived compares what arrived with what was to, each once.
func checkArrived(t *testing.T, got []arrival, want ...string) {
	t.Helper()
	set := counts(got)
	for _, v := range want {
		if set[v] != 1 {
			t.Errorf("%q arrived %d times, want once", v, set[v])
		}
		delete(set, v)
	}
	for v, n := range set {
		t.Errorf("%q arrived %d times, and was cancelled", v, n)
	}
}

// TestCancel: records are cancelled by their own and by their default id, with and without a
// key, on a level and on their way to an exact time; all others arrive, and all offsets are
// committed.
func TestCancel(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, slack time.Duration) {
		virtual(t, "1s 5s 10s 1m", []string{"orders"}, func(w *world) {
			s := w.serve("one", delivery)
			defer s.stop()
			s.joined()
			got := w.watchCommitted("orders")
			exact := func(v, key string, d string, more ...kgo.RecordHeader) *kgo.Record {
				rec := w.request("", "orders", key, v, more...)
				rec.Headers[0] = kgo.RecordHeader{Key: levels.HeaderFor, Value: []byte(d)}
				return rec
			}
			keyless := func(rec *kgo.Record) *kgo.Record { rec.Key = nil; return rec }
			byDefault := w.request("10s", "orders", "d", "cancelled by its default id")
			w.send(
				w.request("10s", "orders", "a", "cancelled", named("1")),
				w.request("10s", "orders", "b", "the same id, another key", named("1")),
				w.request("10s", "orders", "a", "another id", named("2")),
				w.request("10s", "orders", "c", "cancelled without a key", named("3")),
				keyless(w.request("10s", "orders", "", "cancelled, keyless", named("4"))),
				exact("exact, cancelled", "e", "17300ms", named("5")),
				exact("exact", "e", "17301ms", named("6")),
				w.direct("10s", "orders", "f", "straight to a level, cancelled", named("7")),
				byDefault,
				w.request("10s", "orders", "d", "no id"),
			)
			time.Sleep(3 * time.Second)
			id := w.names.Inbox() + "-" + strconv.Itoa(int(byDefault.Partition)) + "-" + strconv.FormatInt(byDefault.Offset, 10) + "-" + strconv.FormatInt(byDefault.Timestamp.UnixMilli(), 10)
			w.send(w.cancel("1", "a"), w.cancel("3", ""), w.cancel("4", ""), w.cancel("5", "e"), w.cancel("7", "f"), w.cancel(id, "d"))
			time.Sleep(time.Second)
			w.send(w.request("10s", "orders", "a", "after the cancel", named("1")))
			time.Sleep(time.Minute)
			checkArrived(t, got.now(), "the same id, another key", "another id", "exact", "no id", "after the cancel")
			for _, a := range got.now() {
				if late := a.late(); late < 0 || late > slack {
					t.Errorf("%s arrived %v after its due time", a.Value, late)
				}
			}
			for l := range w.ladder.All() {
				if u := w.uncommitted(l.String()); u != 0 {
					t.Errorf("%d offsets of level %s are not committed", u, l)
				}
			}
		})
	})
}
