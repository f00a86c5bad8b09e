package deliver

import (
	"runtime"
	"sync"
	"time"
)

// intake is batches on their way to franz-go. Records that are due in the same
// millisecond come from many lanes at once; one goroutine passes them all on, so
// that they go out in one request, where a request for each would cost more than
// everything else that is done for them.
type intake struct {
	ready chan struct{} // has room for one: there are batches

	mu      sync.Mutex
	batches []*Batch
}

func newIntake() intake { return intake{ready: make(chan struct{}, 1)} }

// put adds b.
func (in *intake) put(b *Batch) {
	in.mu.Lock()
	in.batches = append(in.batches, b)
	in.mu.Unlock()
	signal(in.ready)
}

// take returns what was put there since it was called last; into is used again.
func (in *intake) take(into []*Batch) (batches []*Batch) {
	in.mu.Lock()
	defer in.mu.Unlock()
	batches, in.batches = in.batches, into[:0]
	return batches
}

// deliverIntake passes on what comes, until the outbox ends.
func (o *Outbox) deliverIntake() {
	var batches []*Batch
	for {
		select {
		case <-o.intake.ready:
		case <-o.ctx.Done():
			return
		}
		runtime.Gosched() // the other lanes that are due come first
		batches = o.intake.take(batches)
		now := time.Now()
		for i, b := range batches {
			b.pass(now)
			batches[i] = nil
		}
	}
}
