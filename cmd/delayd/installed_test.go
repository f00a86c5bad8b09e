package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/levels"
)

// TestSettle: what the service has published counts where no flag says otherwise.
func TestSettle(t *testing.T) {
	t.Parallel()
	ladder := func(spec string) levels.Ladder {
		l, err := levels.Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	published := &admin.Settings{Levels: ladder("5s 1m"), Partitions: 6, Instance: "one"}
	for _, tc := range []struct {
		flags      string // the levels that they say, or the default
		given      givenFlags
		published  *admin.Settings
		want       sureness
		levels     string
		partitions int32
		remark     string
	}{
		{"1s 2h", givenFlags{}, nil, guessed, "1s 2h", 4, "the levels of the service are not known"},
		{"1s 2h", givenFlags{levels: true}, nil, stated, "1s 2h", 4, ""},
		{"1s 2h", givenFlags{}, published, certain, "5s 1m", 6, ""},
		{"5s 60s", givenFlags{levels: true}, published, certain, "5s 1m", 6, ""},
		{"1s 2h", givenFlags{levels: true}, published, differing, "1s 2h", 6, `--levels "1s 2h": the service has other levels, "5s 1m", as its instance one`},
		{"1s 2h", givenFlags{partitions: true}, published, certain, "5s 1m", 4, ""},
	} {
		spec := admin.Spec{Ladder: ladder(tc.flags), Partitions: 4}
		got := settle(spec, tc.given, tc.published)
		if got.levels != tc.want || got.spec.Ladder.String() != tc.levels || got.spec.Partitions != tc.partitions ||
			!strings.HasPrefix(got.remark(), tc.remark) || tc.remark == "" && got.remark() != "" {
			t.Errorf("%+v: %v, levels %v, %d partitions, %q", tc, got.levels, got.spec.Ladder, got.spec.Partitions, got.remark())
		}
	}
}

// TestToolsAskTheService: without --levels the commands go by the levels of the service,
// and with others they advise neither to delete nor to create what it has or has not.
func TestToolsAskTheService(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--levels", "1s 45s", "--partitions", "2")
	published := func() bool {
		return strings.Contains(succeed(t, "", "admin", "status", "--brokers", s.broker, "-o", "json"), `"service":{"levels":"1s 45s","partitions":2,"delivery":"at-least-once",`)
	}
	for end := time.After(patience); !published(); {
		select {
		case <-end:
			t.Fatalf("nothing is published\n%s", s.err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	names := func(out string) (first []string) {
		for line := range strings.Lines(out) {
			if fields := strings.Fields(line); len(fields) > 1 {
				first = append(first, fields[0])
			}
		}
		return first
	}
	never := []string{"does not exist", "do not exist", "--delete", "retired"}

	out := succeed(t, "", "admin", "status", "--brokers", s.broker)
	if diff := cmp.Diff([]string{"LEVEL", "inbox", "1s", "45s", "parked", "dead"}, names(out)[:6]); diff != "" {
		t.Errorf("status (-want +got):\n%s\n%s", diff, out)
	}
	other := succeed(t, "", "admin", "status", "--brokers", s.broker, "--levels", "1s 2h")
	if !strings.Contains(other, `--levels "1s 2h": the service has other levels, "1s 45s"`) || !strings.Contains(other, "  not in the --levels of this command\n") {
		t.Errorf("status with another ladder:\n%s", other)
	}
	for _, word := range never {
		if strings.Contains(out+other, word) {
			t.Errorf("status says %q:\n%s\n%s", word, out, other)
		}
	}

	code, out, note := runDelayd(t, "", "admin", "plan", "--brokers", s.broker)
	if code != exitOK || !strings.HasSuffix(out, "nothing to do\n") || note != "as the service has published: --levels \"1s 45s\" --partitions 2\n" {
		t.Errorf("plan: exit code %d\n%s%s", code, out, note)
	}
	if code, out, note = runDelayd(t, "", "admin", "plan", "--brokers", s.broker, "--levels", "1s 2h"); code != exitToDo ||
		!strings.Contains(out, "delay.level.2h") || !strings.Contains(note, "the service has other levels") {
		t.Errorf("plan of another ladder: exit code %d\n%s%s", code, out, note)
	}
	if out := succeed(t, "", "admin", "provision", "--brokers", s.broker); strings.Contains(out, "created") {
		t.Errorf("provision:\n%s", out)
	}
}

// TestNoAdviceOnAGuess: nothing is published, and --levels not said, as with the topics of
// an older version.
func TestNoAdviceOnAGuess(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	if out := succeed(t, "", "admin", "status", "--brokers", broker, "--prefix", "dleay"); !strings.Contains(out, "there is no delayd with --prefix dleay") || strings.Contains(out, "do not exist") {
		t.Errorf("status of a prefix that nobody has:\n%s", out)
	}
	succeed(t, "", "admin", "provision", "--brokers", broker, "--levels", "5s 45s")
	out := succeed(t, "", "admin", "status", "--brokers", broker)
	for _, word := range []string{"exist", "--delete", "retired", "no topic"} {
		if strings.Contains(out, word) {
			t.Errorf("status says %q:\n%s", word, out)
		}
	}
	for _, want := range []string{"\n5s ", "\n45s ", `the levels of the service are not known (no service has published them); say --levels as for "delayd serve"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, command := range []string{"plan", "provision"} {
		code, out, stderr := runDelayd(t, "", "admin", command, "--brokers", broker)
		if code != exitUsage || out != "" || !strings.Contains(stderr, "--levels is needed: the default ones are not those of the topics that are there (delay.level.5s, delay.level.45s)") {
			t.Errorf("%s: exit code %d\n%s%s", command, code, out, stderr)
		}
	}
	// A level that this command alone does not know may be in use.
	if out := succeed(t, "", "admin", "status", "--brokers", broker, "--levels", "5s"); strings.Contains(out, "--delete") || !strings.Contains(out, "not in the --levels of this command") {
		t.Errorf("status with --levels:\n%s", out)
	}
}
