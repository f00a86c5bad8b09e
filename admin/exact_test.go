package admin

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// TestResendExact: a letter that asked for an exact time, in a form that cannot be read or
// in two, is reported before it dies again; another delay takes the place of all of them.
func TestResendExact(t *testing.T) {
	h := func(kv ...string) (headers []kgo.RecordHeader) {
		for i := 0; i < len(kv); i += 2 {
			headers = append(headers, kgo.RecordHeader{Key: kv[i], Value: []byte(kv[i+1])})
		}
		return headers
	}
	for _, c := range []struct {
		headers []kgo.RecordHeader
		want    string // in what is said; "" for nothing
	}{
		{h("delay-for", "45m"), ""},
		{h("delay-until", "1798099200000"), ""},
		{h("delay-until", "1798099200"), "looks like seconds"},
		{h("delay-for", "3"), "a number without a unit"},
		{h("delay-for", "3s", "delay-level", "3s"), "write one of"},
	} {
		if why := cannotRead(c.headers); (why == "") != (c.want == "") || !strings.Contains(why, c.want) {
			t.Errorf("%v: %q, want %q", c.headers, why, c.want)
		}
		r := &resending{}
		r.Level = "10s"
		letter := &kgo.Record{Headers: c.headers}
		asked, refusal := record.ReadAsked(r.headers(letter, newLetter(letter)))
		if refusal != nil || asked.Key != levels.HeaderLevel || string(asked.Value) != "10s" {
			t.Errorf("%v sent with another delay asks for %q, %v", c.headers, asked.Value, refusal)
		}
	}
}

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
