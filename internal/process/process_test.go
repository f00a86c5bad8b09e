package process

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait. It only matters where a test fails.
const patience = time.Minute

func TestChild(t *testing.T) {
	t.Parallel()
	if (*Child)(nil).Running() {
		t.Error("a process runs that was not started")
	}
	c, err := Start(exec.Command("sleep", "1h"))
	if err != nil {
		t.Fatal(err)
	}
	if !c.Running() || c.EndsWithin(time.Millisecond) {
		t.Error("it has ended by itself")
	}
	for range 2 {
		if c.Kill(); c.Running() || !c.EndsWithin(patience) || c.Err() == nil {
			t.Errorf("after a kill: running %v, %v", c.Running(), c.Err())
		}
	}
}

// One process at a time, all with one log.
func TestProgram(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	p := Program{Name: "it", Command: []string{"sh", "-c", `echo "$WHO"; exec sleep 1h`}, Env: []string{"WHO=me"}, Log: log}
	for n := range 2 {
		if err := p.Kill(); !errors.Is(err, ErrNotRunning) || err.Error() != "send killed to it: it does not run" {
			t.Errorf("a kill of nothing: %v", err)
		}
		c, err := p.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Kill)
		if _, err := p.Start(); err == nil || err.Error() != "start it: it runs already" || p.Last() != c {
			t.Errorf("started again: %v", err)
		}
		for begun, said := time.Now(), ""; said != strings.Repeat("me\n", n+1); time.Sleep(time.Millisecond) {
			b, _ := os.ReadFile(log)
			if said = string(b); time.Since(begun) > patience {
				t.Fatalf("process %d: the log says %q", n, said)
			}
		}
		if _, err := p.Signal(syscall.SIGSTOP); err != nil || !p.Running() {
			t.Errorf("stopped: %v, running %v", err, p.Running())
		}
		if err := p.Kill(); err != nil || p.Running() {
			t.Errorf("killed: %v, running %v", err, p.Running())
		}
	}
}

func TestFreeAddrs(t *testing.T) {
	t.Parallel()
	if addrs, err := FreeAddrs(2); err != nil || len(addrs) != 2 || addrs[0] == addrs[1] {
		t.Errorf("%v, %v", addrs, err)
	}
}
