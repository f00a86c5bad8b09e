//go:build unix && !linux

package kafkatest

import "syscall"

// childAttributes leaves a broker in our process group: here the kernel does not
// end it with us, but a Ctrl-C on the terminal does.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
