package record

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// finalAdds is how many headers Final puts on at most.
const finalAdds = 6

// Final is the record that the consumer of the target gets: key, value and user headers
// unchanged and in order, then delayd's own headers. The request, private headers, and those of
// dead letters are removed. The key, the value and the bytes of headers are shared with src;
// its header slice is left alone. The timestamp is left to be the time of delivery.
//
// Headers that Final puts on mean nothing on src and are replaced, with one
// exception: delay-granted shows that src was delivered before and sent on to be
// delayed again. It is a new message then: it gets the new id, and the one that
// it had becomes delay-previous-id. Without delay-granted a producer has given the
// new id itself, and its delay-previous-id is kept. An empty delay-id is none. What tells of
// the retries of the message that it was is dropped; Retried takes delay-granted off.
func Final(src *kgo.Record, f levels.Facts) *kgo.Record {
	h := Read(src.Headers)
	v := newValues(finalSize(src, &f))
	headers := h.appendFinal(make([]kgo.RecordHeader, 0, h.keptCount()+finalAdds), &v, src, &f)
	return &kgo.Record{Topic: f.Topic, Partition: f.Partition, Key: src.Key, Value: src.Value, Headers: headers}
}

// finalSize is how many bytes the values that appendFinal makes take at most.
func finalSize(src *kgo.Record, f *levels.Facts) int {
	return idSize(src, f) + len(f.Granted) + 2*maxNumber
}

// appendFinal appends the headers of the record that Final makes of src, whose headers
// are h.
func (h *Headers) appendFinal(headers []kgo.RecordHeader, v *values, src *kgo.Record, f *levels.Facts) []kgo.RecordHeader {
	start := len(headers)
	headers = h.appendKept(headers)
	id, _ := h.value(keyID)
	_, again := h.value(keyGranted)
	if again { // the retries of the message that it was
		headers = dropAttempts(headers, start)
	}
	switch {
	case len(id) == 0:
		headers = add(headers, levels.HeaderID, v.id(src, f))
	case again:
		headers = add(headers, levels.HeaderID, v.id(src, f))
		headers = add(headers, levels.HeaderPreviousID, id)
	default:
		headers = add(headers, levels.HeaderID, id)
		if previous, _ := h.value(keyPreviousID); len(previous) > 0 {
			headers = add(headers, levels.HeaderPreviousID, previous)
		}
	}
	headers = add(headers, levels.HeaderDue, v.number(f.Due))
	headers = add(headers, levels.HeaderAccepted, v.number(f.Accepted))
	headers = add(headers, levels.HeaderGranted, v.text(f.Granted))
	if requested, asked := h.requested(); asked {
		headers = add(headers, levels.HeaderRequested, requested)
	}
	return headers
}
