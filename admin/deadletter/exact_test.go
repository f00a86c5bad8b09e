package deadletter

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// TestResendExact: a letter that asked for an exact time, in a form that cannot be read or
// in two, is reported before it dies again; another delay takes the place of all of them.
func TestResendExact(t *testing.T) {
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
