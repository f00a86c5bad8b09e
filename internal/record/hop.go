package record

import (
	"math"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// hopAdds is how many headers appendHop puts on.
const hopAdds = 4

// Hop is the record that the router puts on the level topic: src with its
// request, and private headers that tell the forwarder what is known of it. The
// target is not among them: the forwarder resolves it again from the request, as
// it does for a record that was written straight to the level topic.
func Hop(src *kgo.Record, topic string, f levels.Facts) *kgo.Record {
	headers := WithoutHop(src.Headers, hopAdds)
	v := newValues(hopSize(src, &f))
	headers = appendHop(headers, &v, src, &f)
	return &kgo.Record{Topic: topic, Partition: levels.ByKey, Key: src.Key, Value: src.Value, Headers: headers}
}

// ReadHop reads what Hop put on. It is false where any of it is missing or
// malformed: then the record counts as written straight to the level topic.
//
// Anyone who may write to the topic can write these headers. What they say is
// well formed, not true: the forwarder bounds the due time by the level, and a
// name in Granted need not be a level.
func ReadHop(h []kgo.RecordHeader) (f levels.Facts, ok bool) {
	due, accepted, granted, id := hopValues(h)
	if f, ok = hopFacts(due, accepted, granted, id); ok {
		f.ID = string(id)
	}
	return f, ok
}

// hopValues returns the values of the headers that appendHop makes, nil for one that is
// missing.
func hopValues(h []kgo.RecordHeader) (due, accepted, granted, id []byte) {
	if n := len(h) - hopAdds; n >= 0 && h[n].Key == KeyDue && h[n+1].Key == KeyAccepted &&
		h[n+2].Key == KeyGranted && h[n+3].Key == KeyID { // as Hop leaves them
		return h[n].Value, h[n+1].Value, h[n+2].Value, h[n+3].Value
	}
	for i := range h { // the last one wins
		switch h[i].Key {
		case KeyDue:
			due = h[i].Value
		case KeyAccepted:
			accepted = h[i].Value
		case KeyGranted:
			granted = h[i].Value
		case KeyID:
			id = h[i].Value
		}
	}
	return due, accepted, granted, id
}

// hopFacts reads the values of the headers that appendHop makes, but for the id, which
// it only wants to be there.
func hopFacts(due, accepted, granted, id []byte) (f levels.Facts, ok bool) {
	if len(id) == 0 {
		return levels.Facts{}, false
	}
	f.Partition = levels.ByKey
	var okDue, okAccepted, okGranted bool
	f.Due, okDue = parseNumber(due, math.MaxInt64)
	f.Accepted, okAccepted = parseNumber(accepted, math.MaxInt64)
	f.Granted, okGranted = grantedName(granted)
	if !okDue || !okAccepted || !okGranted {
		return levels.Facts{}, false
	}
	return f, true
}

// HopDue returns the due time that ReadHop reads, in Unix milliseconds. It is called for
// each record.
func HopDue(h []kgo.RecordHeader) (ms int64, ok bool) {
	due, accepted, granted, id := hopValues(h)
	if ms, ok = parseNumber(due, math.MaxInt64); !ok || len(id) == 0 {
		return 0, false
	}
	_, okAccepted := parseNumber(accepted, math.MaxInt64)
	_, okGranted := grantedName(granted)
	return ms, okAccepted && okGranted
}

func hopSize(src *kgo.Record, f *levels.Facts) int {
	return idSize(src, f) + len(f.Granted) + 2*maxNumber
}

func appendHop(headers []kgo.RecordHeader, v *values, src *kgo.Record, f *levels.Facts) []kgo.RecordHeader {
	headers = add(headers, KeyDue, v.number(f.Due))
	headers = add(headers, KeyAccepted, v.number(f.Accepted))
	headers = add(headers, KeyGranted, v.text(f.Granted))
	return add(headers, KeyID, v.id(src, f))
}

// usual are the names of the default ladder's levels and of no delay: most records
// were granted one of them, and need neither parsing nor memory for it.
var usual = func() map[string]string {
	names := map[string]string{levels.Level{}.String(): levels.Level{}.String()}
	for l := range levels.Default().All() {
		names[l.String()] = l.String()
	}
	return names
}()

// grantedName reads a delay in the spelling that levels use.
func grantedName(value []byte) (string, bool) {
	if name, ok := usual[string(value)]; ok {
		return name, true
	}
	name := string(value)
	d, err := levels.ParseDelay(name)
	return name, err == nil && levels.FormatDelay(d) == name
}
