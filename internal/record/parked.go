package record

import (
	"fmt"
	"math"
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
	if f, err = UnparkInto(rec, src, ""); err != nil {
		return nil, levels.Facts{}, err
	}
	return src, f, nil
}

// UnparkInto is Unpark with the record written to src. topic is a guess at the target,
// which saves an allocation if it is right.
func UnparkInto(rec, src *kgo.Record, topic string) (f levels.Facts, err error) {
	h := readHeaders(rec.Headers)
	f, ok := hopFacts(h.due, h.accepted, h.granted, h.id)
	if !ok {
		return levels.Facts{}, fmt.Errorf(
			"parked record %s: the private headers %s, %s, %s and %s are not all there and well formed; "+
				"only the service writes to this topic",
			Origin(rec), KeyDue, KeyAccepted, KeyGranted, KeyID)
	}
	if len(h.target) == 0 {
		return levels.Facts{}, fmt.Errorf("parked record %s: the private header %s is missing or empty; "+
			"only the service writes to this topic", Origin(rec), KeyTarget)
	}
	if h.partitioned {
		if f.Partition, ok = parsePartition(h.partition); !ok {
			return levels.Facts{}, fmt.Errorf("parked record %s: %s %s is not a partition; "+
				"only the service writes to this topic", Origin(rec), KeyPartition, Quote(h.partition))
		}
	}
	if f.Topic = topic; string(h.target) != topic {
		f.Topic = string(h.target)
	}
	f.ID, f.Origin = h.names()
	if f.Since, ok = parseNumber(h.since, math.MaxInt64); !ok {
		f.Since = rec.Timestamp.UnixMilli() // parked then: it failed no later
	}
	*src = *rec
	src.Headers = h.public(rec.Headers)
	src.Key = nil
	if h.keyed {
		if src.Key = h.key; src.Key == nil {
			src.Key = []byte{} // there is a key, and nothing in it
		}
	}
	return f, nil
}

// parkedHeaders are the values of the headers that Parked puts on.
type parkedHeaders struct {
	due, accepted, granted, id, target, origin, since, partition, key []byte

	partitioned, keyed bool
	first              int  // of the private headers
	mixed              bool // public ones follow
}

// readHeaders reads them in one pass. The last of a name wins.
func readHeaders(all []kgo.RecordHeader) (p parkedHeaders) {
	p.first = len(all)
	for i := range all {
		h := &all[i]
		if !isHop(h.Key) {
			p.mixed = p.mixed || p.first < i
			continue
		}
		p.first = min(p.first, i)
		switch h.Key {
		case KeyDue:
			p.due = h.Value
		case KeyAccepted:
			p.accepted = h.Value
		case KeyGranted:
			p.granted = h.Value
		case KeyID:
			p.id = h.Value
		case KeyTarget:
			p.target = h.Value
		case KeyOrigin:
			p.origin = h.Value
		case KeySince:
			p.since = h.Value
		case KeyPartition:
			p.partition, p.partitioned = h.Value, true
		case KeyKey:
			p.key, p.keyed = h.Value, true
		}
	}
	return p
}

// public returns the headers that are not private: those of all in front of the first
// private one, which Parked puts behind them.
func (p *parkedHeaders) public(all []kgo.RecordHeader) []kgo.RecordHeader {
	if p.mixed {
		return WithoutHop(all, 0)
	}
	return all[:p.first:p.first]
}

// names returns the id and the origin, in one allocation.
func (p *parkedHeaders) names() (id, origin string) {
	var room [2 * maxPlace]byte
	both := string(append(append(room[:0], p.id...), p.origin...))
	return both[:len(p.id)], both[len(p.id):]
}
