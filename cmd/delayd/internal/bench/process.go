package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	gopsutil "github.com/shirou/gopsutil/v4/process"

	"github.com/delayd-io/delayd/internal/process"
)

const (
	// stopWait is how long a contender may take to end when it is asked to;
	// then it is killed.
	stopWait = 10 * time.Second
	// keptLines is how much of what a contender writes to stderr is shown when
	// it dies.
	keptLines = 20
	// maxLine is the longest line that is read of a contender; the rest of a
	// longer one is lost.
	maxLine = 64 << 10
	// sampleEvery is how often the memory of a contender is sampled.
	sampleEvery = 100 * time.Millisecond
	// mib is a MiB in bytes.
	mib = 1 << 20
)

// ReadyLine is what a yardstick writes to stdout when it has its partitions.
const ReadyLine = "ready"

// errNoReason is how a process ends that thinks that it is done.
var errNoReason = errors.New("exit status 0")

// child is a contender's process. It never outlives the bench.
type child struct {
	*process.Child
	started time.Time
	ready   chan struct{} // closed when it has written ReadyLine
	lines   lastLines     // of its stderr
	sampled *gopsutil.Process

	mu   sync.Mutex
	peak uint64 // guarded by mu; resident bytes
}

// startChild starts program. ctx is the bench's own life, not that of one wait:
// when it ends the child is asked to.
func startChild(ctx context.Context, environ []string, program string, args ...string) (*child, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopWait
	cmd.Env = append(environment(os.Environ()), environ...)
	c := &child{started: time.Now(), ready: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &lastLines{ready: c.ready}, &c.lines
	var err error
	if c.Child, err = process.Start(cmd); err != nil {
		return nil, fmt.Errorf("start %s %s: %w", filepath.Base(program), args[0], err)
	}
	if c.sampled, err = gopsutil.NewProcess(int32(cmd.Process.Pid)); err != nil {
		c.sampled = nil // it has ended already; its end says why
	}
	go c.sample()
	return c, nil
}

// environment is environ without our own variables: what a contender runs with
// is on its command line, and so in the report.
func environment(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool { return strings.HasPrefix(entry, "DELAYD_") })
}

// sample notes the greatest resident memory until the process has ended.
func (c *child) sample() {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		c.resident()
		select {
		case <-tick.C:
		case <-c.Done():
			return
		}
	}
}

// resident is how much memory the child holds just now, in bytes; 0 once it has
// ended.
func (c *child) resident() uint64 {
	if c.sampled == nil {
		return 0
	}
	m, err := c.sampled.MemoryInfo()
	if err != nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peak = max(c.peak, m.RSS)
	return m.RSS
}

func (c *child) peakMiB() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return float64(c.peak) / mib
}

// cpu is the user and system time of the child so far, of all its life once it
// has ended.
func (c *child) cpu() time.Duration {
	if !c.Running() {
		return c.Cmd.ProcessState.UserTime() + c.Cmd.ProcessState.SystemTime()
	}
	if c.sampled == nil {
		return 0
	}
	t, err := c.sampled.Times()
	if err != nil {
		return 0
	}
	return time.Duration((t.User + t.System) * float64(time.Second))
}

// fault says why the child has ended, nil while it runs.
func (c *child) fault() error {
	if c.Running() {
		return nil
	}
	return fmt.Errorf("%s ended by itself: %w\n%s", c.Cmd.Args[1], cmp.Or(c.Err(), errNoReason), &c.lines)
}

// stop asks the child to end, and ends it when it does not.
func (c *child) stop() {
	_ = c.Cmd.Process.Signal(syscall.SIGTERM) // an error says that it has ended
	if !c.EndsWithin(stopWait) {
		c.Kill()
	}
}

// lastLines keeps the end of what is written to it.
type lastLines struct {
	mu    sync.Mutex    // guards all below
	ready chan struct{} // closed when ReadyLine is written, and nil then
	lines []string
	rest  []byte
}

func (l *lastLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := strings.Cut(string(l.rest), "\n")
		if !found {
			break
		}
		if line == ReadyLine && l.ready != nil {
			close(l.ready)
			l.ready = nil
		}
		l.lines = append(l.lines, line)
		l.rest = []byte(rest)
	}
	l.rest = l.rest[:min(len(l.rest), maxLine)]
	l.lines = l.lines[max(0, len(l.lines)-keptLines):]
	return len(p), nil
}

func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(append(slices.Clone(l.lines), string(l.rest)), "\n")
}
