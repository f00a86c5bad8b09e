//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package unpack

import "syscall"

// mapMemory returns size bytes of memory outside of Go's heap.
func mapMemory(size int) ([]byte, error) {
	return syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
}

// unmapMemory returns memory of mapMemory to the system. Munmap fails only for other memory.
func unmapMemory(mem []byte) { _ = syscall.Munmap(mem) }
