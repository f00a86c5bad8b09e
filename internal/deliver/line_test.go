//go:build synctests

package deliver

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/record"
)

// TestBatchesAreFull: records that wait for a target while one batch is in flight leave
// together, as many as the topic's limit allows: a drain and a release make few requests.
func TestBatchesAreFull(t *testing.T) {
	virtual(t, Config{}, func(w *world) {
		const n, size = 8_000, 100
		var requests atomic.Int64
		w.Cluster.ControlKey(kmsg.Produce.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.Cluster.KeepControl()
			requests.Add(1)
			return nil, nil, false
		})
		first := w.deliver("sick", "first")
		time.Sleep(time.Second)
		w.slow.Store(int64(100 * time.Millisecond))
		owners := []*owner{first, w.deliver("sick", "in flight")}
		time.Sleep(10 * time.Millisecond)
		for range n {
			owners = append(owners, w.deliver("sick", incompressible(size)))
		}
		time.Sleep(10 * time.Second)
		if told(owners) != len(owners) {
			t.Fatalf("%d of %d records were written", told(owners), len(owners))
		}
		var bytes int64
		for _, rec := range w.log("sick") {
			bytes += record.AddedBytes(record.BatchBytes(rec))
		}
		if most := 2 + bytes/defaultBatchBytes + 1; requests.Load() > most {
			t.Errorf("%d records of %d bytes took %d requests, want at most %d", len(owners), bytes, requests.Load(), most)
		}
	})
}
