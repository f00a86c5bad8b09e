package admin

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

func pairs(keysAndValues ...string) (h []kgo.RecordHeader) {
	for i := 0; i < len(keysAndValues); i += 2 {
		h = append(h, kgo.RecordHeader{Key: keysAndValues[i], Value: []byte(keysAndValues[i+1])})
	}
	return h
}

func TestRetriedInWords(t *testing.T) {
	for _, c := range []struct {
		headers []kgo.RecordHeader
		want    string
	}{
		{pairs("x", "1"), ""},
		{pairs("delay-attempt", "3"), "retry 3"},
		{pairs("delay-attempt", "3", "delay-retry-cause", "timeout"), "retry 3: timeout"},
		{pairs("delay-attempt", "3", "delay-retry-cause", "b", "delay-retry-first-cause", "a"), "retry 3: b; at first: a"},
		{pairs("delay-attempt", "1", "delay-retry-cause", "a", "delay-retry-first-cause", "a"), "retry 1: a"},
		{pairs("delay-attempt", "x", "delay-retry-cause", "a"), "not retried: a"},
		{pairs("delay-attempt", "2", "delay-retry-first-cause", "a"), "retry 2; at first: a"},
		{pairs("delay-attempt", "2", "delay-retry-cause", "\x1b[2J\xff"+strings.Repeat("\u202e", 10)), "retry 2: \ufffd[2J\ufffd" + strings.Repeat("\ufffd", 10)},
	} {
		rec := &kgo.Record{Headers: c.headers}
		if got := NewRetried(rec).String(); got != c.want {
			t.Errorf("%q: %q, want %q", c.headers, got, c.want)
		}
		if l := newLetter(rec); (l.Retried == nil) != (c.want == "") {
			t.Errorf("%q: the letter has %v", c.headers, l.Retried)
		}
	}
}

// TestResendRetried: a letter of a record that was sent back keeps its id, and is not
// counted twice or for nothing.
func TestResendRetried(t *testing.T) {
	names := levels.Names{Prefix: "delay"}
	sent := pairs("x", "1", "delay-id", "a", "delay-granted", "1s", "delay-attempt", "16", "delay-retry-policy", "1s", "delay-level", "retry", "delay-target", "orders")
	routed := pairs("x", "1", "delay-id", "a", "delay-level", "retry", "delay-target", "orders", "delay-attempt", "3")
	for name, c := range map[string]struct {
		headers             []kgo.RecordHeader
		code, origin, level string
		way                 string
		want                []kgo.RecordHeader
	}{
		"after the last retry": {sent, "retries-exhausted", "delay.inbox/0/1", "", "delay.inbox",
			pairs("x", "1", "delay-id", "a", "delay-retry-policy", "1s", "delay-level", "retry", "delay-target", "orders")},
		"at once": {sent, "retries-exhausted", "delay.inbox/0/1", "0", "delay.inbox",
			pairs("x", "1", "delay-id", "a", "delay-retry-policy", "1s", "delay-target", "orders", "delay-level", "0")},
		"from a consumer's topic": {sent, "retries-exhausted", "orders/0/1", "", "delay.inbox",
			pairs("x", "1", "delay-id", "a", "delay-retry-policy", "1s", "delay-level", "retry", "delay-target", "orders")},
		"for another reason": {sent, "no-target", "delay.inbox/0/1", "", "delay.inbox",
			pairs("x", "1", "delay-id", "a", "delay-attempt", "16", "delay-retry-policy", "1s", "delay-level", "retry", "delay-target", "orders")},
		"from its level": {routed, "unknown-topic", "delay.level.1m/0/1", "", "delay.level.1m",
			pairs("x", "1", "delay-id", "a", "delay-target", "orders", "delay-attempt", "3")},
		"straight to a level": {routed, "bad-retry", "delay.level.1m/0/1", "", "delay.inbox", routed},
		"with a policy that nobody can read": {pairs("delay-level", "retry", "delay-retry-policy", "soon", "delay-attempt", "x"), "bad-retry", "delay.inbox/0/1",
			"10s", "delay.inbox", pairs("delay-level", "10s")},
		"not a retry": {pairs("delay-granted", "1s", "delay-attempt", "3", "delay-level", "10s"), "no-target", "delay.inbox/0/1", "", "delay.inbox",
			pairs("delay-granted", "1s", "delay-attempt", "3", "delay-level", "10s")},
	} {
		letter := &kgo.Record{Topic: "delay.dead", Headers: append(c.headers[:len(c.headers):len(c.headers)],
			pairs("delay-error", c.code, "delay-error-detail", "why", "delay-origin", c.origin, "delay-attempts", "0")...)}
		r := &resending{names: names}
		r.Level = c.level
		l := newLetter(letter)
		if diff := cmp.Diff(c.want, r.headers(letter, l)); diff != "" || r.way(l) != c.way {
			t.Errorf("%s: to %s (- want, + got):\n%s", name, r.way(l), diff)
		}
	}
	for header, want := range map[string]string{"delay-attempt": "is not a number of retries", "delay-retry-policy": "wait 1"} {
		if why := cannotRead(pairs("delay-level", "retry", header, "x")); !strings.Contains(why, want) {
			t.Errorf("%s: %q", header, why)
		}
	}
	if why := cannotRead(pairs("delay-level", "retry")); why != "" {
		t.Error(why)
	}
}
