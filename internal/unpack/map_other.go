//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package unpack

// mapMemory returns size bytes of Go's heap.
func mapMemory(size int) ([]byte, error) { return make([]byte, size), nil }

// unmapMemory leaves the memory to the collector.
func unmapMemory([]byte) {}
