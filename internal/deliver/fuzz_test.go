package deliver

import (
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
