package process

import "syscall"

// attributes tie a child's life to ours: the kernel kills it when this program
// ends in whatever way, kill -9 and a test's time-out included. A process group
// of its own keeps a Ctrl-C on the terminal from reaching it first.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
