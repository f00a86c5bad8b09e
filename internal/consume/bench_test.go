package consume

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// BenchmarkLane is what a record costs from the fetch to the commit behind it, but
// for franz-go and the handler: a fetch of a thousand is appended, found due,
// taken, finished and committed.
func BenchmarkLane(b *testing.B) {
	const fetch = 1000
	now := time.Unix(1_700_000_000, 0)
	recs := make([]*kgo.Record, fetch)
	for i := range recs {
		recs[i] = newRecord(int64(i), now, appended)
		recs[i].Key, recs[i].Value = []byte("order-1234"), make([]byte, 200)
	}
	l := newTestLane()
	l.live.Store(true)
	l.led(new(clock), 0)
	l.topic.Handler = dueIn(0)
	batch := make([]*Work, 0, sendBatch)
	b.ReportAllocs()
	for range b.N / fetch {
		l.push(fetched(recs...), now)
		for {
			batch, _ = l.due(batch[:0], now)
			if len(batch) == 0 {
				break
			}
			if !l.claim(b.Context(), batch) {
				b.Fatal("a live lane got no slots")
			}
			for _, w := range batch {
				w.Done(now)
			}
		}
		p := l.prefix()
		if p.n != fetch {
			b.Fatalf("%d of %d can be committed", p.n, fetch)
		}
		l.commit(p)
	}
}
