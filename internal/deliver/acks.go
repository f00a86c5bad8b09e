package deliver

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// maxDoubts is how many batches a broker remembers of a producer, and so how many
// records that are sent alone it may take for one of them.
const maxDoubts = 5

// maxTrials is how many acknowledgements there are for each partition in doubt, until it
// is taken that those that are left get no records by key.
const maxTrials = 20

// errNotWritten says that an acknowledgement was for another record.
var errNotWritten = errors.New("acknowledged as a duplicate of an earlier record")

// errDoubted stands for the answer of a record that was not sent with others.
var errDoubted = errors.New("not sent yet: it is not known whether its acknowledgement can be believed")

// acks is what is known of the records that a topic has taken.
//
// franz-go numbers the batches of a partition from zero again when its topic was
// purged, under the same producer epoch unless a batch was on its way. Where the
// broker still remembers a first batch of that many records, it takes the new one
// for a repetition: it acknowledges it with the old offset and writes nothing. So
// after a purge an offset has to be new before it is believed, and until one was, the
// partition's records are sent one by one: what was sent behind one that was not written
// would overtake it.
type acks struct {
	doubtful atomic.Bool // there are doubts

	mu     sync.Mutex
	last   map[int32]int64 // the highest offset, by partition
	doubts map[int32]int   // how many acknowledgements may still be disbelieved
	trials int             // how many more acknowledgements there are until doubts count less
}

// doubt is called before the topic is purged.
func (a *acks) doubt() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.doubts = make(map[int32]int, len(a.last))
	for n := range a.last {
		a.doubts[n] = maxDoubts
	}
	a.trials = maxTrials * len(a.doubts)
	a.doubtful.Store(len(a.doubts) > 0)
}

// sendAlone says whether a record has to be sent alone: the partition that it names, or
// may be given for its key, is in doubt. Those without a key have no order.
func (a *acks) sendAlone(key []byte, partition int32) bool {
	if !a.doubtful.Load() {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if partition != ByKey {
		return a.doubts[partition] > 0
	}
	return key != nil && a.trials > 0
}

// trying says whether most records are sent alone.
func (a *acks) trying() bool {
	if !a.doubtful.Load() {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.trials > 0
}

// believe says whether rec has been written, given that the broker says so. The
// doubts end after a few records that were sent alone, because the offsets of a
// topic that was deleted and made again start anew.
func (a *acks) believe(rec *kgo.Record, alone bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trials = max(0, a.trials-1)
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
	a.doubtful.Store(len(a.doubts) > 0)
	return true
}

// forget is called when the topic was deleted and made again.
func (a *acks) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last, a.doubts = nil, nil
	a.doubtful.Store(false)
}

// empty says that the topic has never taken anything.
func (a *acks) empty() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.last) == 0
}
