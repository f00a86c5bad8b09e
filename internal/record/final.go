package record

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// finalAdds is how many headers Final puts on at most.
const finalAdds = 6

// Final is the record that the consumer of the target gets: key, value and all
// headers that are not ours as they came and in their order, without the request,
// what one part of the service told another and what makes a dead letter, and behind
// them what we have to say. The key, the value and the bytes of headers are shared with src; its
// header slice is left alone. The timestamp is left to be the time of delivery.
//
// Headers that Final puts on mean nothing on src and are replaced, with one
// exception: delay-granted shows that src was delivered before and sent on to be
// delayed again. It is a new message then: it gets the new id, and the one that
// it had becomes delay-previous-id. Without delay-granted a producer has given the
// new id itself, and its delay-previous-id is kept. An empty delay-id is none.
func Final(src *kgo.Record, f levels.Facts) *kgo.Record {
	v := newValues(finalSize(src, &f))
	headers := appendFinal(make([]kgo.RecordHeader, 0, len(src.Headers)+finalAdds), &v, src, &f)
	return &kgo.Record{Topic: f.Topic, Partition: f.Partition, Key: src.Key, Value: src.Value, Headers: headers}
}

// finalSize is how many bytes the values that appendFinal makes take at most.
func finalSize(src *kgo.Record, f *levels.Facts) int {
	return idSize(src, f) + len(f.Granted) + 2*maxNumber
}

// appendFinal appends the headers of the record that Final makes.
func appendFinal(headers []kgo.RecordHeader, v *values, src *kgo.Record, f *levels.Facts) []kgo.RecordHeader {
	var id, previous, requested []byte
	var asked, again bool
	for i := range src.Headers {
		h := &src.Headers[i]
		switch h.Key {
		case levels.HeaderLevel:
			requested, asked = h.Value, true
		case levels.HeaderID:
			id = h.Value
		case levels.HeaderGranted:
			again = true
		case levels.HeaderPreviousID:
			previous = h.Value
		case levels.HeaderTarget, levels.HeaderPartition, levels.HeaderDue,
			levels.HeaderAccepted, levels.HeaderRequested,
			// Those in deathKeys: what is delivered is no dead letter.
			levels.HeaderError, levels.HeaderErrorDetail, levels.HeaderOrigin, levels.HeaderAttempts,
			levels.HeaderValueLength, levels.HeaderValueHash, levels.HeaderKeyLength, levels.HeaderKeyHash, levels.HeaderHeadersLeftOut:
		default:
			if !isHop(h.Key) {
				headers = append(headers, *h)
			}
		}
	}
	switch {
	case len(id) == 0:
		headers = add(headers, levels.HeaderID, v.id(src, f))
	case again:
		headers = add(headers, levels.HeaderID, v.id(src, f))
		headers = add(headers, levels.HeaderPreviousID, id)
	default:
		headers = add(headers, levels.HeaderID, id)
		if len(previous) > 0 {
			headers = add(headers, levels.HeaderPreviousID, previous)
		}
	}
	headers = add(headers, levels.HeaderDue, v.number(f.Due))
	headers = add(headers, levels.HeaderAccepted, v.number(f.Accepted))
	headers = add(headers, levels.HeaderGranted, v.text(f.Granted))
	if asked {
		headers = add(headers, levels.HeaderRequested, requested)
	}
	return headers
}
