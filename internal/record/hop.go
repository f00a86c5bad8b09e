package record

import (
	"math"
	"slices"
	"time"

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
	return Read(src.Headers).Hop(src, topic, f)
}

// Hop is [Hop] of src, whose headers are h.
func (h *Headers) Hop(src *kgo.Record, topic string, f levels.Facts) *kgo.Record {
	headers := h.withoutHop(hopAdds)
	v := newValues(hopSize(src, &f))
	headers = appendHop(headers, &v, src, &f)
	return &kgo.Record{Topic: topic, Partition: levels.ByKey, Key: src.Key, Value: src.Value, Headers: headers}
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

// ReadHop is [Headers.Facts] of headers of which nothing else is asked.
func ReadHop(all []kgo.RecordHeader) (f levels.Facts, ok bool) {
	return Read(all).Facts()
}

// HopDue returns the due time that [Headers.Facts] reads, in Unix milliseconds, and whether
// the record walks to it over several levels. If ok is false, the record counts as written
// straight to the level, and exact reports whether it asks for an exact time itself.
//
// A record waits between that and its delivery, and what was read of it would take more
// memory than it is worth: so this looks at the four headers that Hop leaves at the end,
// and reads the others only if they are not there.
func HopDue(all []kgo.RecordHeader) (ms int64, exact, ok bool) {
	if n := len(all) - hopAdds; n >= 0 && all[n].Key == KeyDue && all[n+1].Key == KeyAccepted &&
		all[n+2].Key == KeyGranted && all[n+3].Key == KeyID {
		if ms, exact, ok = hopDue(all[n].Value, all[n+1].Value, all[n+2].Value, all[n+3].Value); ok {
			return ms, exact, true
		}
	}
	if !slices.ContainsFunc(all, tellsDue) {
		return 0, false, false // written straight to the level, without an exact time
	}
	h := Read(all)
	if ms, exact, ok = hopDue(h.hopValues()); !ok {
		return 0, h.asksExact(), false
	}
	return ms, exact, true
}

// DueOn returns when a record is due that waits on a level, by the forwarder's rule: what
// the router says can only make it earlier. A record that asks for an exact time is due
// then, whatever levels it has yet to wait on; exact reports whether it does.
func DueOn(rec *kgo.Record, level time.Duration) (due time.Time, exact bool) {
	due = rec.Timestamp.Add(level + CutMs*time.Millisecond)
	ms, exact, routed := HopDue(rec.Headers)
	if exact && !routed {
		asked, refusal := ReadAsked(rec.Headers)
		if refusal == nil {
			ms, refusal = asked.Due(rec.Timestamp.UnixMilli(), math.MaxInt64)
		}
		if refusal != nil {
			return due, false
		}
	}
	if exact || routed && time.UnixMilli(ms).Before(due) {
		due = time.UnixMilli(ms)
	}
	return due, exact
}

// tellsDue reports whether a header can say when a record is due on a level. Most have the
// length of none of these keys.
func tellsDue(h kgo.RecordHeader) bool {
	switch h.Key {
	case KeyDue, levels.HeaderFor, levels.HeaderUntil:
		return true
	}
	return false
}

// hopDue is the due time of hopFacts, and whether it is an exact one. It is called for
// each record.
func hopDue(due, accepted, granted, id []byte) (ms int64, exact, ok bool) {
	if ms, ok = parseNumber(due, math.MaxInt64); !ok || len(id) == 0 {
		return 0, false, false
	}
	_, okAccepted := parseNumber(accepted, math.MaxInt64)
	name, okGranted := grantedName(granted)
	return ms, name == levels.GrantedExact, okAccepted && okGranted
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

// usual are the names of the default ladder's levels, of no delay and of exact ones: most records
// were granted one of them, and need neither parsing nor memory for it.
var usual = func() map[string]string {
	names := map[string]string{levels.Level{}.String(): levels.Level{}.String(), levels.GrantedExact: levels.GrantedExact}
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
