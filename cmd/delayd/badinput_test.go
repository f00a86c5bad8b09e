package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// badInputs hold what people get wrong, and what the answer is; README.md there
// describes the form. -update writes the answers anew, for somebody to read.
const badInputs = "../../testdata/bad-input"

// leastBadInputs is how many cases there are at least: a file that is not found any
// more would otherwise be a test that passes.
const leastBadInputs = 60

// badInput is one case: a paragraph of a file.
type badInput struct {
	where  string   // file:line
	head   []string // why it is here, and what the world is like
	what   string   // the last line of the head: "$ command" or "> headers"
	answer string   // what it gets
}

func TestBadInput(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(badInputs, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		preface, cases := readBadInputs(t, file)
		text := strings.Join(preface, "\n") + "\n"
		for _, c := range cases {
			n++
			t.Run(c.where, func(t *testing.T) {
				got := c.try(t)
				if got != c.answer && !*update {
					t.Errorf("%s\n%s\ngot\n%s\nwant\n%s", c.where, c.what, got, c.answer)
				}
				text += "\n" + strings.Join(append(c.head, c.what), "\n") + "\n" + got
			})
		}
		if *update {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n < leastBadInputs {
		t.Errorf("%d cases in %d files, want at least %d", n, len(files), leastBadInputs)
	}
}

// readBadInputs reads a file: paragraphs, of which the first says what it holds.
func readBadInputs(t *testing.T, file string) (preface []string, cases []badInput) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	line := 1
	for i, paragraph := range strings.Split(strings.TrimRight(string(text), "\n"), "\n\n") {
		lines := strings.Split(paragraph, "\n")
		c := badInput{where: fmt.Sprintf("%s:%d", filepath.Base(file), line)}
		line += len(lines) + 1
		if i == 0 {
			preface = lines
			continue
		}
		for j, l := range lines {
			if strings.HasPrefix(l, "$ ") || strings.HasPrefix(l, "> ") {
				c.head, c.what = lines[:j], l
				if rest := lines[j+1:]; len(rest) > 0 {
					c.answer = strings.Join(rest, "\n") + "\n"
				}
				break
			}
		}
		if c.what == "" || len(c.head) == 0 || !strings.HasPrefix(c.head[0], "# ") {
			t.Fatalf("%s: no line that begins with $ or >, or none above it that says why it is here", c.where)
		}
		cases = append(cases, c)
	}
	return preface, cases
}

// try returns the answer to a case, in the form of the file.
func (c badInput) try(t *testing.T) string {
	t.Helper()
	words, err := splitWords(unescape(c.what[2:]))
	if err != nil {
		t.Fatal(err)
	}
	if c.what[0] == '>' {
		return tryHeaders(t, words)
	}
	w := newBadWorld(t, c.head)
	for i := range words {
		words[i] = w.names.Replace(words[i])
	}
	for len(words) > 0 && strings.HasPrefix(words[0], "DELAYD_") {
		name, value, _ := strings.Cut(words[0], "=")
		t.Setenv(name, value)
		words = words[1:]
	}
	var args []string
	for _, word := range words {
		if word == "{login}" {
			args = append(args, "--sasl", "plain", "--sasl-user", badUser, "--sasl-password-file", filepath.Join(w.dir, "password"))
			continue
		}
		args = append(args, word)
	}
	code, _, stderr := runDelayd(t, "", args...)
	// What is logged before it fails is not part of the message.
	if _, message, logged := strings.Cut("\n"+stderr, "\ndelayd: "); logged {
		stderr = "delayd: " + message
	}
	answer := fmt.Sprintf("exit %d\n", code)
	for line := range strings.Lines(w.back.Replace(stderr)) {
		answer += "    " + line
	}
	return answer
}

// unescape puts bytes in that do not show.
func unescape(s string) string {
	return strings.NewReplacer("{esc}", "\x1b", "{newline}", "\n", "{nul}", "\x00", "{bom}", "\ufeff", "{no-utf8}", "\xff",
		"{250}", strings.Repeat("a", 250)).Replace(s)
}

// tryHeaders asks the router's policy what becomes of a record.
func tryHeaders(t *testing.T, words []string) string {
	t.Helper()
	rec := new(kgo.Record)
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	policy := router.Policy{Ladder: levels.Default(), Names: levels.Names{Prefix: levels.DefaultPrefix}, DenyTargets: []string{"secret*"}}
	d := policy.Decide(rec, time.UnixMilli(0))
	if d.Kind != router.Dead {
		t.Fatalf("%q: no dead letter", words)
	}
	return fmt.Sprintf("dead, %s\n    %s\n", d.Refusal.Code, d.Refusal.Detail)
}

// badUser is who has only the rights of a case.
const badUser = "sinbad"

// badWorld is what a case needs around it: files, and a broker with topics and rights.
type badWorld struct {
	dir         string
	names, back *strings.Replacer // of placeholders, and to them
}

func newBadWorld(t *testing.T, head []string) *badWorld {
	t.Helper()
	w := &badWorld{dir: t.TempDir()}
	var topics, rights [][]string
	var file string
	for _, line := range head {
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "# "):
		case words[0] == "topics" || words[0] == "topic":
			topics = append(topics, words)
		case words[0] == "may":
			rights = append(rights, words[1:])
		case words[0] == "file" && len(words) == 2:
			file = filepath.Join(w.dir, words[1])
			writeTo(t, file, "")
		case strings.HasPrefix(line, "| ") && file != "":
			writeTo(t, file, unescape(line[2:])+"\n")
		default:
			t.Fatalf("%q: write # why, topics LADDER, topic NAME SETTING=VALUE…, may OPERATION KIND NAME, file NAME or | TEXT", line)
		}
	}
	there := nobody
	if len(topics)+len(rights) > 0 {
		writeTo(t, filepath.Join(w.dir, "password"), "sesame\n")
		there = startBadBroker(t, topics, rights)
	}
	w.names = strings.NewReplacer("{brokers}", there, "{dir}", w.dir)
	w.back = strings.NewReplacer(there, "{brokers}", w.dir, "{dir}")
	return w
}

// writeTo adds to a file.
func writeTo(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// startBadBroker starts a broker with topics, which asks who one is only where there
// are rights.
func startBadBroker(t *testing.T, topics, rights [][]string) (addr string) {
	t.Helper()
	opts := []kfake.Opt{kfake.DefaultNumPartitions(1)}
	var login []kgo.Opt
	if len(rights) > 0 {
		var acls []kfake.ACL
		for _, r := range rights {
			if len(r) == 3 {
				acls = append(acls, acl(t, r))
			} else if r[0] != "nothing" {
				t.Fatalf("%q: write may OPERATION KIND NAME, or may nothing", r)
			}
		}
		opts = append(opts, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "r"), kfake.User("PLAIN", badUser, "sesame", acls...))
		login = append(login, kgo.SASL(plain.Auth{User: "root", Pass: "r"}.AsMechanism()))
	}
	addr = fakekafka.Start(t, opts...).ListenAddrs()[0]
	cl, err := kgo.NewClient(append(login, kgo.SeedBrokers(addr))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, words := range topics {
		if words[0] == "topics" {
			ladder, err := levels.Parse(strings.Join(words[1:], " "))
			if err == nil {
				_, err = admin.Ensure(t.Context(), cl, admin.Spec{Ladder: ladder, Names: levels.Names{Prefix: levels.DefaultPrefix}})
			}
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		settings := make(map[string]*string)
		for _, w := range words[2:] {
			key, value, _ := strings.Cut(w, "=")
			settings[key] = &value
		}
		if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, settings, words[1]); err != nil {
			t.Fatal(err)
		}
	}
	return addr
}

// acl is a right of badUser's: an operation, what it is on, and the name, which may
// end with a *.
func acl(t *testing.T, words []string) kfake.ACL {
	t.Helper()
	operation, err1 := kmsg.ParseACLOperation(words[0])
	kind, err2 := kmsg.ParseACLResourceType(words[1])
	if err1 != nil || err2 != nil {
		t.Fatalf("%q: %v, %v", words, err1, err2)
	}
	a := kfake.ACL{Resource: kind, Name: words[2], Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: operation, Allow: true}
	if name, prefixed := strings.CutSuffix(a.Name, "*"); prefixed {
		a.Name, a.Pattern = name, kmsg.ACLResourcePatternTypePrefixed
	}
	return a
}
