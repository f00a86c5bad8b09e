//go:build !linux

package process

import "syscall"

// attributes leave a child in our process group: here the kernel does not end it
// with us, but a Ctrl-C on the terminal does.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
