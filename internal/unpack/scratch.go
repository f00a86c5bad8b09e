package unpack

import (
	"fmt"
	"runtime"
	"sync"
)

// scratchBytes is the size of the scratch buffer: a batch of MaxBatchBytes, and a block of
// zstd more, whose decoder finds a batch too large only behind a block.
const scratchBytes = MaxBatchBytes + zstdBlock + 1<<10

// scratch is a buffer for one large batch at a time, of all consumers of the process.
//
// It is not part of Go's heap. On the heap, small objects soon use pieces of what a large
// buffer leaves free, and the next buffer needs new addresses. The heap never returns
// addresses, and ulimit -d counts them.
var scratch struct {
	sync.Mutex
	mem  []byte // nil: not mapped
	used bool   // since the last collection
}

// withScratch calls do with the empty scratch buffer, once no other goroutine uses it.
// The result of do must not lie in the buffer. An error of its own is ErrNoRoom.
func withScratch(do func(buf []byte) ([]byte, error)) ([]byte, error) {
	scratch.Lock()
	defer scratch.Unlock()
	scratch.used = true
	if scratch.mem == nil {
		mem, err := mapMemory(scratchBytes)
		if err != nil {
			return nil, fmt.Errorf("%w: map %d MiB to unpack a batch: %w", ErrNoRoom, scratchBytes>>20, err)
		}
		scratch.mem = mem
		onCollection(unmapUnused)
	}
	return do(scratch.mem[:0])
}

// unmapUnused unmaps the scratch buffer if nobody has used it since the last collection.
func unmapUnused() {
	scratch.Lock()
	defer scratch.Unlock()
	switch {
	case scratch.mem == nil:
	case scratch.used:
		scratch.used = false
		onCollection(unmapUnused)
	default:
		unmapMemory(scratch.mem)
		scratch.mem = nil
	}
}

// onCollection calls do once, after the next garbage collection.
func onCollection(do func()) {
	garbage := new(struct{ _ *byte }) // with a pointer: Go packs other small objects together
	runtime.AddCleanup(garbage, func(do func()) { do() }, do)
}
