package deadletter

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// TestResendRetried: a letter of a record that was sent back keeps its id, and is not
// counted twice or for nothing.
func TestResendRetried(t *testing.T) {
	names := levels.Names{Prefix: "delay"}
	sent := h("x", "1", "delay-id", "a", "delay-granted", "1s", "delay-attempt", "16", "delay-retry-policy", "1s", "delay-level", "retry", "delay-target", "orders")
	routed := h("x", "1", "delay-id", "a", "delay-level", "retry", "delay-target", "orders", "delay-attempt", "3")
	for name, c := range map[string]struct {
		headers             []kgo.RecordHeader
		code, origin, level string
		way                 string
		want                []kgo.RecordHeader
	}{
		"after the last retry": {sent, "retries-exhausted", "delay.inbox/0/1", "", "delay.inbox",
			h("x", "1", "delay-id", "a", "delay-retry-policy", "1s", "delay-level", "retry", "delay-target", "orders")},
		"at once": {sent, "retries-exhausted", "delay.inbox/0/1", "0", "delay.inbox",
			h("x", "1", "delay-id", "a", "delay-retry-policy", "1s", "delay-target", "orders", "delay-level", "0")},
		"from a consumer's topic": {sent, "retries-exhausted", "orders/0/1", "", "delay.inbox",
			h("x", "1", "delay-id", "a", "delay-retry-policy", "1s", "delay-level", "retry", "delay-target", "orders")},
		"for another reason": {sent, "no-target", "delay.inbox/0/1", "", "delay.inbox",
			h("x", "1", "delay-id", "a", "delay-attempt", "16", "delay-retry-policy", "1s", "delay-level", "retry", "delay-target", "orders")},
		"from its level": {routed, "unknown-topic", "delay.level.1m/0/1", "", "delay.level.1m",
			h("x", "1", "delay-id", "a", "delay-target", "orders", "delay-attempt", "3")},
		"straight to a level": {routed, "bad-retry", "delay.level.1m/0/1", "", "delay.inbox", routed},
		"with a policy that nobody can read": {h("delay-level", "retry", "delay-retry-policy", "soon", "delay-attempt", "x"), "bad-retry", "delay.inbox/0/1",
			"10s", "delay.inbox", h("delay-level", "10s")},
		"not a retry": {h("delay-granted", "1s", "delay-attempt", "3", "delay-level", "10s"), "no-target", "delay.inbox/0/1", "", "delay.inbox",
			h("delay-granted", "1s", "delay-attempt", "3", "delay-level", "10s")},
	} {
		letter := &kgo.Record{Topic: "delay.dead", Headers: append(c.headers[:len(c.headers):len(c.headers)],
			h("delay-error", c.code, "delay-error-detail", "why", "delay-origin", c.origin, "delay-attempts", "0")...)}
		r := &resending{names: names}
		r.Level = c.level
		l := newLetter(letter)
		if diff := cmp.Diff(c.want, r.headers(letter, l)); diff != "" || r.way(l) != c.way {
			t.Errorf("%s: to %s (- want, + got):\n%s", name, r.way(l), diff)
		}
	}
	for header, want := range map[string]string{"delay-attempt": "is not a number of retries", "delay-retry-policy": "wait 1"} {
		if why := cannotRead(h("delay-level", "retry", header, "x")); !strings.Contains(why, want) {
			t.Errorf("%s: %q", header, why)
		}
	}
	if why := cannotRead(h("delay-level", "retry")); why != "" {
		t.Error(why)
	}
}
