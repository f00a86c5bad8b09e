package levels_test

import (
	"bufio"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/delayd-io/delayd/levels"
)

// timesFile holds the cases and describes its own form.
const timesFile = "../testdata/times.txt"

// timesCase is one case of the table.
type timesCase struct {
	line                     int
	why, header, value, want string
}

func readTimes(t testing.TB) (cases []timesCase) {
	f, err := os.Open(timesFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	why := ""
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "":
			why = ""
		case "#":
			why = rest
		default:
			value, want, ok := strings.Cut(rest, " -> ")
			if unquoted, err := strconv.Unquote(value); err == nil {
				value = unquoted
			}
			if !ok || why == "" || word != "for" && word != "until" {
				t.Fatalf("%s:%d: %q: want a reason above, and for or until VALUE -> ANSWER", timesFile, n, line)
			}
			cases = append(cases, timesCase{n, why, word, value, want})
			why = ""
		}
	}
	if err := lines.Err(); err != nil || len(cases) == 0 {
		t.Fatalf("%s: %d cases, %v", timesFile, len(cases), err)
	}
	return cases
}

func TestTimesTable(t *testing.T) {
	for _, c := range readTimes(t) {
		var got string
		var err error
		if c.header == "for" {
			var d time.Duration
			d, err = levels.ParseFor(c.value)
			got = d.String()
		} else {
			var at time.Time
			at, err = levels.ParseUntil(c.value)
			got = at.UTC().Format(time.RFC3339Nano)
		}
		if err != nil {
			got = "! " + strings.TrimPrefix(err.Error(), "delay-"+c.header+" "+strconv.QuoteToASCII(c.value)+": ")
		}
		if got != c.want {
			t.Errorf("%s:%d: %s\n%s %q\n got: %s\nwant: %s", timesFile, c.line, c.why, c.header, c.value, got, c.want)
		}
	}
}

// rfc3339 is the form of a time, said once more in another way.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`)

// untilSlowly is [levels.ParseUntil] by a pattern and what the standard library reads.
func untilSlowly(s string) (ms int64, ok bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) >= 12 && len(s) <= 15 && s[0] != '-' && s[0] != '+' {
		return n, true
	}
	if !rfc3339.MatchString(s) {
		return 0, false
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	ms = at.UnixMilli()
	if time.UnixMilli(ms).Before(at) {
		ms++
	}
	return ms, err == nil
}

// FuzzParseUntil: a time is what its twin reads, and what is refused says why in words.
func FuzzParseUntil(f *testing.F) {
	for _, c := range readTimes(f) {
		f.Add(c.value)
	}
	f.Add("0000-01-01T00:00:00Z")
	f.Add("9999-12-31T23:59:59.9999999999999Z")
	f.Add(strings.Repeat("9", 500))
	f.Fuzz(func(t *testing.T, s string) {
		at, err := levels.ParseUntil(s)
		want, ok := untilSlowly(s)
		if ok != (err == nil) || ok && at.UnixMilli() != want || ok && at.Nanosecond()%1e6 != 0 {
			t.Fatalf("%q is %v, %v; its twin reads %d, %t", s, at, err, want, ok)
		}
		checkRefusal(t, s, err)
	})
}

// FuzzParseFor: a delay is what ParseDelay reads, and what is refused says why in words.
func FuzzParseFor(f *testing.F) {
	for _, c := range readTimes(f) {
		f.Add(c.value)
	}
	f.Add(strings.Repeat("9", 500))
	f.Fuzz(func(t *testing.T, s string) {
		d, err := levels.ParseFor(s)
		want, wantErr := levels.ParseDelay(s)
		if d != want || (err == nil) != (wantErr == nil) {
			t.Fatalf("%q is %v, %v; ParseDelay reads %v, %v", s, d, err, want, wantErr)
		}
		checkRefusal(t, s, err)
	})
}

// checkRefusal: an error can be read, and stays in a header.
func checkRefusal(t *testing.T, s string, err error) {
	if err == nil {
		return
	}
	if text := err.Error(); len(text) > 1000 || strings.ContainsFunc(text, func(r rune) bool { return (r < ' ' || r > '~') && r != '…' }) {
		t.Fatalf("%q: %q", s, text)
	}
}

// A time is read for every record that asks for one, so it must not allocate.
func TestTimesDoNotAllocate(t *testing.T) {
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := levels.ParseUntil("1798099200000"); err != nil {
			t.Fatal(err)
		}
		if _, err := levels.ParseUntil("2026-12-24T09:00:00.5Z"); err != nil {
			t.Fatal(err)
		}
		if _, err := levels.ParseFor("1h30m"); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}
