package levels_test

import (
	"strings"
	"testing"

	"github.com/delayd-io/delayd/levels"
)

func TestDeliveryText(t *testing.T) {
	for d, name := range map[levels.Delivery]string{levels.AtLeastOnce: "at-least-once", levels.ExactlyOnce: "exactly-once"} {
		got, err := levels.ParseDelivery(name)
		if err != nil || got != d || got.String() != name {
			t.Errorf("%s is read as %s, %v", name, got, err)
		}
		text, err := got.MarshalText()
		if err != nil || string(text) != name {
			t.Errorf("%s is written as %s, %v", name, text, err)
		}
	}
	d := levels.ExactlyOnce
	if err := d.UnmarshalText([]byte("once")); err == nil || !strings.Contains(err.Error(), `"once"`) || d != levels.ExactlyOnce {
		t.Errorf("error %v, value %s; want one that quotes the word, and no change", err, d)
	}
	if got := levels.Delivery(7).String(); got != "Delivery(7)" {
		t.Errorf("a value without a name is %q", got)
	}
}
