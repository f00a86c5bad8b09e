package router

import (
	"strings"
	"testing"

	"github.com/delayd-io/delayd/levels"
)

func TestPolicyDefaults(t *testing.T) {
	p := Policy{}.WithDefaults()
	if p.Ladder.String() != levels.DefaultSpec || p.Names.Prefix != "delay" {
		t.Errorf("ladder %q, prefix %q", p.Ladder, p.Names.Prefix)
	}
	own, err := levels.Parse("5s 1h")
	if err != nil {
		t.Fatal(err)
	}
	p = Policy{Ladder: own, Names: levels.Names{Prefix: "shop"}}.WithDefaults()
	if p.Ladder.String() != "5s 1h" || p.Names.Prefix != "shop" {
		t.Errorf("what was set is gone: ladder %q, prefix %q", p.Ladder, p.Names.Prefix)
	}
}

func TestPolicyValidate(t *testing.T) {
	for _, c := range []struct {
		field  string // "" where it is valid
		change func(*Policy)
	}{
		{"", func(*Policy) {}},
		{"Policy.Ladder", func(p *Policy) { p.Ladder = levels.Ladder{} }},
		{"Policy.Names", func(p *Policy) { p.Names.Prefix = "a b" }},
		{"Policy.Rounding", func(p *Policy) { p.Rounding = 9 }},
		{"Policy.OverMax", func(p *Policy) { p.OverMax = -1 }},
		{"Policy.DefaultTarget", func(p *Policy) { p.DefaultTarget = "delay.inbox" }},
		{"Policy.AllowTargets", func(p *Policy) { p.AllowTargets = []string{"["} }},
		{"Policy.DenyTargets", func(p *Policy) { p.DenyTargets = []string{"["} }},
	} {
		p := defaults()
		c.change(p)
		err := p.Validate()
		if (err == nil) != (c.field == "") || err != nil && !strings.HasPrefix(err.Error(), c.field) {
			t.Errorf("error %v, want one of %q", err, c.field)
		}
	}
}

func TestOverMaxText(t *testing.T) {
	for o, name := range overMaxNames {
		got, err := ParseOverMax(name)
		if err != nil || got != OverMax(o) || got.String() != name {
			t.Errorf("%s is read as %s, %v", name, got, err)
		}
		text, err := got.MarshalText()
		if err != nil || string(text) != name {
			t.Errorf("%s is written as %s, %v", name, text, err)
		}
	}
	o := OverMaxReject
	if err := o.UnmarshalText([]byte("Clamp")); err == nil || !strings.Contains(err.Error(), `"Clamp"`) || o != OverMaxReject {
		t.Errorf("error %v, value %s; want one that quotes the word, and no change", err, o)
	}
	if got := OverMax(7).String(); got != "OverMax(7)" {
		t.Errorf("a value without a name is %q", got)
	}
}
