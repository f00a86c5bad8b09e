package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/delayd-io/delayd/cmd/delayd/internal/embedded"
)

var update = flag.Bool("update", false, "write the golden files")

// asDelayd in the environment turns the test binary into the program, for tests
// of signals and kills.
const asDelayd = "TEST_AS_DELAYD"

func TestMain(m *testing.M) {
	if os.Getenv(asDelayd) != "" {
		main()
	}
	for _, entry := range os.Environ() { // whoever runs the tests may use delayd too
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "DELAYD_") || strings.HasPrefix(name, "KAFKA_") || strings.HasPrefix(name, "OTEL_") {
			os.Unsetenv(name)
		}
	}
	goleak.VerifyTestMain(m)
}

// patience bounds every wait. It only matters where a test fails.
const patience = time.Minute

// runDelayd runs a command to its end.
func runDelayd(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, err bytes.Buffer
	code = run(ctx, args, strings.NewReader(stdin), &out, &err)
	return code, out.String(), err.String()
}

// succeed runs a command that has to succeed, and returns its output.
func succeed(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	code, stdout, stderr := runDelayd(t, stdin, args...)
	if code != exitOK {
		t.Fatalf("delayd %s: exit code %d\n%s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// command is a command that goes on until it is stopped.
type command struct {
	out, err *output
	cancel   context.CancelFunc
	exited   chan int
}

// start starts a command in this process. It is stopped with the test.
func start(t *testing.T, args ...string) *command {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &command{out: newOutput(), err: newOutput(), cancel: cancel, exited: make(chan int, 1)}
	go func() { c.exited <- run(ctx, args, strings.NewReader(""), c.out, c.err) }()
	t.Cleanup(func() { c.stop(t) })
	return c
}

// stop ends the command as a signal does, and returns its exit code.
func (c *command) stop(t *testing.T) int {
	t.Helper()
	c.cancel()
	return c.wait(t)
}

// wait returns the exit code once the command has ended.
func (c *command) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-c.exited:
		c.exited <- code // for the next who asks
		return code
	case <-time.After(patience):
		t.Fatalf("still running\n%s", c.err)
		return 0
	}
}

// output collects lines and lets a test wait for one.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{} // closed and replaced by each write
}

func newOutput() *output { return &output{written: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.written)
	o.written = make(chan struct{})
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// lines returns the complete lines so far, and what is closed by the next write.
func (o *output) lines() ([]string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	lines := strings.Split(o.text.String(), "\n")
	return lines[:len(lines)-1], o.written
}

// await returns the first line that holds all of words.
func (o *output) await(t *testing.T, words ...string) string {
	t.Helper()
	timeout := time.After(patience)
	for {
		lines, written := o.lines()
		for _, line := range lines {
			if holdsAll(line, words) {
				return line
			}
		}
		select {
		case <-written:
		case <-timeout:
			t.Fatalf("no line with %q in\n%s", words, o)
		}
	}
}

func holdsAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

// startBroker starts an embedded broker in memory, which ends with the test.
func startBroker(t *testing.T) (addr string) {
	t.Helper()
	broker, err := embedded.Start(embedded.Config{Addr: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	return broker.Addr()
}
