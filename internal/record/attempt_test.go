package record

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCause(t *testing.T) {
	long := strings.Repeat("ä", MaxCause)
	for value, want := range map[string]string{
		"":                     "",
		" \n\t ":               "",
		"timeout":              "timeout",
		" timeout\nafter 5s\n": "timeout after 5s",
		"\x1b[31mred":          "\ufffd[31mred",
		"caf\xe9":              "caf\ufffd",
		"abc\u202edef":         "abc\ufffddef",
		long:                   long[:MaxCause-4] + "...",
		long[:MaxCause]:        long[:MaxCause],
	} {
		if got := string(Cause([]byte(value))); got != want {
			t.Errorf("%.40q is %q, want %q", value, got, want)
		}
	}
}

// FuzzCause: whatever a consumer writes comes out as short text, and travels on unchanged.
func FuzzCause(f *testing.F) {
	f.Add([]byte("timeout"))
	f.Add([]byte("\x1b[2J\xff\u202e"))
	f.Add(bytes.Repeat([]byte("\U0001f4a3 "), 400))
	f.Add(append(bytes.Repeat([]byte("a"), 2*MaxCause-1), "ä"...))
	f.Fuzz(func(t *testing.T, value []byte) {
		cause := Cause(value)
		if len(cause) > MaxCause || !utf8.Valid(cause) || bytes.ContainsAny(cause, "\x00\x1b\n\r\t\u202e\u200f") {
			t.Fatalf("%q is %q", value, cause)
		}
		if again := Cause(cause); !bytes.Equal(again, cause) {
			t.Fatalf("%q is %q, and then %q", value, cause, again)
		}
	})
}
