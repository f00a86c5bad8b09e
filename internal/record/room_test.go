package record

import (
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// TestOneLargeRecordInARoom: a room takes the memory that its records take, and not
// that of as many as its batch holds, each like the largest. Nor does it keep it.
func TestOneLargeRecordInARoom(t *testing.T) {
	const headerBytes = 40
	for name, c := range map[string]struct {
		src   kgo.Record
		facts levels.Facts
		takes uint64
	}{
		"400,000 empty headers": {kgo.Record{Headers: make([]kgo.RecordHeader, 400_000)}, levels.Facts{Topic: "orders"}, 400_000 * headerBytes},
		"a forged id of 1 MB":   {kgo.Record{}, levels.Facts{Topic: "orders", ID: strings.Repeat("x", 1_000_000)}, 1_000_000},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var room Room
		large := room.Final(&c.src, Read(c.src.Headers), &c.facts, 64)
		room.Final(&kgo.Record{Topic: "delay.level.10s"}, Read(nil), &levels.Facts{Topic: "orders"}, 63)
		runtime.ReadMemStats(&after)
		const others = 1 << 20
		if n := after.TotalAlloc - before.TotalAlloc; n > c.takes+others {
			t.Errorf("%s: %d bytes allocated for %d", name, n, c.takes)
		}
		if n := cap(room.headers)*headerBytes + cap(room.values.buf); n > others {
			t.Errorf("%s: the room keeps %d bytes", name, n)
		}
		if n := len(large); n != len(c.src.Headers)+4 {
			t.Errorf("%s: %d headers, want %d", name, n, len(c.src.Headers)+4)
		}
	}
}
