package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/delayd-io/delayd/internal/harness"
	"github.com/delayd-io/delayd/internal/process"
)

const (
	// readyWait is how long delayd may take until it says that it is ready, and
	// stopWait until it has ended after SIGTERM.
	readyWait = 60 * time.Second
	stopWait  = 60 * time.Second
	// restartWait is what a service manager waits before it starts again what has
	// ended by itself.
	restartWait = 500 * time.Millisecond
	// readyEvery is how often it is asked whether it is ready.
	readyEvery = 20 * time.Millisecond
	// logEnd is how much of a log is shown of a process that ended by itself.
	logEnd = 2 << 10
)

// instance is one delayd, by its instance id: one process after another. Its
// methods are for one goroutine at a time.
type instance struct {
	name     string
	program  process.Program
	http     string // where it says whether it is ready
	logFile  string // that of the program, unless a row has it write elsewhere
	restarts bool   // start it again when it ends by itself

	mu     sync.Mutex // guards all below
	asked  bool       // its end was asked for
	frozen bool
	// ends are those that nobody asked for, in words.
	ends []string
}

// start starts a process, which must not run.
func (i *instance) start() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.startLocked()
}

// ensure starts a process unless one runs.
func (i *instance) ensure() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.program.Running() {
		return nil
	}
	return i.startLocked()
}

// startLocked is start for callers that hold the lock.
func (i *instance) startLocked() error {
	p, err := i.program.Start()
	if err != nil {
		return err
	}
	i.asked, i.frozen = false, false
	go i.watch(p)
	return nil
}

// watch notes an end that nobody asked for, and starts the next process where
// that is what is to happen. It ends with the process.
func (i *instance) watch(p *process.Child) {
	<-p.Done()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.asked || i.program.Last() != p {
		return
	}
	i.ends = append(i.ends, fmt.Sprintf("delayd %s ended by itself with exit code %d: %s", i.name, p.Cmd.ProcessState.ExitCode(), i.logTail()))
	if !i.restarts {
		return
	}
	time.AfterFunc(restartWait, func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.asked || i.program.Last() != p {
			return
		}
		if err := i.startLocked(); err != nil {
			i.ends = append(i.ends, err.Error())
		}
	})
}

// logTail is the end of the log.
func (i *instance) logTail() string {
	b, err := os.ReadFile(i.logFile)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-logEnd):])
}

// signal sends a signal to the process, which has to run. asked says that its end is
// what is wanted.
func (i *instance) signal(sig syscall.Signal, asked bool) (*process.Child, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	p, err := i.program.Signal(sig)
	if err != nil {
		return nil, err
	}
	i.asked = i.asked || asked // no restart either
	switch sig {
	case syscall.SIGSTOP:
		i.frozen = true
	case syscall.SIGCONT:
		i.frozen = false
	}
	return p, nil
}

// kill ends the process as kill -9 does, frozen or not.
func (i *instance) kill() error {
	p, err := i.signal(syscall.SIGKILL, true)
	if err != nil {
		return err
	}
	<-p.Done()
	return nil
}

// stop ends the process as an operator does, and wants exit code 0.
func (i *instance) stop() error {
	p, err := i.signal(syscall.SIGTERM, true)
	if err != nil {
		return err
	}
	if !p.EndsWithin(stopWait) {
		return errors.Join(fmt.Errorf("delayd %s still runs %v after SIGTERM", i.name, stopWait), i.kill())
	}
	if code := p.Cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("delayd %s ended after SIGTERM with exit code %d: %s", i.name, code, i.logTail())
	}
	return nil
}

// endsWith waits for an end that is wanted, with that exit code, after expectEnd.
func (i *instance) endsWith(ctx context.Context, code int) error {
	p := i.program.Last()
	ctx, cancel := context.WithTimeout(ctx, stopWait)
	defer cancel()
	select {
	case <-p.Done():
	case <-ctx.Done():
		return fmt.Errorf("wait until delayd %s ends by itself: %w", i.name, context.Cause(ctx))
	}
	if got := p.Cmd.ProcessState.ExitCode(); got != code {
		return fmt.Errorf("delayd %s ended by itself with exit code %d, want %d: %s", i.name, got, code, i.logTail())
	}
	return nil
}

// expectEnd says that it is right if the process ends by itself.
func (i *instance) expectEnd() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked = true
}

// pid is the process's id, of the latest where none runs.
func (i *instance) pid() int { return i.program.Last().Cmd.Process.Pid }

// freeze stops the process where it is, and thaw lets it go on.
func (i *instance) freeze() error {
	_, err := i.signal(syscall.SIGSTOP, false)
	return err
}

func (i *instance) thaw() error {
	_, err := i.signal(syscall.SIGCONT, false)
	return err
}

// running reports whether there is a process, and frozen whether it is stopped.
func (i *instance) running() (running, frozen bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.program.Running(), i.frozen
}

// unasked are the ends of processes that nobody asked for, in words.
func (i *instance) unasked() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]string(nil), i.ends...)
}

// ready waits until the process says that it is ready.
func (i *instance) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	poll := time.NewTicker(readyEvery)
	defer poll.Stop()
	last := errors.New("no answer yet")
	for {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until delayd %s is ready: %w (last: %w): %s", i.name, context.Cause(ctx), last, i.logTail())
		}
		if last = harness.Ready(ctx, i.http); last == nil {
			return nil
		}
	}
}

// newInstance makes an instance that nothing runs of yet.
func newInstance(dir, name, address string, command []string) *instance {
	file := filepath.Join(dir, "delayd-"+name+".log")
	return &instance{name: name, program: process.Program{Name: "delayd " + name, Command: command, Log: file}, http: address, logFile: file}
}
