package levels_test

import (
	"bufio"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/delayd-io/delayd/levels"
	"pgregory.net/rapid"
)

// retriesFile holds the cases and describes its own form.
const retriesFile = "../testdata/retries.txt"

// retriesCase is one case of the table.
type retriesCase struct {
	line             int
	why, value, want string
}

func readRetries(t testing.TB) (cases []retriesCase) {
	f, err := os.Open(retriesFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	why := ""
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		switch {
		case line == "":
			why = ""
			continue
		case strings.HasPrefix(line, "#"):
			why = strings.TrimPrefix(line, "#")
			continue
		}
		value, want, ok := strings.Cut(line, " -> ")
		if unquoted, err := strconv.Unquote(value); err == nil {
			value = unquoted
		}
		if !ok || why == "" {
			t.Fatalf("%s:%d: %q: want a reason above, and VALUE -> ANSWER", retriesFile, n, line)
		}
		cases = append(cases, retriesCase{n, why, value, want})
		why = ""
	}
	if err := lines.Err(); err != nil || len(cases) == 0 {
		t.Fatalf("%s: %d cases, %v", retriesFile, len(cases), err)
	}
	return cases
}

func TestRetriesTable(t *testing.T) {
	for _, c := range readRetries(t) {
		p, err := levels.ParseRetryHeader(c.value)
		got := p.String() + " = " + levels.FormatDelay(p.Total())
		if err != nil {
			words, ok := strings.CutPrefix(err.Error(), levels.HeaderRetryPolicy+" "+strconv.QuoteToASCII(c.value)+": ")
			if got = "! " + words; !ok {
				t.Errorf("%s:%d: the error does not quote the value: %v", retriesFile, c.line, err)
			}
			if _, plain := levels.ParseRetryPolicy(c.value); plain == nil || !strings.HasPrefix(plain.Error(), "retry policy ") {
				t.Errorf("%s:%d: as a setting: %v", retriesFile, c.line, plain)
			}
		}
		if got != c.want {
			t.Errorf("%s:%d:%s\n%q -> %s\nwant %s", retriesFile, c.line, c.why, c.value, got, c.want)
		}
	}
}

func TestRetryPolicyBounds(t *testing.T) {
	if _, err := levels.ParseRetryPolicy(strings.Repeat("1s ", levels.MaxRetries)); err != nil {
		t.Error(err)
	}
	for value, want := range map[string]string{
		strings.Repeat("1s ", levels.MaxRetries+1):      "101 waits; write at most 100",
		strings.Repeat(" ", levels.MaxRetryBytes) + "1": "too long; write at most 1024 bytes",
	} {
		if _, err := levels.ParseRetryPolicy(value); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 300 {
			t.Errorf("%.20q…: error %v, want one with %q", value, err, want)
		}
	}
}

// TestDefaultRetryPolicy: RocketMQ's sixteen, which are levels of its ladder and take 4 h
// 46 min, rounded to minutes.
func TestDefaultRetryPolicy(t *testing.T) {
	p := levels.DefaultRetryPolicy()
	if want := 4*time.Hour + 45*time.Minute + 40*time.Second; p.Len() != 16 || p.Total() != want || p.String() != levels.DefaultRetrySpec {
		t.Errorf("%d retries in %v: %s", p.Len(), p.Total(), p)
	}
	for attempt := range p.Len() {
		wait, ok := p.Wait(attempt + 1)
		// RocketMQ: level 3 + the number of retries, of levels counted from 1.
		if level, _ := levels.Default().Number(3 + attempt); !ok || level.Delay != wait {
			t.Errorf("retry %d waits %v, %v; RocketMQ's level is %v", attempt+1, wait, ok, level)
		}
	}
	for _, none := range []int{-1, 0, 17} {
		if wait, ok := p.Wait(none); ok || wait != 0 {
			t.Errorf("retry %d waits %v", none, wait)
		}
	}
}

// TestRetryPolicyProperty: what String writes is read as the same waits, whatever they are.
func TestRetryPolicyProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		waits := rapid.SliceOfN(rapid.Map(rapid.Int64Range(1, int64(levels.MaxDelay/time.Millisecond)), func(ms int64) time.Duration {
			return time.Duration(ms) * time.Millisecond
		}), 1, 60).Draw(t, "waits")
		words := make([]string, len(waits))
		for i, w := range waits {
			words[i] = levels.FormatDelay(w)
		}
		p, err := levels.ParseRetryPolicy(strings.Join(words, rapid.SampledFrom([]string{" ", "  ", "\t"}).Draw(t, "space")))
		if err != nil {
			t.Fatal(err)
		}
		var got []time.Duration
		for attempt := 1; ; attempt++ {
			wait, ok := p.Wait(attempt)
			if !ok {
				break
			}
			got = append(got, wait)
		}
		if !slices.Equal(got, waits) || p.Len() != len(waits) {
			t.Fatalf("%v read as %v", waits, got)
		}
		if again, err := levels.ParseRetryPolicy(p.String()); err != nil || again.String() != p.String() || again.Total() != p.Total() {
			t.Fatalf("%s read again as %s, %v", p, again, err)
		}
	})
}

// FuzzRetryPolicy: whatever a record says is read or refused, in words that can be read; and
// what is read is within the bounds and spelled in one way.
func FuzzRetryPolicy(f *testing.F) {
	for _, c := range readRetries(f) {
		f.Add(c.value)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := levels.ParseRetryHeader(s)
		if err != nil {
			if text := err.Error(); len(text) > 1000 || strings.ContainsFunc(text, func(r rune) bool { return (r < ' ' || r > '~') && r != '…' }) {
				t.Fatalf("%q: the error cannot be read: %q", s, text)
			}
			return
		}
		if p.Len() < 1 || p.Len() > levels.MaxRetries || p.Total() <= 0 {
			t.Fatalf("%q: %d waits of %v", s, p.Len(), p.Total())
		}
		for attempt := 1; attempt <= p.Len(); attempt++ {
			if wait, ok := p.Wait(attempt); !ok || wait <= 0 || wait > levels.MaxDelay {
				t.Fatalf("%q: retry %d waits %v", s, attempt, wait)
			}
		}
		if again, err := levels.ParseRetryPolicy(p.String()); err == nil && again.String() != p.String() {
			t.Fatalf("%q is spelled %q, which is read as %q", s, p, again)
		}
	})
}
