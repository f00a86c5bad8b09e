//go:build synctests

package endtoend

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// hostileFile holds the cases and describes its own form.
const hostileFile = "../../testdata/hostile.txt"

// hostilePolicy is some settings and the cases under them.
type hostilePolicy struct {
	allow, deny []string
	cases       []hostileCase
}

// hostileCase is a record and what becomes of it by each of the ways in.
type hostileCase struct {
	line         int
	headers      []kgo.RecordHeader
	inbox, level string
}

// hostileTargets exist; nobody may get anything into most of them.
var hostileTargets = []string{
	"orders", "payments", "secret.plans", "__internal", "other.inbox", "other.level.10s", strings.Repeat("a", 249),
}

// TestHostileRecords: whatever a producer writes into headers, the record is where
// the table says, once, in time, and nothing is anywhere else.
func TestHostileRecords(t *testing.T) {
	for i, policy := range readHostile(t) {
		t.Run(fmt.Sprint("policy ", i+1), func(t *testing.T) {
			t.Parallel()
			virtual(t, "1s 10s", hostileTargets, func(w *world) { w.tryHostile(policy) })
		})
	}
}

func (w *world) tryHostile(policy hostilePolicy) {
	t := w.t
	s := w.serve("one", func(rc *router.Config, fc *forwarder.Config) {
		rc.AllowTargets, rc.DenyTargets = policy.allow, policy.deny
		fc.AllowTargets, fc.DenyTargets = policy.allow, policy.deny
	})
	defer s.stop()
	before := w.topics()
	all := w.watch(before...)

	want := make(map[string]string) // where a record has to arrive, by its value
	sent := time.Now()
	for _, c := range policy.cases {
		for way, becomes := range map[string]string{"inbox": c.inbox, "level": c.level} {
			value := fmt.Sprintf("%s:%d, by the %s", hostileFile, c.line, way)
			want[value] = becomes
			headers := append([]kgo.RecordHeader{{Key: levels.HeaderLevel, Value: []byte("10s")}}, c.headers...)
			topic := w.Names.Inbox()
			if way == "level" {
				topic = w.Names.LevelPrefix() + "10s"
			}
			w.send(&kgo.Record{Topic: topic, Partition: -1, Key: []byte(value), Value: []byte(value), Headers: headers})
		}
	}
	time.Sleep(time.Minute)

	got := make(map[string]string)
	for _, a := range all.now() {
		value := string(a.Value)
		if a.Topic == w.Names.Inbox() || a.Topic == w.Names.Parked() || strings.HasPrefix(a.Topic, w.Names.LevelPrefix()) {
			continue // on its way
		}
		becomes := a.Topic
		if a.Topic == w.Names.Dead() {
			becomes = "dead, " + a.header(levels.HeaderError)
			checkLetter(t, a)
		} else if wait := a.at.Sub(sent); wait > 10*time.Second+linger+time.Second {
			t.Errorf("%s: arrived after %v", value, wait)
		}
		if got[value] != "" {
			becomes = got[value] + " and " + becomes
		}
		got[value] = becomes
	}
	for value, becomes := range want {
		if got[value] != becomes {
			t.Errorf("%s: %.300q, want %.300q", value, got[value], becomes)
		}
		delete(got, value)
	}
	if len(got) > 0 {
		t.Errorf("nobody sent %q", got)
	}
	if after := w.topics(); !slices.Equal(after, before) {
		t.Errorf("topics %q, before %q", after, before)
	}
}

// checkLetter reports a dead letter that cannot be read for what it says.
func checkLetter(t *testing.T, a arrival) {
	t.Helper()
	detail := a.header(levels.HeaderErrorDetail)
	hidden := func(r rune) bool { return !unicode.IsPrint(r) && r != '…' }
	if detail == "" || len(detail) > 1000 || !utf8.ValidString(detail) || strings.ContainsFunc(detail, hidden) {
		t.Errorf("%s: the detail of the dead letter is %.1500q", a.Value, detail)
	}
	origin := strings.Split(a.header(levels.HeaderOrigin), "/")
	if len(origin) != 3 || !strings.HasPrefix(origin[0], levels.DefaultPrefix+".") {
		t.Errorf("%s: the dead letter comes from %q", a.Value, origin)
	}
	if n, err := strconv.Atoi(a.header(levels.HeaderAttempts)); err != nil || n < 0 {
		t.Errorf("%s: the dead letter was tried %q times", a.Value, a.header(levels.HeaderAttempts))
	}
}

// topics are the names of all topics.
func (w *world) topics() []string {
	w.t.Helper()
	all, err := w.Admin.ListTopicsWithInternal(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return all.Names()
}

// TestHostileParkedRecords: who gets to write to the parked topic, which nobody
// but the service should, has nothing delivered where it may not be either.
func TestHostileParkedRecords(t *testing.T) {
	virtual(t, "1s 10s", hostileTargets, func(w *world) {
		s := w.serve("one", func(rc *router.Config, fc *forwarder.Config) {
			rc.DenyTargets, fc.DenyTargets = []string{"secret*"}, []string{"secret*"}
		})
		defer s.stop()
		all := w.watch(w.topics()...)
		hop := func(target string) []kgo.RecordHeader {
			return []kgo.RecordHeader{
				{Key: record.KeyDue, Value: []byte("1")}, {Key: record.KeyAccepted, Value: []byte("1")},
				{Key: record.KeyGranted, Value: []byte("10s")}, {Key: record.KeyID, Value: []byte("x")},
				{Key: record.KeyTarget, Value: []byte(target)},
			}
		}
		want := map[string]string{
			"orders":       "orders",
			"secret.plans": "dead, forbidden-target",
			"__internal":   "dead, forbidden-target",
			"delay.inbox":  "dead, forbidden-target",
			"delay.parked": "dead, forbidden-target",
			"delay.dead":   "dead, forbidden-target",
			"../x":         "dead, illegal-target",
			"":             "dead, rejected",
		}
		for target := range want {
			w.send(&kgo.Record{Topic: w.Names.Parked(), Partition: -1, Key: []byte(target), Value: []byte(target), Headers: hop(target)})
		}
		w.send(&kgo.Record{Topic: w.Names.Parked(), Partition: -1, Value: []byte("no key, no headers")})
		want["no key, no headers"] = "dead, rejected"
		time.Sleep(time.Minute)

		got := make(map[string]string)
		for _, a := range all.now() {
			if a.Topic == w.Names.Parked() {
				continue
			}
			becomes := a.Topic
			if a.Topic == w.Names.Dead() {
				becomes = "dead, " + a.header(levels.HeaderError)
				checkLetter(t, a)
			}
			got[string(a.Value)] += becomes
		}
		for target, becomes := range want {
			if got[target] != becomes {
				t.Errorf("target %q: %q, want %q", target, got[target], becomes)
			}
		}
		w.send(w.direct("1s", "orders", "k", "after them"))
		time.Sleep(time.Minute)
		if !slices.ContainsFunc(all.now(), func(a arrival) bool { return a.Topic == "orders" && string(a.Value) == "after them" }) {
			t.Error("a record that came after them did not arrive")
		}
	})
}

// readHostile reads the table.
func readHostile(t *testing.T) []hostilePolicy {
	t.Helper()
	f, err := os.Open(hostileFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var policies []hostilePolicy
	n, why := 0, false
	fail := func(format string, args ...any) {
		t.Fatalf("%s:%d: %s", hostileFile, n, fmt.Sprintf(format, args...))
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		n++
		line := lines.Text()
		switch {
		case line == "":
			why = false
		case strings.HasPrefix(line, "# "), line == "#":
			why = true
		case strings.HasPrefix(line, "policy "):
			var p hostilePolicy
			for _, h := range readHeaders(strings.TrimPrefix(line, "policy "), fail) {
				switch h.Key {
				case "allow-target":
					p.allow = append(p.allow, string(h.Value))
				case "deny-target":
					p.deny = append(p.deny, string(h.Value))
				default:
					fail("no setting %q", h.Key)
				}
			}
			policies = append(policies, p)
		default:
			request, becomes, ok := strings.Cut(line, " -> ")
			if !ok || !why {
				fail("a case is HEADERS -> ANSWER, with a line above it that says why it is here")
			}
			c := hostileCase{line: n, headers: readHeaders(request, fail)}
			c.inbox, c.level, ok = strings.Cut(repeated(becomes), " | ")
			if !ok {
				c.level = c.inbox
			}
			p := &policies[len(policies)-1]
			p.cases = append(p.cases, c)
			why = false
		}
	}
	return policies
}

// readHeaders reads KEY=VALUE words, in which both may be quoted.
func readHeaders(s string, fail func(string, ...any)) (headers []kgo.RecordHeader) {
	word := func(ends string) (text string) {
		if strings.HasPrefix(s, `"`) {
			quoted, err := strconv.QuotedPrefix(s)
			if err == nil {
				text, err = strconv.Unquote(quoted)
			}
			if err != nil {
				fail("%v", err)
			}
			s = s[len(quoted):]
			return text
		}
		end := strings.IndexAny(s+" ", ends)
		text, s = s[:end], s[end:]
		return repeated(text)
	}
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		times := 1
		if count, rest, ok := strings.Cut(s, "*"); ok {
			if n, err := strconv.Atoi(count); err == nil {
				times, s = n, rest
			}
		}
		h := kgo.RecordHeader{Key: word("= ")}
		if rest, given := strings.CutPrefix(s, "="); given {
			s = rest
			h.Value = []byte(word(" "))
		}
		headers = append(headers, slices.Repeat([]kgo.RecordHeader{h}, times)...)
	}
	return headers
}

// repeated writes {TEXT*N} out.
func repeated(s string) string {
	head, rest, ok := strings.Cut(s, "{")
	inner, tail, closed := strings.Cut(rest, "}")
	text, count, counted := strings.Cut(inner, "*")
	n, err := strconv.Atoi(count)
	if !ok || !closed || !counted || err != nil {
		return s
	}
	return head + strings.Repeat(text, n) + tail
}
