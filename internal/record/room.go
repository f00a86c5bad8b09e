package record

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// Room is memory for the headers that [Room.Final] makes, shared by the records of one
// batch: in a release, allocations are most of the cost of a record. The zero value is
// ready for use.
type Room struct {
	headers []kgo.RecordHeader
	values  values
}

// commonHeaders and commonValues are how many headers, and bytes of their values, a
// record may have for the others of its batch to be taken to be like it. One with more
// gets memory of its own: a single one can have as many as fit into unpack.MaxBatchBytes.
const (
	commonHeaders = 64
	commonValues  = 1024
)

// Final returns the headers of the record that [Final] makes of src, whose headers are
// h. left is how many records of the batch are to come, this one included: if room runs
// out, it is made for all.
func (r *Room) Final(src *kgo.Record, h *Headers, f *levels.Facts, left int) []kgo.RecordHeader {
	count, size := h.keptCount()+finalAdds, finalSize(src, f)
	if count > commonHeaders || size > commonValues {
		return Final(src, *f).Headers
	}
	if cap(r.headers)-len(r.headers) < count {
		r.headers = make([]kgo.RecordHeader, 0, left*count)
	}
	if cap(r.values.buf)-len(r.values.buf) < size {
		r.values = newValues(left * size)
	}
	start := len(r.headers)
	r.headers = h.appendFinal(r.headers, &r.values, src, f)
	return r.headers[start:len(r.headers):len(r.headers)]
}

// Reset empties the room for another batch. Nobody may refer to its headers any more.
func (r *Room) Reset() {
	clear(r.headers)
	r.headers, r.values.buf = r.headers[:0], r.values.buf[:0]
}
