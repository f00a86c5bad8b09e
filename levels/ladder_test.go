package levels_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/delayd-io/delayd/levels"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestDefault(t *testing.T) {
	var want []levels.Level
	for i, d := range []time.Duration{
		1 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
		1 * time.Minute, 2 * time.Minute, 3 * time.Minute, 4 * time.Minute, 5 * time.Minute,
		6 * time.Minute, 7 * time.Minute, 8 * time.Minute, 9 * time.Minute, 10 * time.Minute,
		20 * time.Minute, 30 * time.Minute, 1 * time.Hour, 2 * time.Hour,
	} {
		want = append(want, levels.Level{Number: i + 1, Delay: d})
	}
	ladder := levels.Default()
	if diff := cmp.Diff(want, slices.Collect(ladder.All())); diff != "" {
		t.Errorf("Default() is not RocketMQ's ladder (-want +got):\n%s", diff)
	}
	if ladder.String() != levels.DefaultSpec {
		t.Errorf("Default().String() = %q, want %q", ladder, levels.DefaultSpec)
	}
}

func TestParseNormalises(t *testing.T) {
	tests := []struct{ spec, want string }{
		{"1s", "1s"},
		{"  1s\t5s\n10s ", "1s 5s 10s"}, // any white space separates, as in a configuration file of several lines
		{"60s 3600s 86400s", "1m 1h 1d"},
		{"60m 24h", "1h 1d"},
		{"90s 90m 36h", "90s 90m 36h"},
		{"001s 010s", "1s 10s"},
		{"48h 7d", "2d 7d"},
		{"3650d", "3650d"},
		{"315360000s", "3650d"},
	}
	for _, tt := range tests {
		ladder, err := levels.Parse(tt.spec)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.spec, err)
			continue
		}
		if got := ladder.String(); got != tt.want {
			t.Errorf("Parse(%q) = %q, want %q", tt.spec, got, tt.want)
		}
	}
}

// The whole messages: they are what a person has in hand when a configuration
// is refused.
func TestParseRefuses(t *testing.T) {
	many := make([]string, levels.MaxLevels+1)
	for i := range many {
		many[i] = fmt.Sprintf("%ds", i+1)
	}
	tests := []struct{ spec, want string }{
		{"", `ladder "": no levels; write at least one, such as 1s 10s 1m`},
		{" \t\n", `ladder " \t\n": no levels; write at least one, such as 1s 10s 1m`},
		{strings.Join(many, " "), `ladder "1s 2s 3s 4s 5s 6s 7s 8s 9s 10s 11s 12s 13s 14s 15s 16s 17s 18s 1"… (250 bytes): 65 levels; write at most 64`},

		// No number or no unit.
		{"5s 10s 1", `level 3 "1": no unit; write 1s, 1m, 1h or 1d`},
		{"0", `level 1 "0": no unit; write 1s, 1m, 1h or 1d`},
		{"1s 99999999999999999999", `level 2 "99999999999999999999": no unit; write 1s, 1m, 1h or 1d`},
		{"1s m", `level 2 "m": no number before the unit; write 1s, 1m, 1h or 1d`},
		{"1 s", `level 1 "1": no unit; write 1s, 1m, 1h or 1d`},
		{"abc", `level 1 "abc": no number before the unit; write 1s, 1m, 1h or 1d`},

		// Units.
		{"1s 10M", `level 2 "10M": units are lower case; write 10m`},
		{"1S", `level 1 "1S": units are lower case; write 1s`},
		{"2w", `level 1 "2w": unknown unit "w"; write 2s, 2m, 2h or 2d`},
		{"10sec", `level 1 "10sec": unknown unit "sec"; write 10s, 10m, 10h or 10d`},
		{"99999w", `level 1 "99999w": unknown unit "w"; write 1s, 1m, 1h or 1d`},
		{"5s\x00", `level 1 "5s\x00": unknown unit "s\x00"; write 5s, 5m, 5h or 5d`},
		{"٣s", `level 1 "\u0663s": no number before the unit; write 1s, 1m, 1h or 1d`},

		// Durations that are no levels.
		{"1s 1m30s", `level 2 "1m30s": not one whole number with one of the units s, m, h and d; write 90s`},
		{"1.5h", `level 1 "1.5h": not one whole number with one of the units s, m, h and d; write 90m`},
		{"500ms", `level 1 "500ms": not one whole number with one of the units s, m, h and d; write 1s`},
		{"1500ms", `level 1 "1500ms": not one whole number with one of the units s, m, h and d; write 2s`},
		{".5s", `level 1 ".5s": not one whole number with one of the units s, m, h and d; write 1s`},

		// Zero and less.
		{"0s 5s", `level 1 "0s": zero; leave it out, a record that is not to wait needs no level`},
		{"5s 000d", `level 2 "000d": zero; leave it out, a record that is not to wait needs no level`},
		{"0.0s", `level 1 "0.0s": zero; leave it out, a record that is not to wait needs no level`},
		{"-5s", `level 1 "-5s": has a sign; write 5s`},
		{"1s +60s", `level 2 "+60s": has a sign; write 1m`},
		{"-0s", `level 1 "-0s": has a sign; write 1s, 1m, 1h or 1d`},
		{"--5s", `level 1 "--5s": has a sign; write 5s`},
		{"-", `level 1 "-": has a sign; write 1s, 1m, 1h or 1d`},

		// Too much.
		{"1s 3651d", `level 2 "3651d": longer than a level can be; write 3650d or less`},
		{"315360001s", `level 1 "315360001s": longer than a level can be; write 3650d or less`},
		{"9223372036854775808s", `level 1 "9223372036854775808s": longer than a level can be; write 3650d or less`},
		{"99999999999999999999d", `level 1 "99999999999999999999d": longer than a level can be; write 3650d or less`},

		// Other separators.
		{"1s,5s,10s", `level 1 "1s,5s,10s": levels have spaces between them and nothing else; write 1s 5s 10s`},
		{"1s, 5s", `level 1 "1s,": levels have spaces between them and nothing else; write 1s`},
		{"1s;60s", `level 1 "1s;60s": levels have spaces between them and nothing else; write 1s 1m`},
		{"1s 5,x", `level 2 "5,x": levels have spaces between them and nothing else; write 1s 10s 1m`},
		{",", `level 1 ",": levels have spaces between them and nothing else; write 1s 10s 1m`},

		// Order.
		{"1s 10s 5s 1m", `level 3 "5s": shorter than level 2 "10s"; write 1s 5s 10s 1m`},
		{"2h 1h 60s", `level 2 "1h": shorter than level 1 "2h"; write 1m 1h 2h`},
		{"1s 5s 5s", `level 3 "5s": the same delay as level 2 "5s"; write 1s 5s`},
		{"60s 5m 1m", `level 3 "1m": the same delay as level 1 "60s"; write 1m 5m`},
		{"1s 24h 1d 2d", `level 3 "1d": the same delay as level 2 "24h"; write 1s 1d 2d`},

		// The first fault in reading comes before any fault of order.
		{"10s 5s 1x", `level 3 "1x": unknown unit "x"; write 1s, 1m, 1h or 1d`},

		// Long rubbish is cut, between characters.
		{strings.Repeat("x", 100), `level 1 "` + strings.Repeat("x", 64) + `"… (100 bytes): no number before the unit; write 1s, 1m, 1h or 1d`},
		{"1" + strings.Repeat("€", 100), `level 1 "1` + strings.Repeat(`\u20ac`, 21) + `"… (301 bytes): unknown unit "` + strings.Repeat(`\u20ac`, 21) + `"… (300 bytes); write 1s, 1m, 1h or 1d`},
	}
	for _, tt := range tests {
		ladder, err := levels.Parse(tt.spec)
		if err == nil {
			t.Errorf("Parse(%q) = %q, want an error", tt.spec, ladder)
			continue
		}
		if got := err.Error(); got != tt.want {
			t.Errorf("Parse(%q)\n got: %s\nwant: %s", tt.spec, got, tt.want)
		}
		if ladder.Len() != 0 {
			t.Errorf("Parse(%q) returned a ladder beside the error: %s", tt.spec, ladder)
		}
	}
}

func TestParseTakesMaxLevels(t *testing.T) {
	words := make([]string, levels.MaxLevels)
	for i := range words {
		words[i] = fmt.Sprintf("%ds", i+1)
	}
	ladder, err := levels.Parse(strings.Join(words, " "))
	if err != nil {
		t.Fatal(err)
	}
	if ladder.Len() != levels.MaxLevels {
		t.Errorf("Len() = %d, want %d", ladder.Len(), levels.MaxLevels)
	}
}

// Whatever is wrong with the order of a ladder, the one that the message shows
// is right, and has the same delays.
func TestOrderFaultShowsTheMend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"1s", "5s", "60s", "1m", "60m", "1h", "24h", "1d"}), 1, 10).Draw(t, "words")
		_, err := levels.Parse(strings.Join(words, " "))
		if err == nil {
			return
		}
		_, suggestion, ok := strings.Cut(err.Error(), "; write ")
		if !ok {
			t.Fatalf("no suggestion in %q", err)
		}
		ladder, err := levels.Parse(suggestion)
		if err != nil {
			t.Fatalf("the suggestion is refused: %v", err)
		}
		for _, word := range words {
			d, err := levels.ParseDelay(word)
			if err != nil {
				t.Fatal(err)
			}
			if level, ok := ladder.AtLeast(d); !ok || level.Delay != d {
				t.Errorf("the suggestion %q has no level %s", suggestion, word)
			}
		}
	})
}

func TestNumber(t *testing.T) {
	ladder := levels.Default()
	for level := range ladder.All() {
		if got, ok := ladder.Number(level.Number); !ok || got != level {
			t.Errorf("Number(%d) = %v, %t, want %v", level.Number, got, ok, level)
		}
	}
	for _, n := range []int{-1, 0, ladder.Len() + 1, math.MaxInt} {
		if got, ok := ladder.Number(n); ok || got != (levels.Level{}) {
			t.Errorf("Number(%d) = %v, %t, want none", n, got, ok)
		}
	}
	if got, _ := ladder.Number(1); got != ladder.First() {
		t.Errorf("First() = %v, want %v", ladder.First(), got)
	}
	if got, _ := ladder.Number(18); got != ladder.Last() {
		t.Errorf("Last() = %v, want %v", ladder.Last(), got)
	}
}

func TestEmptyLadder(t *testing.T) {
	var empty levels.Ladder
	none := levels.Level{}
	if empty.Len() != 0 || empty.String() != "" || empty.First() != none || empty.Last() != none {
		t.Errorf("the zero Ladder is not empty: %v", empty)
	}
	for level := range empty.All() {
		t.Errorf("the zero Ladder has the level %s", level)
	}
	if level, ok := empty.AtLeast(0); ok {
		t.Errorf("AtLeast(0) = %s, want none", level)
	}
	for _, r := range roundings {
		if level, over := empty.Round(1, r); level != none || !over {
			t.Errorf("Round(1, %s) = %s, %t, want none, over", r, level, over)
		}
		if level, over := empty.Round(0, r); level != none || over {
			t.Errorf("Round(0, %s) = %s, %t, want none, not over", r, level, over)
		}
	}
}

func TestNegativeDoesNotWait(t *testing.T) {
	ladder := levels.Default()
	for _, r := range roundings {
		if level, over := ladder.Round(-time.Hour, r); level != (levels.Level{}) || over {
			t.Errorf("Round(-1h, %s) = %s, %t, want none", r, level, over)
		}
		if level, over := ladder.Grant(levels.Request{ByNumber: true, Number: -1}, r); level != (levels.Level{}) || over {
			t.Errorf("Grant(-1, %s) = %s, %t, want none", r, level, over)
		}
	}
}

func TestLevelString(t *testing.T) {
	if got := (levels.Level{}).String(); got != "0s" {
		t.Errorf("the zero Level is %q, want 0s", got)
	}
	if got := (levels.Level{Number: 3, Delay: 60 * time.Second}).String(); got != "1m" {
		t.Errorf("60s is %q, want 1m", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(levels.DefaultSpec)
	f.Add("5s 10s 30s 1m 5m 10m 1h 2h")
	f.Add("60s 24h 90m 3650d")
	f.Add("1s, 5s;10s")
	f.Add("1s 1s")
	f.Add("-1s 0s 1 s 1.5h 1M 99999999999999999999d µs")
	f.Fuzz(func(t *testing.T, spec string) {
		ladder, err := levels.Parse(spec)
		if err != nil {
			if ladder.Len() != 0 {
				t.Errorf("Parse(%q): a ladder beside the error %v", spec, err)
			}
			// The suggestion for a full ladder is the longest thing to say.
			if len(err.Error()) > 2000 {
				t.Errorf("Parse(%q): an error of %d bytes", spec, len(err.Error()))
			}
			return
		}
		again, err := levels.Parse(ladder.String())
		if err != nil || again.String() != ladder.String() {
			t.Errorf("Parse(%q) = %q, which reads back as %q, %v", spec, ladder, again, err)
		}
		if words := strings.Fields(spec); len(words) != ladder.Len() {
			t.Errorf("Parse(%q): %d words, %d levels", spec, len(words), ladder.Len())
		}
		before := levels.Level{}
		for level := range ladder.All() {
			if level.Number != before.Number+1 || level.Delay <= before.Delay || level.Delay > levels.MaxDelay || level.Delay%time.Second != 0 {
				t.Errorf("Parse(%q): level %d %s after %d %s", spec, level.Number, level, before.Number, before)
			}
			if got, ok := names.LevelDelay(names.Level(level)); !ok || got != level.Delay {
				t.Errorf("Parse(%q): topic %s reads back as %s, %t", spec, names.Level(level), got, ok)
			}
			before = level
		}
	})
}
