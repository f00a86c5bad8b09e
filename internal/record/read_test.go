package record

import (
	"math"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/delayd-io/delayd/levels"
)

// The functions whose names begin with search are Read's naive twin: one search of all
// headers for each question. They also are what BenchmarkHops compares it with.

func searchFacts(h []kgo.RecordHeader) (f levels.Facts, ok bool) {
	due, accepted, granted, id := searchHop(h)
	if f, ok = hopFacts(due, accepted, granted, id); ok {
		f.ID = string(id)
	}
	return f, ok
}

func searchDue(h []kgo.RecordHeader) (ms int64, exact, ok bool) {
	if ms, exact, ok = hopDue(searchHop(h)); ok {
		return ms, exact, true
	}
	_, after := Last(h, levels.HeaderFor)
	_, until := Last(h, levels.HeaderUntil)
	return 0, after || until, false
}

func searchHop(h []kgo.RecordHeader) (due, accepted, granted, id []byte) {
	if n := len(h) - hopAdds; n >= 0 && h[n].Key == KeyDue && h[n+1].Key == KeyAccepted &&
		h[n+2].Key == KeyGranted && h[n+3].Key == KeyID {
		return h[n].Value, h[n+1].Value, h[n+2].Value, h[n+3].Value
	}
	due, _ = Last(h, KeyDue)
	accepted, _ = Last(h, KeyAccepted)
	granted, _ = Last(h, KeyGranted)
	id, _ = Last(h, KeyID)
	return due, accepted, granted, id
}

func searchRetry(h []kgo.RecordHeader, dueMs int64) Retry {
	r := Retry{Due: dueMs}
	value, _ := Last(h, KeyAttempt)
	n, ok := parseNumber(value, math.MaxInt32)
	if !ok {
		return r
	}
	r.Attempts = int(n)
	if first, ok := lastNumber(h, KeyFirstDue); ok {
		r.Due = min(first, dueMs)
	}
	return r
}

// searchTarget is what Resolve finds in a request that is right.
func searchTarget(h []kgo.RecordHeader) (topic string, partition int32, misspelt bool) {
	misspelt = Misspelt(h) != nil
	value, _ := Last(h, levels.HeaderTarget)
	partition = levels.ByKey
	if value, given := Last(h, levels.HeaderPartition); given {
		partition, _ = parsePartition(value)
	}
	return string(value), partition, misspelt
}

func searchAsked(h []kgo.RecordHeader) (a Asked, several, misspelt bool) {
	for _, key := range []string{levels.HeaderLevel, levels.HeaderFor, levels.HeaderUntil} {
		if value, given := Last(h, key); given {
			several = a.Key != ""
			a = Asked{Key: key, Value: value}
		}
		if several {
			return Asked{}, true, Misspelt(h) != nil
		}
	}
	return a, false, Misspelt(h) != nil
}

// searchFinal appends the headers of the record that Final makes.
func searchFinal(headers []kgo.RecordHeader, v *values, src *kgo.Record, f *levels.Facts) []kgo.RecordHeader {
	var id, previous, requested []byte
	var asked, again bool
	for i := range src.Headers {
		h := &src.Headers[i]
		switch h.Key {
		case levels.HeaderLevel, levels.HeaderFor, levels.HeaderUntil:
			requested, asked = h.Value, true
		case levels.HeaderID:
			id = h.Value
		case levels.HeaderGranted:
			again = true
		case levels.HeaderPreviousID:
			previous = h.Value
		case levels.HeaderTarget, levels.HeaderPartition, levels.HeaderDue,
			levels.HeaderAccepted, levels.HeaderRequested,
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

// searchWire is the whole record that Final makes.
func searchWire(src *kgo.Record, f levels.Facts) wire {
	v := newValues(finalSize(src, &f))
	return wire{f.Topic, f.Partition, src.Key, src.Value, searchFinal([]kgo.RecordHeader{}, &v, src, &f)}
}

// TestReadAgreesWithSearches: one pass finds what a search for each key does, however
// many headers there are and in whatever order.
func TestReadAgreesWithSearches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) kgo.RecordHeader {
			key := rapid.OneOf(rapid.SampledFrom(ourKeys), rapid.SampledFrom([]string{"a", "delay-", "delay-x", "Delay-Level", "delay_target", KeyClock}), rapid.String()).Draw(t, "key")
			value := rapid.OneOf(rapid.SampledFrom([]string{"1", "2", "10s", "0s", "id", "orders"}), rapid.String()).Draw(t, "value")
			return kgo.RecordHeader{Key: key, Value: []byte(value)}
		}), 0, 10).Draw(t, "headers")
		if rapid.Bool().Draw(t, "routed") {
			routed := facts
			routed.Granted = rapid.SampledFrom([]string{facts.Granted, levels.GrantedExact}).Draw(t, "granted")
			all = Hop(&kgo.Record{Headers: all}, "", routed).Headers
		}
		if rapid.Bool().Draw(t, "many") { // more than have a mark
			all = slices.Concat(slices.Repeat(headers("u", "", KeyAttempt, "7"), maxMarked/2), all)
		}
		src := &kgo.Record{Topic: "delay.level.10s", Headers: all}
		same := func(what string, got, want any) {
			if got != want {
				t.Fatalf("%s: %v, want %v", what, got, want)
			}
		}
		h := Read(all)
		got, ok := h.Facts()
		want, wantOK := searchFacts(all)
		same("facts", got, want)
		same("facts' presence", ok, wantOK)
		ms, exact, ok := HopDue(all)
		wantMs, wantExact, wantOK := searchDue(all)
		same("due time", ms, wantMs)
		same("exact time", exact, wantExact)
		same("due time's presence", ok, wantOK)
		same("retry", h.Retry(9), searchRetry(all, 9))
		topic, partition, misspelt := searchTarget(all)
		target, _ := h.Target()
		same("target", string(target), topic)
		same("misspelt", h.Misspelt() != nil, misspelt)
		if number, given := h.value(keyPartition); given {
			n, _ := parsePartition(number)
			same("partition", n, partition)
		}
		asked, several, _ := searchAsked(all)
		gotAsked, refusal := h.Asked()
		same("request's key", gotAsked.Key, asked.Key)
		same("request's value", string(gotAsked.Value), string(asked.Value))
		same("refusal of several requests", refusal != nil, several)
		same("final record", equal(wireOf(Final(src, facts)), searchWire(src, facts)), true)
	})
}

// equal reports whether two records are the same where headers may be shared.
func equal(a, b wire) bool {
	return a.Topic == b.Topic && a.Partition == b.Partition && slices.EqualFunc(a.Headers, b.Headers, func(x, y kgo.RecordHeader) bool {
		return x.Key == y.Key && string(x.Value) == string(y.Value)
	})
}

var made *kgo.Record // so that the compiler keeps it

// BenchmarkHops is what is read of and made from a record's headers on each of its hops:
// by a search for each question, and in one pass. The second hop's due time is asked
// when the record is fetched, and the rest when it is due.
func BenchmarkHops(b *testing.B) {
	request := headers("trace", "0af7651916cd43dd8448eb211c80319c", "type", "order", "delay-level", "10s", "delay-target", "orders")
	first := &kgo.Record{Topic: "delay.inbox", Partition: 2, Offset: 17, Key: []byte("k"), Value: []byte("v"), Headers: request}
	second := Hop(first, "delay.level.10s", facts)
	targets := &Targets{Names: names}
	const batch = 64
	inBatches := func(b *testing.B, final func(room *Room, left int)) {
		b.ReportAllocs()
		room := new(Room)
		for left := batch; b.Loop(); left-- {
			if left == 0 {
				room.Reset()
				left = batch
			}
			final(room, left)
		}
	}
	b.Run("first/searches", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			searchAsked(first.Headers)
			topic, _, _ := searchTarget(first.Headers)
			targets.Check(topic)
			kept := WithoutHop(first.Headers, hopAdds)
			v := newValues(hopSize(first, &facts))
			made = &kgo.Record{Topic: "delay.level.10s", Partition: levels.ByKey, Key: first.Key, Value: first.Value, Headers: appendHop(kept, &v, first, &facts)}
		}
	})
	b.Run("first/one-pass", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h := Read(first.Headers)
			h.Misspelt()
			h.Asked()
			targets.Resolve(h)
			made = h.Hop(first, "delay.level.10s", facts)
		}
	})
	b.Run("second/searches", func(b *testing.B) {
		inBatches(b, func(room *Room, left int) {
			searchDue(second.Headers)
			f, _ := searchFacts(second.Headers)
			topic, partition, _ := searchTarget(second.Headers)
			targets.Check(topic)
			f.Topic, f.Partition = topic, partition
			count, size := len(second.Headers)+finalAdds, finalSize(second, &f)
			if cap(room.headers)-len(room.headers) < count {
				room.headers = make([]kgo.RecordHeader, 0, left*count)
			}
			if cap(room.values.buf)-len(room.values.buf) < size {
				room.values = newValues(left * size)
			}
			room.headers = searchFinal(room.headers, &room.values, second, &f)
		})
	})
	b.Run("second/one-pass", func(b *testing.B) {
		inBatches(b, func(room *Room, left int) {
			HopDue(second.Headers)
			h := Read(second.Headers)
			f, _ := h.Facts()
			f.Topic, f.Partition, _ = targets.Resolve(h)
			room.Final(second, h, &f, left)
		})
	})
}
