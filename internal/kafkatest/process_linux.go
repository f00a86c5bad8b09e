package kafkatest

import "syscall"

// childAttributes ties a broker's life to ours: the kernel kills it when this
// program ends in whatever way, kill -9 and a test's time-out included. A process
// group of its own keeps a Ctrl-C on the terminal from reaching it first.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
