package deliver

import (
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestOneLargeRecordInABatch: a batch takes the memory that its records take, and not
// that of as many as it has room for, each like the largest. Nor does it keep it.
func TestOneLargeRecordInABatch(t *testing.T) {
	const headerBytes = 40
	for name, c := range map[string]struct {
		src   kgo.Record
		facts Facts
		takes uint64
	}{
		"400,000 empty headers": {kgo.Record{Headers: make([]kgo.RecordHeader, 400_000)}, Facts{Topic: "orders"}, 400_000 * headerBytes},
		"a forged id of 1 MB":   {kgo.Record{}, Facts{Topic: "orders", ID: strings.Repeat("x", 1_000_000)}, 1_000_000},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		b := newBatch(batchRoom)
		b.Deliver(nil, &c.src, c.facts)
		b.Deliver(nil, &kgo.Record{Topic: "delay.level.10s"}, Facts{Topic: "orders"})
		runtime.ReadMemStats(&after)
		const others = 1 << 20
		if n := after.TotalAlloc - before.TotalAlloc; n > c.takes+others {
			t.Errorf("%s: %d bytes allocated for %d", name, n, c.takes)
		}
		if n := cap(b.headers)*headerBytes + cap(b.values.buf); n > others {
			t.Errorf("%s: the batch keeps %d bytes", name, n)
		}
		if n := len(b.records[0].Headers); n != len(c.src.Headers)+4 {
			t.Errorf("%s: %d headers, want %d", name, n, len(c.src.Headers)+4)
		}
	}
}
