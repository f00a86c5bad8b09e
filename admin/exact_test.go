package admin

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// TestPeekExact: a record that walks is due at the end of its walk.
func TestPeekExact(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	direct := &kgo.Record{Topic: "delay.level.30m", Timestamp: at, Headers: []kgo.RecordHeader{{Key: levels.HeaderFor, Value: []byte("45m")}}}
	due := at.Add(45*time.Minute + time.Millisecond)
	routed := record.Hop(direct, "delay.level.30m", levels.Facts{Due: due.UnixMilli(), Accepted: at.UnixMilli(), Granted: levels.GrantedExact, ID: "x"})
	routed.Timestamp = at
	for name, rec := range map[string]*kgo.Record{"direct": direct, "routed": routed} {
		if got := dueAt(rec, 30*time.Minute); !got.Equal(due) {
			t.Errorf("%s: due at %v, want %v", name, got, due)
		}
	}
}
