package deliver

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// ByKey is levels.ByKey.
const ByKey = levels.ByKey

// Facts are what is known of a record on its way to its target.
type Facts = levels.Facts

// appendID is the id of the record that f is about, which was read as src.
func appendID(f *Facts, b []byte, src *kgo.Record) []byte {
	if f.ID != "" {
		return append(b, f.ID...)
	}
	return appendOriginID(b, src, f.Accepted)
}

// originOf is where the record that f is about was read, which was read just now as src.
func originOf(f *Facts, src *kgo.Record) string {
	if f.Origin != "" {
		return f.Origin
	}
	return Origin(src)
}

// Last is the value of the last header with that key: the last one wins where a
// key is repeated. Keys are compared byte for byte.
func Last(h []kgo.RecordHeader, key string) (value []byte, ok bool) {
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].Key == key {
			return h[i].Value, true
		}
	}
	return nil, false
}

// OriginID is the id that a record gets which brought none: where and when it
// was first accepted. It names one record, and every duplicate of a delivery
// carries the same. The time tells a record from the one with its offset on a
// topic that was deleted and made again.
func OriginID(rec *kgo.Record, acceptedMs int64) string {
	var room [maxPlace + maxNumber]byte
	return string(appendOriginID(room[:0], rec, acceptedMs))
}

func appendOriginID(b []byte, rec *kgo.Record, acceptedMs int64) []byte {
	b = append(appendPlace(b, rec, '-'), '-')
	return strconv.AppendInt(b, acceptedMs, 10)
}

// Origin is where a record was read, as topic/partition/offset.
func Origin(rec *kgo.Record) string {
	var room [maxPlace]byte
	return string(appendPlace(room[:0], rec, '/'))
}

// maxNumber is how long an int64 in decimal can be; maxPlace is about how long a
// place can be, with a topic of at most 249 bytes. Longer ones are slower, not wrong.
const (
	maxNumber = 20
	maxPlace  = 249 + 2*(1+maxNumber)
)

func appendPlace(b []byte, rec *kgo.Record, separator byte) []byte {
	b = append(b, rec.Topic...)
	b = append(b, separator)
	b = strconv.AppendInt(b, int64(rec.Partition), 10)
	b = append(b, separator)
	return strconv.AppendInt(b, rec.Offset, 10)
}

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
func Final(src *kgo.Record, f Facts) *kgo.Record {
	v := newValues(finalSize(src, &f))
	headers := appendFinal(make([]kgo.RecordHeader, 0, len(src.Headers)+finalAdds), &v, src, &f)
	return &kgo.Record{Topic: f.Topic, Partition: f.Partition, Key: src.Key, Value: src.Value, Headers: headers}
}

// finalSize is how many bytes the values that appendFinal makes take at most.
func finalSize(src *kgo.Record, f *Facts) int {
	return idSize(src, f) + len(f.Granted) + 2*maxNumber
}

// appendFinal appends the headers of the record that Final makes.
func appendFinal(headers []kgo.RecordHeader, v *values, src *kgo.Record, f *Facts) []kgo.RecordHeader {
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

// deadAdds is how many headers Dead puts on at most.
const deadAdds = 5

// Dead is the dead letter for src: key, value and all headers, the request
// included, so that it can be sent again, and behind them why and where it died.
// Only private headers are dropped, and those that an earlier death left are
// replaced. It is read from f.Origin, or from where src was where f has none.
func Dead(src *kgo.Record, topic string, f Facts, r Refusal, attempts int) *kgo.Record {
	headers := make([]kgo.RecordHeader, 0, len(src.Headers)+deadAdds)
	for _, h := range src.Headers {
		if !isHop(h.Key) && !slices.Contains(deathKeys, h.Key) {
			headers = append(headers, h)
		}
	}
	origin := originOf(&f, src)
	v := newValues(idSize(src, &f) + len(r.Code) + len(r.Detail) + len(origin) + maxNumber)
	if id, _ := Last(src.Headers, levels.HeaderID); len(id) == 0 && (f.ID != "" || f.Accepted != 0) {
		headers = add(headers, levels.HeaderID, v.id(src, &f))
	}
	headers = add(headers, levels.HeaderError, v.text(string(r.Code)))
	headers = add(headers, levels.HeaderErrorDetail, v.text(r.Detail))
	headers = add(headers, levels.HeaderOrigin, v.text(origin))
	headers = add(headers, levels.HeaderAttempts, v.number(int64(attempts)))
	return &kgo.Record{Topic: topic, Partition: ByKey, Key: src.Key, Value: src.Value, Headers: headers}
}

// hopAdds is how many headers appendHop puts on.
const hopAdds = 4

// Hop is the record that the router puts on the level topic: src with its
// request, and private headers that tell the forwarder what is known of it. The
// target is not among them: the forwarder resolves it again from the request, as
// it does for a record that was written straight to the level topic.
func Hop(src *kgo.Record, topic string, f Facts) *kgo.Record {
	headers := WithoutHop(src.Headers, hopAdds)
	v := newValues(hopSize(src, &f))
	headers = appendHop(headers, &v, src, &f)
	return &kgo.Record{Topic: topic, Partition: ByKey, Key: src.Key, Value: src.Value, Headers: headers}
}

// ReadHop reads what Hop put on. It is false where any of it is missing or
// malformed: then the record counts as written straight to the level topic.
//
// Anyone who may write to the topic can write these headers. What they say is
// well formed, not true: the forwarder bounds the due time by the level, and a
// name in Granted need not be a level.
func ReadHop(h []kgo.RecordHeader) (f Facts, ok bool) {
	due, accepted, granted, id := hopValues(h)
	if f, ok = hopFacts(due, accepted, granted, id); ok {
		f.ID = string(id)
	}
	return f, ok
}

// hopValues returns the values of the headers that appendHop makes, nil for one that is
// missing.
func hopValues(h []kgo.RecordHeader) (due, accepted, granted, id []byte) {
	if n := len(h) - hopAdds; n >= 0 && h[n].Key == levels.HopDue && h[n+1].Key == levels.HopAccepted &&
		h[n+2].Key == levels.HopGranted && h[n+3].Key == levels.HopID { // as Hop leaves them
		return h[n].Value, h[n+1].Value, h[n+2].Value, h[n+3].Value
	}
	for i := range h { // the last one wins
		switch h[i].Key {
		case levels.HopDue:
			due = h[i].Value
		case levels.HopAccepted:
			accepted = h[i].Value
		case levels.HopGranted:
			granted = h[i].Value
		case levels.HopID:
			id = h[i].Value
		}
	}
	return due, accepted, granted, id
}

// hopFacts reads the values of the headers that appendHop makes, but for the id, which
// it only wants to be there.
func hopFacts(due, accepted, granted, id []byte) (f Facts, ok bool) {
	if len(id) == 0 {
		return Facts{}, false
	}
	f.Partition = ByKey
	var okDue, okAccepted, okGranted bool
	f.Due, okDue = parseNumber(due, math.MaxInt64)
	f.Accepted, okAccepted = parseNumber(accepted, math.MaxInt64)
	f.Granted, okGranted = grantedName(granted)
	if !okDue || !okAccepted || !okGranted {
		return Facts{}, false
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

// parkAdds is how many headers Parked puts on at most.
const parkAdds = hopAdds + 5

// Parked is the record that waits on the parked topic until its target can be
// written: keyed by the target, so that the records of one target stay in order,
// with the real key and all facts in private headers.
func Parked(src *kgo.Record, topic string, f Facts) *kgo.Record {
	headers := WithoutHop(src.Headers, parkAdds)
	origin := originOf(&f, src)
	v := newValues(hopSize(src, &f) + 2*len(f.Topic) + len(origin) + 2*maxNumber)
	headers = appendHop(headers, &v, src, &f)
	headers = add(headers, levels.HopOrigin, v.text(origin))
	headers = add(headers, levels.HopTarget, v.text(f.Topic))
	headers = add(headers, levels.HopSince, v.number(f.Since))
	if f.Partition != ByKey {
		headers = add(headers, levels.HopPartition, v.number(int64(f.Partition)))
	}
	if src.Key != nil {
		headers = add(headers, levels.HopKey, src.Key)
	}
	return &kgo.Record{Topic: topic, Partition: ByKey, Key: v.text(f.Topic), Value: src.Value, Headers: headers}
}

// parkedSource is where the record was read that rec, parked, stands for. It is
// false where Parked did not make rec.
func parkedSource(rec *kgo.Record) (from source, ok bool) {
	origin, _ := Last(rec.Headers, levels.HopOrigin)
	topic, place, _ := strings.Cut(string(origin), "/")
	number, _, _ := strings.Cut(place, "/")
	partition, ok := parsePartition([]byte(number))
	return source{topic, partition}, ok
}

func isHop(key string) bool { return strings.HasPrefix(key, levels.HopPrefix) }

// WithoutHop is a fresh slice of the headers that are not private, with room
// for more.
func WithoutHop(h []kgo.RecordHeader, more int) []kgo.RecordHeader {
	kept := make([]kgo.RecordHeader, 0, len(h)+more)
	for _, header := range h {
		if !isHop(header.Key) {
			kept = append(kept, header)
		}
	}
	return kept
}

func hopSize(src *kgo.Record, f *Facts) int { return idSize(src, f) + len(f.Granted) + 2*maxNumber }

// idSize is how long an id can be.
func idSize(src *kgo.Record, f *Facts) int {
	if f.ID != "" {
		return len(f.ID)
	}
	return len(src.Topic) + idNumbers
}

// idNumbers is how much of an id is not the topic: a partition, an offset, a time,
// and what stands between them, at their longest.
const idNumbers = 3 * (1 + maxNumber)

func appendHop(headers []kgo.RecordHeader, v *values, src *kgo.Record, f *Facts) []kgo.RecordHeader {
	headers = add(headers, levels.HopDue, v.number(f.Due))
	headers = add(headers, levels.HopAccepted, v.number(f.Accepted))
	headers = add(headers, levels.HopGranted, v.text(f.Granted))
	return add(headers, levels.HopID, v.id(src, f))
}

func add(headers []kgo.RecordHeader, key string, value []byte) []kgo.RecordHeader {
	return append(headers, kgo.RecordHeader{Key: key, Value: value})
}

// values holds the values of the headers that are put on one record, one behind
// the other in one allocation.
type values struct{ buf []byte }

// newValues has room for so many bytes. More than that costs an allocation.
func newValues(size int) values { return values{make([]byte, 0, size)} }

func (v *values) text(s string) []byte {
	start := len(v.buf)
	v.buf = append(v.buf, s...)
	return v.since(start)
}

func (v *values) id(src *kgo.Record, f *Facts) []byte {
	start := len(v.buf)
	v.buf = appendID(f, v.buf, src)
	return v.since(start)
}

func (v *values) number(n int64) []byte {
	start := len(v.buf)
	v.buf = strconv.AppendInt(v.buf, n, 10)
	return v.since(start)
}

// since is what was written last, without spare capacity: an append to it by
// whoever gets the header cannot reach the next one.
func (v *values) since(start int) []byte { return v.buf[start:len(v.buf):len(v.buf)] }

func lastNumber(h []kgo.RecordHeader, key string) (int64, bool) {
	value, _ := Last(h, key)
	return parseNumber(value, math.MaxInt64)
}

// parseNumber reads a number from 0 to limit: digits and nothing else.
func parseNumber(value []byte, limit int64) (int64, bool) {
	if len(value) == 0 {
		return 0, false
	}
	var n int64
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		digit := int64(c - '0')
		if n > (math.MaxInt64-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, n <= limit
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
