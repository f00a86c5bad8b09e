package record

import (
	"fmt"
	"math"
	"math/bits"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// parkAdds is how many headers Parked puts on at most.
const parkAdds = hopAdds + 5

// Parked is the record that waits on the parked topic until its target can be
// written: keyed by the target, so that the records of one target stay in order,
// with the real key and all facts in private headers.
func Parked(src *kgo.Record, topic string, f levels.Facts) *kgo.Record {
	headers := WithoutHop(src.Headers, parkAdds)
	origin := OriginOf(&f, src)
	v := newValues(hopSize(src, &f) + 2*len(f.Topic) + len(origin) + 2*maxNumber)
	headers = appendHop(headers, &v, src, &f)
	headers = add(headers, KeyOrigin, v.text(origin))
	headers = add(headers, KeyTarget, v.text(f.Topic))
	headers = add(headers, KeySince, v.number(f.Since))
	if f.Partition != levels.ByKey {
		headers = add(headers, KeyPartition, v.number(int64(f.Partition)))
	}
	if src.Key != nil {
		headers = add(headers, KeyKey, src.Key)
	}
	return &kgo.Record{Topic: topic, Partition: levels.ByKey, Key: v.text(f.Topic), Value: src.Value, Headers: headers}
}

// ParkedSource returns the partition from which the record that rec, parked, stands
// for was first read. ok is false if Parked did not make rec.
func ParkedSource(rec *kgo.Record) (topic string, partition int32, ok bool) {
	origin, _ := Last(rec.Headers, KeyOrigin)
	topic, place, _ := strings.Cut(string(origin), "/")
	number, _, _ := strings.Cut(place, "/")
	partition, ok = parsePartition([]byte(number))
	return topic, partition, ok
}

// Unpark is the inverse of Parked: the record that was parked, but for private
// headers and for where it was read, and the facts. The error names what is wrong
// with a record that Parked did not make.
func Unpark(rec *kgo.Record) (src *kgo.Record, f levels.Facts, err error) {
	src = new(kgo.Record)
	h := Read(rec.Headers)
	if f, err = UnparkInto(rec, h, src, ""); err != nil {
		return nil, levels.Facts{}, err
	}
	return src, f, nil
}

// UnparkInto is Unpark of rec, whose headers are h, with the record written to src and h
// left to be the headers of that. topic is a guess at the target, which saves an
// allocation if it is right.
func UnparkInto(rec *kgo.Record, h *Headers, src *kgo.Record, topic string) (f levels.Facts, err error) {
	f, ok := hopFacts(h.hopValues())
	if !ok {
		return levels.Facts{}, fmt.Errorf(
			"parked record %s: the private headers %s, %s, %s and %s are not all there and well formed; "+
				"only the service writes to this topic",
			Origin(rec), KeyDue, KeyAccepted, KeyGranted, KeyID)
	}
	target, _ := h.value(keyHopTarget)
	if len(target) == 0 {
		return levels.Facts{}, fmt.Errorf("parked record %s: the private header %s is missing or empty; "+
			"only the service writes to this topic", Origin(rec), KeyTarget)
	}
	if partition, given := h.value(keyHopPartition); given {
		if f.Partition, ok = parsePartition(partition); !ok {
			return levels.Facts{}, fmt.Errorf("parked record %s: %s %s is not a partition; "+
				"only the service writes to this topic", Origin(rec), KeyPartition, Quote(partition))
		}
	}
	if f.Topic = topic; string(target) != topic {
		f.Topic = string(target)
	}
	f.ID, f.Origin = h.names()
	if f.Since, ok = h.number(keyHopSince, math.MaxInt64); !ok {
		f.Since = rec.Timestamp.UnixMilli() // parked then: it failed no later
	}
	*src = *rec
	var keyed bool
	if src.Key, keyed = h.value(keyHopKey); keyed && src.Key == nil {
		src.Key = []byte{} // there is a key, and nothing in it
	}
	h.dropPrivate()
	src.Headers = h.all
	return f, nil
}

// names returns the id and the origin, in one allocation.
func (h *Headers) names() (id, origin string) {
	var room [2 * maxPlace]byte
	value, _ := h.value(keyHopID)
	from, _ := h.value(keyHopOrigin)
	both := string(append(append(room[:0], value...), from...))
	return both[:len(value)], both[len(value):]
}

// dropPrivate leaves the headers that are not private. They are those in front of the
// first private one, unless someone else than Parked made the record.
func (h *Headers) dropPrivate() {
	first, after := bits.TrailingZeros64(h.private), bits.Len64(h.private)
	if len(h.all) > maxMarked || after != len(h.all) || bits.OnesCount64(h.private) != after-first {
		h.read(WithoutHop(h.all, 0))
		return
	}
	h.all, h.private = h.all[:first:first], 0
	clear(h.at[keyHopDue:])
}
