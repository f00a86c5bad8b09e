package forwarder

import (
	"sync"

	"github.com/delayd-io/delayd/internal/consume"
)

// inCall is the records of this process that are in a call, of all forwarders.
var inCall places

// places is a set of records, of which each can be in it once.
type places struct {
	mu sync.Mutex
	in map[consume.Place]chan struct{} // closed when the record leaves
}

// enter puts a record in and returns what takes it out. It waits while the record is in:
// a call that goes on after its partition was taken away has to end before the record is
// handed out again in this process. It is false when halted is closed before that.
func (p *places) enter(at consume.Place, halted <-chan struct{}) (leave func(), ok bool) {
	for {
		p.mu.Lock()
		former := p.in[at]
		if former == nil {
			break // with the lock
		}
		p.mu.Unlock()
		select {
		case <-former:
		case <-halted:
			return nil, false
		}
	}
	defer p.mu.Unlock()
	if p.in == nil {
		p.in = make(map[consume.Place]chan struct{})
	}
	gone := make(chan struct{})
	p.in[at] = gone
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.in, at)
		close(gone)
	}, true
}
