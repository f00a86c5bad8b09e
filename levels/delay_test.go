package levels_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/delayd-io/delayd/levels"
	"pgregory.net/rapid"
)

const day = 24 * time.Hour

func TestParseDelay(t *testing.T) {
	tests := []struct {
		s    string
		want time.Duration
	}{
		{"10s", 10 * time.Second},
		{"1m30s", 90 * time.Second},
		{"1.5s", 1500 * time.Millisecond},
		{"1d", day},
		{"0.5d", 12 * time.Hour},
		{"1d12h", 36 * time.Hour},
		{"12h1d", 36 * time.Hour}, // any order, as in Go
		{"1d1d", 2 * day},         // and more than once
		{"106751d", 106751 * day},
		{"106751d23h47m16.854775807s", math.MaxInt64},
		{"0s", 0},
		{"0d", 0},
		{"1d0.000000001s", day + 1},
	}
	for _, tt := range tests {
		got, err := levels.ParseDelay(tt.s)
		if err != nil || got != tt.want {
			t.Errorf("ParseDelay(%q) = %s, %v, want %s", tt.s, got, err, tt.want)
		}
	}
}

// The whole messages: they are the detail of a dead letter.
func TestParseDelayRefuses(t *testing.T) {
	const allowed = "; write a duration such as 10s, 1m30s, 2h or 1d"
	tests := []struct{ s, want string }{
		{"", `delay "": empty`},
		{"0", `delay "0": "0" has no unit`},
		{"10", `delay "10": "10" has no unit`},
		{"1h30", `delay "1h30": "30" has no unit`},
		{"1.5", `delay "1.5": "1.5" has no unit`},
		{"-5s", `delay "-5s": a sign is not allowed`},
		{"+5s", `delay "+5s": a sign is not allowed`},
		{"-0", `delay "-0": a sign is not allowed`},
		{"-", `delay "-": a sign is not allowed`},
		{"5s-1s", `delay "5s-1s": unknown unit "s-", units are d, h, m, s, ms, us and ns`},
		{"10 s", `delay "10 s": spaces are not allowed`},
		{" 10s", `delay " 10s": spaces are not allowed`},
		{"10s\r\n", `delay "10s\r\n": spaces are not allowed`},
		{"10\u00a0s", `delay "10\u00a0s": spaces are not allowed`}, // a space that looks like one and is not ASCII
		{"10w", `delay "10w": unknown unit "w", units are d, h, m, s, ms, us and ns`},
		{"10S", `delay "10S": unknown unit "S", units are d, h, m, s, ms, us and ns`},
		{"s", `delay "s": does not begin with a number`},
		{"soon", `delay "soon": does not begin with a number`},
		{".s", `delay ".s": "." is not a number`},
		{".", `delay ".": "." is not a number`},
		{"1.2.3s", `delay "1.2.3s": "1.2.3" is not a number`},
		{"1..s", `delay "1..s": "1.." is not a number`},
		{"106752d", `delay "106752d": longer than 106751d`},
		{"106751d1d", `delay "106751d1d": longer than 106751d`},
		{"9223372036854775808ns", `delay "9223372036854775808ns": longer than 106751d`},
		{"9223372036854775807.9ns", ""}, // the fraction of a nanosecond is cut
		{"106751.99999d", `delay "106751.99999d": longer than 106751d`},
		{"99999999999999999999ns", `delay "99999999999999999999ns": longer than 106751d`},
		{"\xff\xfe", `delay "\xff\xfe": does not begin with a number`},
		{strings.Repeat("9", 80) + "s", `delay "` + strings.Repeat("9", 64) + `"… (81 bytes): longer than 106751d`},
		{strings.Repeat("\xff", 80), `delay "` + strings.Repeat(`\xff`, 64) + `"… (80 bytes): does not begin with a number`},
	}
	for _, tt := range tests {
		d, err := levels.ParseDelay(tt.s)
		if tt.want == "" {
			if err != nil {
				t.Errorf("ParseDelay(%q): %v", tt.s, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("ParseDelay(%q) = %s, want an error", tt.s, d)
			continue
		}
		if got := err.Error(); got != tt.want+allowed {
			t.Errorf("ParseDelay(%q)\n got: %s\nwant: %s", tt.s, got, tt.want+allowed)
		}
	}
}

func TestParseRequest(t *testing.T) {
	tests := []struct {
		s    string
		want levels.Request
	}{
		{"10s", levels.Request{Delay: 10 * time.Second}},
		{"0s", levels.Request{}},
		{"3", levels.Request{Number: 3, ByNumber: true}},
		{"0", levels.Request{Number: 0, ByNumber: true}},
		{"007", levels.Request{Number: 7, ByNumber: true}},
		{"999999999", levels.Request{Number: 999999999, ByNumber: true}},
	}
	for _, tt := range tests {
		got, err := levels.ParseRequest(tt.s)
		if err != nil || got != tt.want {
			t.Errorf("ParseRequest(%q) = %+v, %v, want %+v", tt.s, got, err, tt.want)
		}
	}
}

func TestParseRequestRefuses(t *testing.T) {
	const allowed = "; write a duration such as 10s, 1m30s, 2h or 1d, or a level number such as 3"
	tests := []struct{ s, want string }{
		{"", `delay-level "": empty`},
		{"-1", `delay-level "-1": a sign is not allowed`},
		{"3 ", `delay-level "3 ": spaces are not allowed`},
		{"1000000000", `delay-level "1000000000": a level number has at most 9 digits`},
		{"0000000001", `delay-level "0000000001": a level number has at most 9 digits`},
		{"3.0", `delay-level "3.0": "3.0" has no unit`},
		{"3x", `delay-level "3x": unknown unit "x", units are d, h, m, s, ms, us and ns`},
		{strings.Repeat("1", 70), `delay-level "` + strings.Repeat("1", 64) + `"… (70 bytes): a level number has at most 9 digits`},
	}
	for _, tt := range tests {
		q, err := levels.ParseRequest(tt.s)
		if err == nil {
			t.Errorf("ParseRequest(%q) = %+v, want an error", tt.s, q)
			continue
		}
		if got := err.Error(); got != tt.want+allowed {
			t.Errorf("ParseRequest(%q)\n got: %s\nwant: %s", tt.s, got, tt.want+allowed)
		}
	}
}

func TestFormatDelay(t *testing.T) {
	tests := []struct {
		d    time.Duration
		want string
	}{
		{0, "0s"},
		{-time.Second, "0s"},
		{1, "1ns"},
		{1500, "1500ns"},
		{15 * time.Microsecond, "15us"}, // ASCII: it is a header's value
		{1500 * time.Millisecond, "1500ms"},
		{time.Second, "1s"},
		{60 * time.Second, "1m"},
		{90 * time.Second, "90s"},
		{90 * time.Minute, "90m"},
		{24 * time.Hour, "1d"},
		{36 * time.Hour, "36h"},
		{math.MaxInt64, "9223372036854775807ns"},
	}
	for _, tt := range tests {
		if got := levels.FormatDelay(tt.d); got != tt.want {
			t.Errorf("FormatDelay(%d) = %q, want %q", tt.d, got, tt.want)
		}
	}
}

func TestFormatDelayReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		units := []time.Duration{1, time.Microsecond, time.Millisecond, time.Second, time.Minute, time.Hour, day}
		unit := rapid.SampledFrom(units).Draw(t, "unit")
		d := unit * time.Duration(rapid.Int64Range(0, math.MaxInt64/int64(unit)).Draw(t, "n"))
		if got, err := levels.ParseDelay(levels.FormatDelay(d)); err != nil || got != d {
			t.Errorf("%d is spelled %q, which reads back as %d, %v", d, levels.FormatDelay(d), got, err)
		}
	})
}

// goDelay is what time.ParseDuration makes of a delay, where the contract does
// not narrow it.
func goDelay(s string) (time.Duration, error) {
	if strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") {
		return 0, errors.New("a sign")
	}
	if s == "0" {
		return 0, errors.New("no unit")
	}
	return time.ParseDuration(s)
}

// checkAgainstGo holds ParseDelay to its word: it is time.ParseDuration for all
// that has no days.
func checkAgainstGo(t interface{ Errorf(string, ...any) }, s string) {
	if strings.Contains(s, "d") {
		return
	}
	got, err := levels.ParseDelay(s)
	want, wantErr := goDelay(s)
	if got != want || (err == nil) != (wantErr == nil) {
		t.Errorf("ParseDelay(%q) = %d, %v, but Go has %d, %v", s, got, err, want, wantErr)
	}
}

// delayText draws delays that are written well, or nearly so.
var delayText = rapid.StringMatching(`([0-9]{0,20}(\.[0-9]{0,25})?(ns|us|µs|μs|ms|s|m|h|d|)){1,3}`)

func TestParseDelayAgreesWithGo(t *testing.T) {
	for _, s := range []string{
		"9223372036854775807ns", "9223372036854775808ns", "9223372036854775799ns", "9223372036854775.807us",
		"9223372036854775.808us", "9223372036s854775807ns", "9223372036s854775808ns", "2562047h47m16.854775807s",
		"2562047h47m16.854775808s", "0.9223372036854775807h", "0.9223372036854775808h", "0.9223372036854775809h",
		"0.830103483285477580700h", "0.3333333333333333333h", "0.100000000000000000000h", "0", "0.", ".0s", "1.s",
		"39h9m14.425s", "1h1h", "1m1h",
	} {
		checkAgainstGo(t, s)
	}
	rapid.Check(t, func(t *rapid.T) { checkAgainstGo(t, delayText.Draw(t, "s")) })
}

// A day is 24 hours in every position.
func TestDaysAreHours(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		days := rapid.Int64Range(0, 100_000).Draw(t, "days")
		rest := time.Duration(rapid.Int64Range(0, int64(1000*day)).Draw(t, "rest"))
		inDays := levels.FormatDelay(time.Duration(days) * day)
		for _, s := range []string{inDays + levels.FormatDelay(rest), levels.FormatDelay(rest) + inDays} {
			got, err := levels.ParseDelay(s)
			if want := time.Duration(days)*day + rest; err != nil || got != want {
				t.Errorf("ParseDelay(%q) = %d, %v, want %d", s, got, err, want)
			}
		}
	})
}

// addDelays gives a fuzz target one of each kind of value.
func addDelays(f *testing.F) {
	for _, s := range []string{
		"", "0", "3", "18", "999999999", "1000000000", "10s", "45s", "1m30s", "1.5s", "2h", "1d", "0.5d12h", ".5s", "1.s",
		"1µs", "1μs", "-5s", "+5s", "10 s", "10s\n", "1e3s", "9223372036854775807ns", "106752d", "\xff\x00",
	} {
		f.Add(s)
	}
}

// checkError holds an error to its form: it says what it read and what is
// allowed, in a bounded number of bytes without control characters.
func checkError(t *testing.T, err error, what string) {
	t.Helper()
	s := err.Error()
	if !strings.HasPrefix(s, what+` "`) || !strings.Contains(s, "; write ") {
		t.Errorf("the error does not say what was read and what is allowed: %s", s)
	}
	if len(s) > 1000 {
		t.Errorf("an error of %d bytes", len(s))
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		t.Errorf("a control character in %q", s)
	}
}

func FuzzParseDelay(f *testing.F) {
	addDelays(f)
	f.Fuzz(func(t *testing.T, s string) {
		checkAgainstGo(t, s)
		d, err := levels.ParseDelay(s)
		if err != nil {
			checkError(t, err, "delay")
			if d != 0 {
				t.Errorf("ParseDelay(%q) = %d beside the error %v", s, d, err)
			}
			return
		}
		if d < 0 {
			t.Errorf("ParseDelay(%q) = %d", s, d)
		}
		if again, err := levels.ParseDelay(levels.FormatDelay(d)); err != nil || again != d {
			t.Errorf("ParseDelay(%q) = %d, spelled %q, reads back as %d, %v", s, d, levels.FormatDelay(d), again, err)
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	addDelays(f)
	for _, s := range []string{"2000L", "L", "PT10S", "P", "PT", "P1DT2H", "00:00:10", "::", "10S", "10\u0455", `"10s"`, "\x00\x00\x00\n", strings.Repeat("9", 300) + "l"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := levels.ParseRequest(s)
		d, delayErr := levels.ParseDelay(s)
		switch {
		case err != nil:
			checkError(t, err, levels.HeaderLevel)
			if q != (levels.Request{}) || delayErr == nil {
				t.Errorf("ParseRequest(%q) = %+v, %v, and ParseDelay gives %d, %v", s, q, err, d, delayErr)
			}
		case q.ByNumber:
			if delayErr == nil || q.Delay != 0 || q.Number < 0 || len(s) > 9 || strings.Trim(s, "0123456789") != "" {
				t.Errorf("ParseRequest(%q) = %+v", s, q)
			}
		default:
			if delayErr != nil || q.Delay != d || q.Number != 0 {
				t.Errorf("ParseRequest(%q) = %+v, and ParseDelay gives %d, %v", s, q, d, delayErr)
			}
		}
	})
}
