package deliver

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// scans is how far the parked topic has been read by CloseGates. What it read once need
// not be read again at the next assignment: the gates that it closed stay closed, and
// know of those records, until they are committed.
type scans struct {
	sync.Mutex
	done map[int32]scan // by partition
}

// scan is of offsets from start to end, which is not one of them.
type scan struct{ start, end int64 }

// from returns where to go on in a partition, of which the records from at to end are
// parked and not committed. Where at went back, as when somebody deleted the group's
// offsets, or the end did, as with another topic of the name, it begins anew.
func (s *scans) from(partition int32, at, end int64) int64 {
	d, ok := s.done[partition]
	if !ok || at < d.start || at > d.end || end < d.end {
		d = scan{at, at}
	}
	d.start = at
	if s.done == nil {
		s.done = make(map[int32]scan)
	}
	s.done[partition] = d
	return d.end
}

// to notes that rec was read.
func (s *scans) to(rec *kgo.Record) {
	d := s.done[rec.Partition]
	d.end = max(d.end, rec.Offset+1)
	s.done[rec.Partition] = d
}
