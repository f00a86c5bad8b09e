package deliver

import (
	"strings"
	"testing"
)

func TestDeliveryText(t *testing.T) {
	for d, name := range deliveryNames {
		got, err := ParseDelivery(name)
		if err != nil || got != Delivery(d) || got.String() != name {
			t.Errorf("%s is read as %s, %v", name, got, err)
		}
		text, err := got.MarshalText()
		if err != nil || string(text) != name {
			t.Errorf("%s is written as %s, %v", name, text, err)
		}
	}
	d := ExactlyOnce
	if err := d.UnmarshalText([]byte("once")); err == nil || !strings.Contains(err.Error(), `"once"`) || d != ExactlyOnce {
		t.Errorf("error %v, value %s; want one that quotes the word, and no change", err, d)
	}
	if got := Delivery(7).String(); got != "Delivery(7)" {
		t.Errorf("a value without a name is %q", got)
	}
}

func TestTransactionalID(t *testing.T) {
	if id := AtLeastOnce.TransactionalID("delay.router", "one"); id != "" {
		t.Errorf("at least once has the transactional id %q", id)
	}
	if id := ExactlyOnce.TransactionalID("delay.router", "one"); id != "delay.router-one" {
		t.Errorf("transactional id %q", id)
	}
	if a, b := ExactlyOnce.TransactionalID("g", ""), ExactlyOnce.TransactionalID("g", ""); a == b {
		t.Errorf("two members without a name share the transactional id %q", a)
	}
}
