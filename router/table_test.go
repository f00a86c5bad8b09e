package router

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// tableFile holds the cases and describes its own form.
const tableFile = "../testdata/routing.txt"

// tableCase is one case of the table, and the settings that it is under.
type tableCase struct {
	line    int
	why     string
	policy  Policy
	headers []kgo.RecordHeader
	want    string
}

func TestRoutingTable(t *testing.T) {
	for _, c := range readTable(t) {
		rec := &kgo.Record{Topic: c.policy.Names.Inbox(), Headers: c.headers}
		d := c.policy.Decide(rec, acceptedAt)
		if got := describe(&c.policy, d); got != c.want {
			t.Errorf("%s:%d: %s\ngot  %s\nwant %s", tableFile, c.line, c.why, got, c.want)
		}
		if d.Kind == Dead && !quotesFault(c.headers, d.Refusal) {
			t.Errorf("%s:%d: %s\nthe detail does not quote the value: %s", tableFile, c.line, c.why, d.Refusal.Detail)
		}
	}
}

// describe is a decision in the words of the table.
func describe(p *Policy, d Decision) string {
	var s string
	switch d.Kind {
	case Dead:
		return "dead, " + string(d.Refusal.Code)
	case AtOnce:
		s = "at once"
	case ToLevel:
		s = d.Record.Topic
	}
	s += ", for " + d.Facts.Topic
	if d.Facts.Partition != levels.ByKey {
		s += fmt.Sprintf("/%d", d.Facts.Partition)
	}
	s += fmt.Sprintf(", due +%s", time.Duration(d.Facts.Due-d.Facts.Accepted)*time.Millisecond)
	if d.Facts.Granted == levels.GrantedExact {
		s += ", exact"
	}
	if d.Clamped {
		s += ", clamped"
	}
	if d.Attempt > 0 {
		s += fmt.Sprintf(", retry %d", d.Attempt)
	}
	return s
}

// quotesFault reports whether a refusal repeats the value of the header that is
// at fault, or names the header where it is missing. Long values it may cut.
func quotesFault(h []kgo.RecordHeader, r *Refusal) bool {
	key := levels.HeaderTarget
	switch r.Code {
	case levels.BadLevel, levels.OverMax:
		key = levels.HeaderLevel
	case levels.BadPartition:
		key = levels.HeaderPartition
	case levels.BadRetry:
		if key = levels.HeaderAttempt; !strings.HasPrefix(r.Detail, key) {
			key = levels.HeaderRetryPolicy
		}
	case levels.RetriesExhausted:
		key = levels.HeaderRetryCause
		if value, given := record.Last(h, key); !given || len(record.Cause(value)) == 0 {
			return true
		}
	}
	if asked, two := record.ReadAsked(h); two != nil {
		return strings.Contains(r.Detail, " and delay-")
	} else if asked.Exact() && (r.Code == levels.BadTime || r.Code == levels.OverMax) {
		key = asked.Key
	}
	value, given := record.Last(h, key)
	if record.Misspelt(h) != nil {
		return strings.Contains(r.Detail, "; write delay-")
	}
	if !given {
		return strings.Contains(r.Detail, key)
	}
	quoted := strconv.Quote(string(value))
	return strings.Contains(r.Detail, quoted[:min(len(quoted), 60)])
}

// readTable reads the cases, and insists that each has a reason above it.
func readTable(t *testing.T) []tableCase {
	t.Helper()
	f, err := os.Open(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	var cases []tableCase
	var next tableCase
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		next.line++
		if err := next.read(lines.Text()); err != nil {
			t.Fatalf("%s:%d: %v", tableFile, next.line, err)
		}
		if next.want != "" {
			cases = append(cases, next)
			next.why, next.headers, next.want = "", nil, ""
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatalf("%s: no cases", tableFile)
	}
	return cases
}

// read takes in one line; a case is complete when it has set want.
func (c *tableCase) read(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "":
		c.why = ""
		return nil
	case "#":
		c.why = rest
		return nil
	case "policy":
		return c.readPolicy(rest)
	}
	request, want, ok := strings.Cut(line, " -> ")
	if !ok || want == "" {
		return fmt.Errorf("%q is not HEADERS -> ANSWER", line)
	}
	if c.why == "" {
		return fmt.Errorf("%q has no line above it that says why it is here", line)
	}
	c.want = want
	if request == "-" {
		return nil
	}
	return eachPair(request, func(key string, value []byte) error {
		c.headers = append(c.headers, kgo.RecordHeader{Key: key, Value: value})
		return nil
	})
}

func (c *tableCase) readPolicy(settings string) error {
	var p Policy
	err := eachPair(settings, func(flag string, value []byte) (err error) {
		switch flag {
		case "levels":
			p.Ladder, err = levels.Parse(string(value))
		case "prefix":
			p.Names.Prefix = string(value)
		case "rounding":
			err = p.Rounding.UnmarshalText(value)
		case "max-delay":
			p.MaxDelay, err = levels.ParseDelay(string(value))
		case "retry":
			p.Retry, err = levels.ParseRetryPolicy(string(value))
		case "over-max":
			err = p.OverMax.UnmarshalText(value)
		case "default-target":
			p.DefaultTarget = string(value)
		case "allow-target":
			p.AllowTargets = append(p.AllowTargets, string(value))
		case "deny-target":
			p.DenyTargets = append(p.DenyTargets, string(value))
		default:
			err = fmt.Errorf("no setting %q", flag)
		}
		return err
	})
	if err != nil {
		return err
	}
	c.policy = p.WithDefaults()
	return c.policy.Validate()
}

// eachPair calls f for KEY=VALUE, KEY="QUOTED VALUE" and KEY, which has a null
// value.
func eachPair(s string, f func(key string, value []byte) error) error {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		end := strings.IndexAny(s, "= ")
		if end < 0 {
			return f(s, nil)
		}
		key := s[:end]
		if s[end] == ' ' {
			if err := f(key, nil); err != nil {
				return err
			}
			s = s[end:]
			continue
		}
		value, rest, err := cutValue(s[end+1:])
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if err := f(key, []byte(value)); err != nil {
			return err
		}
		s = rest
	}
	return nil
}

func cutValue(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, " ")
		return value, rest, nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", err
	}
	value, err = strconv.Unquote(quoted)
	return value, s[len(quoted):], err
}
