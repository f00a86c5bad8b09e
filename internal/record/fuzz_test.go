package record

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/delayd-io/delayd/levels"
)

// FuzzTargets: no pattern and no prefix lets a record go where none may, and every
// refusal can be read.
func FuzzTargets(f *testing.F) {
	f.Add("delay", "orders.*", "*.audit", "orders.x")
	f.Add("delay", "*", "", "delay.level.10s")
	f.Add("a.b", "[a-z]*", "[", "__consumer_offsets")
	f.Add("delay", "delay*", "\\", "delay.inbox")
	f.Add("d", "", "", "../etc/passwd")
	f.Add("delay", "orders", "", "orders\n\x1b[2J\xff")
	f.Fuzz(func(t *testing.T, prefix, allow, deny, topic string) {
		targets := Targets{Names: levels.Names{Prefix: prefix}}
		if allow != "" {
			targets.Allow = []string{allow}
		}
		if deny != "" {
			targets.Deny = []string{deny}
		}
		if targets.Names.Validate() != nil || targets.Validate() != nil {
			return // the service does not start with it
		}
		refusal := targets.Check(topic)
		if refusal == nil {
			if levels.CheckTopic(topic) != nil || strings.HasPrefix(topic, "__") || targets.Names.Owns(topic) || topic == deny {
				t.Fatalf("%q may be delivered to", topic)
			}
			return
		}
		if refusal.Code == "" || refusal.Detail == "" || strings.ContainsAny(refusal.Detail, "\n\r\x1b\x00") {
			t.Fatalf("refused as %+v", refusal)
		}
	})
}

// FuzzPatterns: a pattern is taken or refused in words that can be read. The globs to
// write instead of a regular expression are taken, and match every topic that it
// matches as a whole.
func FuzzPatterns(f *testing.F) {
	for _, p := range []string{"^orders\\..*$", "(orders|payments)\\.v[0-9]+", "orders(-dlq)?", ".*secret.*", "\\w{2,3}", "[^a]b", "(?i)orders", "[[:alpha:]]", "a.c", "[a-", "(a*)+", "\xff"} {
		f.Add(p, "orders.v1")
		f.Add(p, "payments.v22")
		f.Add(p, "orders-dlq")
	}
	f.Fuzz(func(t *testing.T, p, topic string) {
		if err := validatePatterns("AllowTargets", []string{p}); err != nil && strings.ContainsAny(err.Error(), "\n\r\x1b\x00") {
			t.Fatalf("refused as %q", err)
		}
		re, err := regexp.Compile("^(?:" + p + ")$")
		globs := globsFor(p)
		if err != nil || globs == nil || levels.CheckTopic(topic) != nil {
			return
		}
		matches := func(g string) bool { ok, err := path.Match(g, topic); return ok && err == nil }
		if re.MatchString(topic) && !slices.ContainsFunc(globs, matches) {
			t.Fatalf("%q matches %q, and %q do not", p, topic, globs)
		}
	})
}
