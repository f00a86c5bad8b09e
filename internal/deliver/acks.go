package deliver

import (
	"errors"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// maxDoubts is how many batches a broker remembers of a producer, and so how many
// records that are sent alone it may take for one of them.
const maxDoubts = 5

// errNotWritten says that an acknowledgement was for another record.
var errNotWritten = errors.New("acknowledged as a duplicate of an earlier record")

// acks is what is known of the records that a topic has taken.
//
// franz-go numbers the batches of a partition from zero again when its topic was
// purged, under the same producer epoch unless a batch was on its way. Where the
// broker still remembers a first batch of that many records, it takes the new one
// for a repetition: it acknowledges it with the old offset and writes nothing. So
// after a purge an offset has to be new before it is believed.
type acks struct {
	mu     sync.Mutex
	last   map[int32]int64 // the highest offset, by partition
	doubts map[int32]int   // how many acknowledgements may still be disbelieved
}

// doubt is called before the topic is purged.
func (a *acks) doubt() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.doubts = make(map[int32]int, len(a.last))
	for n := range a.last {
		a.doubts[n] = maxDoubts
	}
}

// believe says whether rec has been written, given that the broker says so. The
// doubts end after a few records that were sent alone, because the offsets of a
// topic that was deleted and made again start anew.
func (a *acks) believe(rec *kgo.Record, alone bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	last, known := a.last[rec.Partition]
	if known && rec.Offset <= last && a.doubts[rec.Partition] > 0 {
		if alone {
			a.doubts[rec.Partition]--
		}
		return false
	}
	if a.last == nil {
		a.last = make(map[int32]int64)
	}
	a.last[rec.Partition] = rec.Offset
	delete(a.doubts, rec.Partition)
	return true
}

// forget is called when the topic was deleted and made again.
func (a *acks) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = nil
}

// empty says that the topic has never taken anything.
func (a *acks) empty() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.last) == 0
}
