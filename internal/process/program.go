package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// ErrNotRunning is the error of a signal to a program of which no process runs.
var ErrNotRunning = errors.New("it does not run")

// Program runs as one process after another, all of which append to one log. Its
// methods can be called from any goroutine.
type Program struct {
	Name    string   // in errors
	Command []string // the program and its arguments
	Env     []string // beside our own
	Log     string   // the file that it writes to

	mu   sync.Mutex
	last *Child // guarded by mu; nil before the first start
}

// Start starts a process and returns at once. Another one must not run.
func (p *Program) Start() (*Child, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last.Running() {
		return nil, fmt.Errorf("start %s: it runs already", p.Name)
	}
	c, err := p.begin()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.last = c
	return c, nil
}

func (p *Program) begin() (*Child, error) {
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own copy
	cmd := exec.Command(p.Command[0], p.Command[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), p.Env...)
	return Start(cmd)
}

// Last returns the process that was started last, nil before the first.
func (p *Program) Last() *Child {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// Running reports whether a process runs.
func (p *Program) Running() bool { return p.Last().Running() }

// Signal sends a signal to the process, which has to run, and returns it.
func (p *Program) Signal(sig syscall.Signal) (*Child, error) {
	c, err := p.Last(), ErrNotRunning
	if c.Running() {
		err = c.Cmd.Process.Signal(sig)
	}
	if err != nil {
		return nil, fmt.Errorf("send %v to %s: %w", sig, p.Name, err)
	}
	return c, nil
}

// Kill ends the process, which has to run, as kill -9 does, and waits for its end.
func (p *Program) Kill() error {
	c, err := p.Signal(syscall.SIGKILL)
	if err == nil {
		<-c.Done()
	}
	return err
}
