// Package process starts processes that do not outlive this program, and knows
// when they have ended.
package process

import (
	"os/exec"
	"runtime"
	"time"
)

// Child is a process that was started. Its end is waited for by a goroutine of
// its own.
type Child struct {
	Cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how it ended; read it after done
}

// Start starts cmd so that it does not outlive this program: on Linux whatever
// way this program ends, elsewhere a Ctrl-C reaches both.
func Start(cmd *exec.Cmd) (*Child, error) {
	cmd.SysProcAttr = attributes()
	p := &Child{Cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// To Linux the parent is the thread that started the child, so this thread
		// has to live as long as the child does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, <-started
}

// Done is closed when the process has ended and all that it wrote is read.
func (p *Child) Done() <-chan struct{} { return p.done }

// Err is how the process ended, as [exec.Cmd.Wait] says it. Only read it after
// Done.
func (p *Child) Err() error { return p.err }

// Running reports whether the process has not ended. A nil Child was not started.
func (p *Child) Running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// EndsWithin waits until the process has ended, at most for d, and reports whether
// it has.
func (p *Child) EndsWithin(d time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(d):
		return false
	}
}

// Kill ends the process as kill -9 does, and waits for its end.
func (p *Child) Kill() {
	_ = p.Cmd.Process.Kill() // an error says that it has ended
	<-p.done
}
