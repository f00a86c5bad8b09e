package printable

import (
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "grüß 7 … \u00a0": "grüß 7 … \u00a0", "\x1b[2J": `"\x1b[2J"`, "a\nb": `"a\nb"`, "\xff": `"\xff"`,
		"\u202egnp.exe": `"\u202egnp.exe"`, "\u009b2J": `"\u009b2J"`, `"a"`: `"a"`, "\r": `"\r"`,
	} {
		if got := Text(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	if got, want := Lines("a\n\x1b[2J\nb"), "a\n\"\\x1b[2J\"\nb"; got != want {
		t.Errorf("lines: %q, want %q", got, want)
	}
}

func FuzzText(f *testing.F) {
	f.Add("\x1b[31mred\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		if safe := Text(s); strings.ContainsFunc(safe, hidden) || Text(safe) != safe {
			t.Errorf("%q becomes %q", s, safe)
		}
	})
}

func TestRanges(t *testing.T) {
	t.Parallel()
	for want, in := range map[string][]int32{"": nil, "3": {3}, "0-2,5": {0, 1, 2, 5}, "1,3": {1, 3}} {
		if got := Ranges(in); got != want {
			t.Errorf("Ranges(%d) = %q, want %q", in, got, want)
		}
	}
}
