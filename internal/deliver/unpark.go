package deliver

import (
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// Unpark is the inverse of Parked: the record that was parked, but for private
// headers and for where it was read, and the facts. The error names what is wrong
// with a record that Parked did not make.
func Unpark(rec *kgo.Record) (src *kgo.Record, f Facts, err error) {
	src = new(kgo.Record)
	if f, err = unpark(rec, src, ""); err != nil {
		return nil, Facts{}, err
	}
	return src, f, nil
}

// unpark does the same into src. topic is a guess at the target, which saves memory
// where it is right.
func unpark(rec, src *kgo.Record, topic string) (f Facts, err error) {
	h := readHeaders(rec.Headers)
	f, ok := hopFacts(h.due, h.accepted, h.granted, h.id)
	if !ok {
		return Facts{}, fmt.Errorf(
			"parked record %s: the private headers %s, %s, %s and %s are not all there and well formed; "+
				"only the service writes to this topic",
			Origin(rec), levels.HopDue, levels.HopAccepted, levels.HopGranted, levels.HopID)
	}
	if len(h.target) == 0 {
		return Facts{}, fmt.Errorf("parked record %s: the private header %s is missing or empty; "+
			"only the service writes to this topic", Origin(rec), levels.HopTarget)
	}
	if h.partitioned {
		if f.Partition, ok = parsePartition(h.partition); !ok {
			return Facts{}, fmt.Errorf("parked record %s: %s %s is not a partition; "+
				"only the service writes to this topic", Origin(rec), levels.HopPartition, Quote(h.partition))
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
		case levels.HopDue:
			p.due = h.Value
		case levels.HopAccepted:
			p.accepted = h.Value
		case levels.HopGranted:
			p.granted = h.Value
		case levels.HopID:
			p.id = h.Value
		case levels.HopTarget:
			p.target = h.Value
		case levels.HopOrigin:
			p.origin = h.Value
		case levels.HopSince:
			p.since = h.Value
		case levels.HopPartition:
			p.partition, p.partitioned = h.Value, true
		case levels.HopKey:
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
