package bench

import "syscall"

// childAttributes ties a contender's life to ours: the kernel kills it when the
// bench ends in whatever way. A process group of its own keeps a Ctrl-C on the
// terminal from reaching it before the bench has asked it to end.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
