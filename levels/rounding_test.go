package levels_test

import (
	"testing"

	"github.com/delayd-io/delayd/levels"
)

func TestRoundingText(t *testing.T) {
	for want, r := range map[string]levels.Rounding{"nearest": levels.Nearest, "up": levels.Up, "down": levels.Down} {
		if got := r.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
		text, err := r.MarshalText()
		if err != nil || string(text) != want {
			t.Errorf("%s: MarshalText() = %q, %v", want, text, err)
		}
		back := levels.Rounding(-1)
		if err := back.UnmarshalText(text); err != nil || back != r {
			t.Errorf("UnmarshalText(%q) = %v, %v", text, back, err)
		}
	}
	var unset levels.Rounding
	if unset != levels.Nearest {
		t.Errorf("the zero Rounding is %s, want nearest", unset)
	}
}

func TestRoundingRefuses(t *testing.T) {
	for _, s := range []string{"", "Up", "ceil", " up", "0"} {
		if r, err := levels.ParseRounding(s); err == nil {
			t.Errorf("ParseRounding(%q) = %s, want an error", s, r)
		}
	}
	_, err := levels.ParseRounding("ceil")
	checkMessage(t, "ParseRounding", "ceil", err, `rounding "ceil": write nearest, up, down or exact`)

	r := levels.Down
	if err := r.UnmarshalText([]byte("ceil")); err == nil || r != levels.Down {
		t.Errorf("UnmarshalText(ceil) = %v, and the value is %s, want an error and down", err, r)
	}
}

func TestRoundingWithoutName(t *testing.T) {
	for _, r := range []levels.Rounding{-1, 4} {
		if text, err := r.MarshalText(); err == nil {
			t.Errorf("MarshalText() = %q, want an error", text)
		}
	}
	if got := levels.Rounding(4).String(); got != "Rounding(4)" {
		t.Errorf("String() = %q, want Rounding(4)", got)
	}
}
