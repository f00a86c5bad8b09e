//go:build !linux

package bench

import "syscall"

// childAttributes leaves a contender in our process group: here the kernel does
// not end it with us, but a Ctrl-C on the terminal does.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
