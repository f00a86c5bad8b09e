package levels_test

import (
	"strings"
	"testing"

	"github.com/delayd-io/delayd/levels"
)

// FuzzNames: a prefix that is taken makes names that Kafka takes, which are all ours
// and are told apart; and what it takes for a level's topic is one.
func FuzzNames(f *testing.F) {
	for _, prefix := range []string{"delay", "a", "_", "__", ".", "..", "a.", "a-b_c.d", "delay.level", strings.Repeat("p", 231), "ä", "\xff", "a b", ""} {
		f.Add(prefix, "delay.level.10s")
		f.Add(prefix, prefix+".level.60s")
	}
	f.Fuzz(func(t *testing.T, prefix, topic string) {
		n := levels.Names{Prefix: prefix}
		if err := n.Validate(); err != nil {
			if strings.ContainsAny(err.Error(), "\n\r\x1b\x00") {
				t.Fatalf("the error cannot be read: %q", err)
			}
			return
		}
		seen := make(map[string]bool)
		ours := []string{n.Inbox(), n.Parked(), n.Dead(), n.Resent()}
		for l := range levels.Default().All() {
			ours = append(ours, n.Level(l))
			if d, ok := n.LevelDelay(n.Level(l)); !ok || d != l.Delay {
				t.Fatalf("prefix %q: level %v is read as %v, %v", prefix, l, d, ok)
			}
		}
		for _, name := range ours {
			if seen[name] || levels.CheckTopic(name) != nil || !n.Owns(name) || strings.HasPrefix(name, "__") {
				t.Fatalf("prefix %q makes %q", prefix, name)
			}
			seen[name] = true
		}
		right, misspelt := n.Meant(topic)
		if again, _ := n.Meant(right); right != "" && (!misspelt || again != "" || levels.CheckTopic(right) != nil || !n.Owns(right)) {
			t.Fatalf("prefix %q: %q is taken for %q", prefix, topic, right)
		}
		if d, ok := n.LevelDelay(topic); ok && (n.Level(levels.Level{Delay: d}) != topic || !n.Owns(topic) || levels.CheckTopic(topic) != nil) {
			t.Fatalf("prefix %q: %q is read as the level %v", prefix, topic, d)
		}
	})
}

// FuzzTextFault: what is said of a header's value that is no plain text can be read,
// and says what to do.
func FuzzTextFault(f *testing.F) {
	for _, s := range []string{"10s", "orders", `"10s"`, "'", `"`, "b''", "{", "\ufeff", "\ufeff10s", "\xff\xfe1\x000\x00", "\x001\x000", "\x00\x00\x00\n",
		"\n\x00\x00\x00\x00\x00\x00\x00", "10\u0455", "\xac\xed\x00\x05t", `"` + strings.Repeat("a", 300) + `"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		what, fix := levels.TextFault(s)
		if (what == "") != (fix == "") || len(what)+len(fix) > 1000 ||
			strings.ContainsFunc(what+fix, func(r rune) bool { return (r < ' ' || r > '~') && r != '…' }) {
			t.Fatalf("%q: fault %q, fix %q", s, what, fix)
		}
	})
}
