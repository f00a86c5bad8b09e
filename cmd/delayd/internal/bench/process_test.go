package bench

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func startTestChild(t *testing.T, what string) *child {
	t.Helper()
	t.Setenv(asChild, "1")
	c, err := startChild(t.Context(), nil, os.Args[0], what)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	return c
}

func await(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("not %s after %v", what, patience)
	}
}

func TestChildIsReadyAndEndsWhenAsked(t *testing.T) {
	c := startTestChild(t, "serve")
	await(t, "ready", c.ready)
	if err := c.fault(); err != nil {
		t.Errorf("a fault while it runs: %v", err)
	}
	if c.resident() == 0 || c.peakMiB() == 0 {
		t.Error("no memory")
	}
	c.stop()
	await(t, "ended", c.Done())
	if c.Err() != nil || c.lines.String() != "asked to end\n" {
		t.Errorf("it ended with %v and wrote %q", c.Err(), c.lines.String())
	}
	if c.cpu() == 0 {
		t.Error("no CPU time of a process that has ended")
	}
	if c.resident() != 0 {
		t.Error("memory of a process that has ended")
	}
}

func TestChildThatDiesSaysWhy(t *testing.T) {
	c := startTestChild(t, "die")
	await(t, "ended", c.Done())
	err := c.fault()
	if err == nil {
		t.Fatal("no fault")
	}
	text := err.Error()
	if !strings.Contains(text, "die ended by itself: exit status 3") || !strings.HasSuffix(text, "\nline 20\n") {
		t.Errorf("fault: %v", err)
	}
	if strings.Contains(text, "line 0\n") {
		t.Errorf("more than the last %d lines: %v", keptLines, err)
	}
}

func TestChildOfNoProgram(t *testing.T) {
	t.Parallel()
	if _, err := startChild(t.Context(), nil, "/no/such/delayd", "serve"); err == nil || !strings.HasPrefix(err.Error(), "start delayd serve: ") {
		t.Errorf("error: %v", err)
	}
}

// A kill and a restart lose nothing of what was used before.
func TestContenderAddsUpItsProcesses(t *testing.T) {
	t.Setenv(asChild, "1")
	c := &contender{kind: Copy, program: os.Args[0], args: []string{"serve"}}
	if err := c.startReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := c.child
	if err := c.restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.end()
	if err := c.awaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.child == first || first.Running() {
		t.Error("the first process was not replaced")
	}
	if c.cpu() < first.cpu() || c.peakMiB() < first.peakMiB() {
		t.Error("what the first process used is forgotten")
	}
}

func TestAwaitReadyOfAProcessThatDies(t *testing.T) {
	t.Setenv(asChild, "1")
	c := &contender{kind: Copy, program: os.Args[0], args: []string{"die"}}
	if err := c.startReady(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error: %v", err)
	}
	c.end()
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	var l lastLines
	for _, s := range []string{"a", "b\nc", "\n", "d"} {
		if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatalf("write %q: %d, %v", s, n, err)
		}
	}
	if got := l.String(); got != "ab\nc\nd" {
		t.Errorf("%q", got)
	}
	l.Write([]byte(strings.Repeat("x", 2*maxLine)))
	if got := len(l.rest); got != maxLine {
		t.Errorf("%d bytes of a line without an end are kept", got)
	}
}

// A contender is set up by its command line alone.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	got := environment([]string{"PATH=/bin", "DELAYD_LEVELS=1s", "DELAYDX=1", "GOMAXPROCS=2"})
	if diff := cmp.Diff([]string{"PATH=/bin", "DELAYDX=1", "GOMAXPROCS=2"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
