package record

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/delayd-io/delayd/levels"
)

// facts are what the tests know of a record.
var facts = levels.Facts{
	Topic: "orders", Partition: levels.ByKey, ID: "delay.inbox-2-17-1000", Due: 11001, Accepted: 1000,
	Granted: "10s", Origin: "delay.inbox/2/17",
}

// headers makes headers of keys and values that follow one another.
func headers(keysAndValues ...string) []kgo.RecordHeader {
	var h []kgo.RecordHeader
	for i := 0; i < len(keysAndValues); i += 2 {
		h = append(h, kgo.RecordHeader{Key: keysAndValues[i], Value: []byte(keysAndValues[i+1])})
	}
	return h
}

// wire is what of a record is written, for comparing.
type wire struct {
	Topic      string
	Partition  int32
	Key, Value []byte
	Headers    []kgo.RecordHeader
}

func wireOf(r *kgo.Record) wire { return wire{r.Topic, r.Partition, r.Key, r.Value, r.Headers} }

func check(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("- want, + got:\n%s", diff)
	}
}

func TestFinal(t *testing.T) {
	putOn := headers("delay-due", "11001", "delay-accepted", "1000", "delay-granted", "10s")
	ours := "delay.inbox-2-17-1000"
	for _, c := range []struct {
		why      string
		in, want []kgo.RecordHeader
	}{
		{
			"a record without headers gets the id of where it was accepted",
			nil,
			slices.Concat(headers("delay-id", ours), putOn),
		}, {
			"the request is taken off, and what was asked for is told",
			headers("delay-level", "11s", "delay-target", "orders", "delay-partition", "3"),
			slices.Concat(headers("delay-id", ours), putOn, headers("delay-requested", "11s")),
		}, {
			"the last of a repeated header counts, and all of them are taken off",
			headers("delay-level", "1s", "delay-id", "a", "delay-level", "11s", "delay-id", "b"),
			slices.Concat(headers("delay-id", "b"), putOn, headers("delay-requested", "11s")),
		}, {
			"the producer's id and time stay",
			headers("delay-id", "mine", "delay-sent", "990"),
			slices.Concat(headers("delay-sent", "990", "delay-id", "mine"), putOn),
		}, {
			"an empty id recognises nothing: it counts as none",
			headers("delay-id", ""),
			slices.Concat(headers("delay-id", ours), putOn),
		}, {
			"other headers keep their order and their repetitions, ours by name alone included",
			headers("b", "1", "delay-foo", "2", "a", "3", "b", "1", "Delay-Level", "4", "delay-levels", "5", "", "6"),
			slices.Concat(headers("b", "1", "delay-foo", "2", "a", "3", "b", "1", "Delay-Level", "4", "delay-levels", "5", "", "6",
				"delay-id", ours), putOn),
		}, {
			"null and empty values stay what they are",
			[]kgo.RecordHeader{{Key: "null"}, {Key: "empty", Value: []byte{}}},
			slices.Concat([]kgo.RecordHeader{{Key: "null"}, {Key: "empty", Value: []byte{}}}, headers("delay-id", ours), putOn),
		}, {
			"private headers are taken off, those that we do not know included",
			headers("delay-hop-due", "1", "delay-hop-id", "x", "delay-hop-", "y", "delay-hop-next", "z"),
			slices.Concat(headers("delay-id", ours), putOn),
		}, {
			"a delivered record that is sent on gets a new id, and the old one becomes the previous",
			headers("k", "v", "delay-id", "first", "delay-previous-id", "older", "delay-due", "5", "delay-accepted", "4",
				"delay-granted", "1m", "delay-requested", "55s", "delay-level", "9s"),
			slices.Concat(headers("k", "v", "delay-id", ours, "delay-previous-id", "first"), putOn, headers("delay-requested", "9s")),
		}, {
			"nothing asked for this time: what was asked for before is not repeated",
			headers("delay-id", "first", "delay-granted", "1m", "delay-requested", "55s"),
			slices.Concat(headers("delay-id", ours, "delay-previous-id", "first"), putOn),
		}, {
			"sent on without its id there is no previous one",
			headers("delay-granted", "1m"),
			slices.Concat(headers("delay-id", ours), putOn),
		}, {
			"headers that we put on prove nothing where delay-granted is not among them",
			headers("delay-id", "mine", "delay-due", "99999999999999", "delay-accepted", "?"),
			slices.Concat(headers("delay-id", "mine"), putOn),
		}, {
			"a producer that gave the new id itself says what the previous one was",
			headers("delay-id", "mine", "delay-previous-id", "x"),
			slices.Concat(headers("delay-id", "mine", "delay-previous-id", "x"), putOn),
		}, {
			"without an id of its own there is no previous one",
			headers("delay-previous-id", "x"),
			slices.Concat(headers("delay-id", ours), putOn),
		}, {
			"what is delivered is no dead letter, whatever somebody has put on",
			headers("delay-error", "unknown-topic", "delay-error-detail", "x", "delay-origin", "a/0/1", "delay-attempts", "1", "delay-value-length", "1",
				"delay-value-sha256", "x", "delay-key-length", "1", "delay-key-sha256", "x", "delay-headers-left-out", "1"),
			slices.Concat(headers("delay-id", ours), putOn),
		},
	} {
		t.Run(c.why, func(t *testing.T) {
			src := &kgo.Record{Topic: "delay.level.10s", Partition: 2, Offset: 17, Key: []byte("k"), Headers: c.in}
			check(t, wireOf(Final(src, facts)), wire{"orders", levels.ByKey, []byte("k"), nil, c.want})
		})
	}
}

func TestFinalKeepsNullAndEmpty(t *testing.T) {
	for _, bytes := range [][]byte{nil, {}} {
		got := Final(&kgo.Record{Key: bytes, Value: bytes}, facts)
		check(t, got.Key, bytes)
		check(t, got.Value, bytes)
		if !got.Timestamp.IsZero() {
			t.Errorf("timestamp %s; want none, so that it is the time of delivery", got.Timestamp)
		}
	}
}

// TestSourceIsLeftAlone gives every function a header slice with room behind it,
// where an append that forgot to copy would write.
func TestSourceIsLeftAlone(t *testing.T) {
	for name, build := range map[string]func(*kgo.Record) *kgo.Record{
		"Final": func(r *kgo.Record) *kgo.Record { return Final(r, facts) },
		"Dead": func(r *kgo.Record) *kgo.Record {
			return Dead(r, "delay.dead", facts, levels.Refusal{Code: levels.NoTarget, Detail: "why"}, 1)
		},
		"Hop":    func(r *kgo.Record) *kgo.Record { return Hop(r, "delay.level.10s", facts) },
		"Parked": func(r *kgo.Record) *kgo.Record { return Parked(r, "delay.parked", facts) },
	} {
		all := headers("a", "1", "delay-hop-due", "2", "delay-level", "3", "behind", "4", "behind", "5")
		src := &kgo.Record{Topic: "t", Partition: 1, Offset: 9, Key: []byte("k"), Value: []byte("v"), Headers: all[:3]}
		built := build(src)
		for i := range built.Headers {
			built.Headers[i].Value = append(built.Headers[i].Value, "!"...)
		}
		check(t, all, headers("a", "1", "delay-hop-due", "2", "delay-level", "3", "behind", "4", "behind", "5"))
		if src.Topic != "t" || src.Partition != 1 || src.Offset != 9 || len(src.Headers) != 3 {
			t.Errorf("%s changed its source to %+v", name, src)
		}
	}
}

// TestValuesDoNotShareRoom appends to each value that was put on: it must not
// run into the next one, which lies behind it in the same allocation.
func TestValuesDoNotShareRoom(t *testing.T) {
	rec := Final(&kgo.Record{}, facts)
	for i := range rec.Headers {
		_ = append(rec.Headers[i].Value, "XXXX"...)
	}
	check(t, rec.Headers, headers("delay-id", facts.ID, "delay-due", "11001", "delay-accepted", "1000", "delay-granted", "10s"))
}

func TestDead(t *testing.T) {
	refusal := levels.Refusal{Code: levels.NoTarget, Detail: "no target"}
	why := headers("delay-error", "no-target", "delay-error-detail", "no target", "delay-origin", "delay.inbox/2/17", "delay-attempts", "3")
	for _, c := range []struct {
		why      string
		in, want []kgo.RecordHeader
	}{
		{
			"the request stays, so that it can be sent again",
			headers("a", "1", "delay-level", "5s", "delay-target", "", "delay-granted", "1m", "a", "2"),
			slices.Concat(headers("a", "1", "delay-level", "5s", "delay-target", "", "delay-granted", "1m", "a", "2", "delay-id", facts.ID), why),
		}, {
			"the producer's id stays",
			headers("delay-id", "mine"),
			slices.Concat(headers("delay-id", "mine"), why),
		}, {
			"an earlier death is replaced, and private headers go",
			headers("delay-error", "gave-up", "delay-hop-due", "1", "delay-error-detail", "x", "delay-origin", "y",
				"delay-attempts", "9", "delay-error", "rejected", "delay-id", "mine"),
			slices.Concat(headers("delay-id", "mine"), why),
		},
	} {
		t.Run(c.why, func(t *testing.T) {
			got := Dead(&kgo.Record{Value: []byte("v"), Headers: c.in}, "delay.dead", facts, refusal, 3)
			check(t, wireOf(got), wire{"delay.dead", levels.ByKey, nil, []byte("v"), c.want})
		})
	}
}

func TestDeadOriginWithoutFacts(t *testing.T) {
	src := &kgo.Record{Topic: "delay.level.5s", Partition: 1, Offset: 8}
	got := Dead(src, "delay.dead", levels.Facts{}, levels.Refusal{Code: levels.TooLarge, Detail: "d"}, 0)
	check(t, got.Headers, headers("delay-error", "too-large", "delay-error-detail", "d",
		"delay-origin", "delay.level.5s/1/8", "delay-attempts", "0"))
}

func TestHop(t *testing.T) {
	in := headers("a", "1", "delay-level", "11s", "delay-hop-due", "1", "delay-target", "orders", "delay-granted", "1m", "delay-hop-x", "2")
	hopped := Hop(&kgo.Record{Key: []byte{}, Headers: in}, "delay.level.10s", facts)
	check(t, wireOf(hopped), wire{"delay.level.10s", levels.ByKey, []byte{}, nil, headers(
		"a", "1", "delay-level", "11s", "delay-target", "orders", "delay-granted", "1m",
		"delay-hop-due", "11001", "delay-hop-accepted", "1000", "delay-hop-granted", "10s", "delay-hop-id", facts.ID)})

	got, ok := ReadHop(hopped.Headers)
	want := facts
	want.Topic, want.Origin = "", "" // resolved again, and read elsewhere
	if !ok {
		t.Fatal("ReadHop does not read what Hop wrote")
	}
	check(t, got, want)
}

func TestReadHopIgnoresMalformed(t *testing.T) {
	good := []string{"delay-hop-due", "11001", "delay-hop-accepted", "1000", "delay-hop-granted", "10s", "delay-hop-id", "id"}
	if _, ok := ReadHop(headers(good...)); !ok {
		t.Fatal("the good headers are not read")
	}
	bad := map[string][]string{
		"delay-hop-due":      {"", "-1", "+1", " 1", "1.0", "1e3", "0x1", "9223372036854775808", "99999999999999999999", "١"},
		"delay-hop-accepted": {"", "-1", "now"},
		"delay-hop-granted":  {"", "10", "60s", "1m0s", "-1s", "soon", "10s "},
		"delay-hop-id":       {""},
	}
	for i := 0; i < len(good); i += 2 {
		if _, ok := ReadHop(headers(slices.Delete(slices.Clone(good), i, i+2)...)); ok {
			t.Errorf("read without %s", good[i])
		}
		for _, value := range bad[good[i]] {
			if f, ok := ReadHop(headers(append(slices.Clone(good), good[i], value)...)); ok {
				t.Errorf("%s %q read as %+v", good[i], value, f)
			}
		}
	}
}

func TestParked(t *testing.T) {
	f := facts
	f.Partition, f.Since = 3, 12000
	src := &kgo.Record{Key: []byte("k"), Value: []byte("v"), Headers: headers("a", "1", "delay-hop-due", "1", "delay-level", "11s")}
	parked := Parked(src, "delay.parked", f)
	check(t, wireOf(parked), wire{"delay.parked", levels.ByKey, []byte("orders"), []byte("v"), headers(
		"a", "1", "delay-level", "11s",
		"delay-hop-due", "11001", "delay-hop-accepted", "1000", "delay-hop-granted", "10s", "delay-hop-id", f.ID,
		"delay-hop-origin", "delay.inbox/2/17", "delay-hop-target", "orders", "delay-hop-since", "12000", "delay-hop-partition", "3", "delay-hop-key", "k")})
}

// TestUnparkWithoutSince: when delivery first failed is known to be no later than
// when the record was parked.
func TestUnparkWithoutSince(t *testing.T) {
	rec := Parked(&kgo.Record{}, "delay.parked", facts)
	rec.Headers = append(rec.Headers, headers("delay-hop-since", "?")...)
	rec.Timestamp = time.UnixMilli(13000)
	if _, f, err := Unpark(rec); err != nil || f.Since != 13000 {
		t.Errorf("since %d, error %v; want the time of parking", f.Since, err)
	}
}

// TestUnparkKeepsPublicHeaders: they are kept in their order wherever they stand, and
// what is read of a parked record is not changed by what is made of it.
func TestUnparkKeepsPublicHeaders(t *testing.T) {
	private := Parked(&kgo.Record{}, "delay.parked", facts).Headers
	for name, all := range map[string][]kgo.RecordHeader{
		"in front": slices.Concat(headers("a", "1", "b", "2"), private),
		"between":  slices.Concat(headers("a", "1"), private[:2], headers("b", "2"), private[2:]),
		"behind":   slices.Concat(private, headers("a", "1", "b", "2")),
	} {
		before := slices.Clone(all)
		src, _, err := Unpark(&kgo.Record{Headers: all})
		if err != nil {
			t.Fatal(name, err)
		}
		if diff := cmp.Diff(headers("a", "1", "b", "2"), src.Headers); diff != "" {
			t.Errorf("%s (- want, + got):\n%s", name, diff)
		}
		_ = append(src.Headers, headers("c", "3")...)
		if diff := cmp.Diff(before, all); diff != "" {
			t.Errorf("%s: the parked record (- before, + after):\n%s", name, diff)
		}
	}
}

func TestUnparkRefuses(t *testing.T) {
	good := Parked(&kgo.Record{}, "delay.parked", facts).Headers
	for _, c := range []struct{ key, value, names string }{
		{"delay-hop-due", "x", "delay-hop-due"},
		{"delay-hop-target", "", "delay-hop-target"},
		{"delay-hop-partition", "-2", "delay-hop-partition"},
		{"delay-hop-partition", "2147483648", "delay-hop-partition"},
	} {
		rec := &kgo.Record{Topic: "delay.parked", Partition: 1, Offset: 5, Headers: append(slices.Clone(good), headers(c.key, c.value)...)}
		_, _, err := Unpark(rec)
		if err == nil || !strings.Contains(err.Error(), c.names) || !strings.Contains(err.Error(), "delay.parked/1/5") {
			t.Errorf("%s %q: error %v; want one that names the header and the record", c.key, c.value, err)
		}
	}
}

func TestIDAndOrigin(t *testing.T) {
	rec := &kgo.Record{Topic: "delay.inbox", Partition: 3, Offset: 1042}
	check(t, OriginID(rec, 1700000000123), "delay.inbox-3-1042-1700000000123")
	check(t, Origin(rec), "delay.inbox/3/1042")
	long := &kgo.Record{Topic: strings.Repeat("x", 2*maxPlace)}
	check(t, Origin(long), long.Topic+"/0/0")
}

// anyBytes draws null, empty and other bytes.
func anyBytes() *rapid.Generator[[]byte] {
	return rapid.OneOf(rapid.Just([]byte(nil)), rapid.Just([]byte{}), rapid.SliceOfN(rapid.Byte(), 1, 20))
}

// ourKeys are the keys that mean something to the service.
var ourKeys = []string{
	levels.HeaderLevel, levels.HeaderFor, levels.HeaderUntil, levels.HeaderTarget, levels.HeaderPartition, levels.HeaderID, levels.HeaderSent,
	levels.HeaderDue, levels.HeaderAccepted, levels.HeaderGranted, levels.HeaderRequested, levels.HeaderPreviousID,
	levels.HeaderError, levels.HeaderErrorDetail, levels.HeaderOrigin, levels.HeaderAttempts,
	levels.HeaderValueLength, levels.HeaderValueHash, levels.HeaderKeyLength, levels.HeaderKeyHash, levels.HeaderHeadersLeftOut,
	KeyDue, KeyAccepted, KeyGranted, KeyID, KeyKey, KeyOrigin,
	KeyTarget, KeyPartition, KeySince, KeyAttempt, KeyFirstDue, KeyPrefix, KeyPrefix + "next",
}

// anyHeaders draws headers of which every other one or so is ours by name.
func anyHeaders() *rapid.Generator[[]kgo.RecordHeader] {
	key := rapid.OneOf(rapid.SampledFrom(ourKeys), rapid.String())
	return rapid.SliceOf(rapid.Custom(func(t *rapid.T) kgo.RecordHeader {
		return kgo.RecordHeader{Key: key.Draw(t, "key"), Value: anyBytes().Draw(t, "value")}
	}))
}

func anyRecord() *rapid.Generator[*kgo.Record] {
	return rapid.Custom(func(t *rapid.T) *kgo.Record {
		return &kgo.Record{
			Topic:     rapid.String().Draw(t, "topic"),
			Partition: rapid.Int32Min(0).Draw(t, "partition"),
			Offset:    rapid.Int64Min(0).Draw(t, "offset"),
			Key:       anyBytes().Draw(t, "record key"),
			Value:     anyBytes().Draw(t, "record value"),
			Headers:   anyHeaders().Draw(t, "headers"),
		}
	})
}

func anyFacts() *rapid.Generator[levels.Facts] {
	return rapid.Custom(func(t *rapid.T) levels.Facts {
		granted := rapid.SampledFrom([]string{"0s", "1s", "90m", "2h", "3d", "exact"}).Draw(t, "granted")
		return levels.Facts{
			Topic:     rapid.StringN(1, 249, -1).Draw(t, "target"),
			Partition: rapid.Int32Min(levels.ByKey).Draw(t, "target partition"),
			ID:        rapid.StringN(1, 40, -1).Draw(t, "id"),
			Due:       rapid.Int64Min(0).Draw(t, "due"),
			Accepted:  rapid.Int64Min(0).Draw(t, "accepted"),
			Since:     rapid.Int64Min(0).Draw(t, "since"),
			Origin:    rapid.String().Draw(t, "origin"),
			Granted:   granted,
		}
	})
}

// keep is the naive twin of what the functions keep of headers.
func keep(h []kgo.RecordHeader, drop func(key string) bool) []kgo.RecordHeader {
	kept := []kgo.RecordHeader{}
	for _, header := range h {
		if !drop(header.Key) {
			kept = append(kept, header)
		}
	}
	return kept
}

func TestFinalKeepsUserHeadersInOrder(t *testing.T) {
	replaced := []string{
		"delay-level", "delay-for", "delay-until", "delay-target", "delay-partition", "delay-id", "delay-due", "delay-accepted", "delay-granted",
		"delay-requested", "delay-previous-id", "delay-error", "delay-error-detail", "delay-origin", "delay-attempts",
		"delay-value-length", "delay-value-sha256", "delay-key-length", "delay-key-sha256", "delay-headers-left-out",
	}
	rapid.Check(t, func(rt *rapid.T) {
		src, f := anyRecord().Draw(rt, "record"), anyFacts().Draw(rt, "facts")
		got := Final(src, f)
		user := keep(src.Headers, func(key string) bool {
			return strings.HasPrefix(key, "delay-hop-") || slices.Contains(replaced, key)
		})
		if diff := cmp.Diff(user, got.Headers[:len(user)]); diff != "" {
			rt.Fatalf("user headers (- want, + got):\n%s", diff)
		}
		if diff := cmp.Diff(wire{f.Topic, f.Partition, src.Key, src.Value, got.Headers}, wireOf(got)); diff != "" {
			rt.Fatalf("record (- want, + got):\n%s", diff)
		}
		for i, h := range got.Headers[len(user):] {
			if !slices.Contains(replaced, h.Key) || slices.ContainsFunc(got.Headers[:len(user)+i], func(o kgo.RecordHeader) bool { return o.Key == h.Key }) {
				rt.Fatalf("%s is put on twice, or is not for us to put on", h.Key)
			}
		}
		if id, _ := Last(got.Headers, "delay-id"); len(id) == 0 {
			rt.Fatal("no delay-id")
		}
	})
}

func TestDeadKeepsEverything(t *testing.T) {
	replaced := []string{"delay-error", "delay-error-detail", "delay-origin", "delay-attempts"}
	ofCut := []string{"delay-value-length", "delay-value-sha256", "delay-key-length", "delay-key-sha256", "delay-headers-left-out"}
	rapid.Check(t, func(rt *rapid.T) {
		src, f := anyRecord().Draw(rt, "record"), anyFacts().Draw(rt, "facts")
		got := Dead(src, "delay.dead", f, levels.Refusal{Code: levels.BadLevel, Detail: "why"}, 1)
		kept := keep(src.Headers, func(key string) bool {
			return strings.HasPrefix(key, "delay-hop-") || slices.Contains(replaced, key) || slices.Contains(ofCut, key)
		})
		want := wire{"delay.dead", levels.ByKey, src.Key, src.Value, kept}
		have := wireOf(got)
		have.Headers = have.Headers[:len(kept)]
		if diff := cmp.Diff(want, have); diff != "" {
			rt.Fatalf("- want, + got:\n%s", diff)
		}
		for _, key := range append(replaced, "delay-id") {
			if _, ok := Last(got.Headers, key); !ok {
				rt.Fatalf("%s is missing", key)
			}
		}
	})
}

func TestParkedRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		src, f := anyRecord().Draw(rt, "record"), anyFacts().Draw(rt, "facts")
		checkRoundTrip(rt, src, f)
	})
}

// checkRoundTrip parks and unparks a record. On the way its key goes through a
// header, where a broker or a client in between may make null of empty.
func checkRoundTrip(t interface{ Fatalf(string, ...any) }, src *kgo.Record, f levels.Facts) {
	parked := Parked(src, "delay.parked", f)
	if string(parked.Key) != f.Topic {
		t.Fatalf("parked under key %q, want the target %q", parked.Key, f.Topic)
	}
	for i, h := range parked.Headers {
		if len(h.Value) == 0 && h.Key == KeyKey {
			parked.Headers[i].Value = nil
		}
	}
	got, gotFacts, err := Unpark(parked)
	if err != nil {
		t.Fatalf("Unpark: %v", err)
	}
	kept := wire{"delay.parked", levels.ByKey, src.Key, src.Value, keep(src.Headers, isHop)}
	if diff := cmp.Diff(kept, wireOf(got)); diff != "" {
		t.Fatalf("record (- want, + got):\n%s", diff)
	}
	want := f
	want.Origin = OriginOf(&f, src)
	if gotFacts != want {
		t.Fatalf("facts: got %+v, want %+v", gotFacts, want)
	}
}

// TestIDIsMadeWhenNeeded: facts without an id stand for the id of the place where
// the record was read, on every way that it can go.
func TestIDIsMadeWhenNeeded(t *testing.T) {
	src := &kgo.Record{Topic: "delay.level.5s", Partition: 1, Offset: 8}
	without := levels.Facts{Topic: "orders", Partition: levels.ByKey, Due: 6001, Accepted: 1000, Granted: "5s"}
	with := without
	with.ID, with.Origin = "delay.level.5s-1-8-1000", "delay.level.5s/1/8"
	for name, make := range map[string]func(levels.Facts) *kgo.Record{
		"final":  func(f levels.Facts) *kgo.Record { return Final(src, f) },
		"hop":    func(f levels.Facts) *kgo.Record { return Hop(src, "t", f) },
		"parked": func(f levels.Facts) *kgo.Record { return Parked(src, "t", f) },
		"dead": func(f levels.Facts) *kgo.Record {
			return Dead(src, "t", f, levels.Refusal{Code: levels.TooLarge, Detail: "d"}, 1)
		},
	} {
		if diff := cmp.Diff(wireOf(make(with)), wireOf(make(without))); diff != "" {
			t.Errorf("%s (- with the id, + without):\n%s", name, diff)
		}
	}
}

// FuzzUnpark reads headers from bytes: any record may turn up on the parked topic.
func FuzzUnpark(f *testing.F) {
	for _, rec := range []*kgo.Record{
		Parked(&kgo.Record{}, "p", facts),
		Parked(&kgo.Record{Key: []byte{}, Headers: headers("a", "1")}, "p", levels.Facts{Topic: "t", Partition: 7, ID: "i", Granted: "0s"}),
		{Headers: headers("delay-hop-due", "-1")},
	} {
		f.Add(rec.Key, encode(rec.Headers))
	}
	f.Fuzz(func(t *testing.T, key, encoded []byte) {
		src, facts, err := Unpark(&kgo.Record{Key: key, Headers: decode(encoded)})
		if err != nil {
			return
		}
		if facts.Topic == "" || facts.ID == "" || facts.Granted == "" || facts.Partition < levels.ByKey || facts.Due < 0 || facts.Accepted < 0 {
			t.Fatalf("facts %+v", facts)
		}
		for _, h := range src.Headers {
			if isHop(h.Key) {
				t.Fatalf("private header %s is left", h.Key)
			}
		}
		checkRoundTrip(t, src, facts)
	})
}

// encode and decode put headers into bytes, keys and values between zeros.
func encode(h []kgo.RecordHeader) []byte {
	var fields [][]byte
	for _, header := range h {
		fields = append(fields, []byte(header.Key), header.Value)
	}
	return bytes.Join(fields, []byte{0})
}

func decode(encoded []byte) []kgo.RecordHeader {
	var h []kgo.RecordHeader
	for pair := range slices.Chunk(bytes.Split(encoded, []byte{0}), 2) {
		header := kgo.RecordHeader{Key: string(pair[0])}
		if len(pair) == 2 {
			header.Value = pair[1]
		}
		h = append(h, header)
	}
	return h
}

func BenchmarkFinal(b *testing.B) {
	src := Hop(&kgo.Record{Key: []byte("k"), Value: []byte("v"), Headers: headers("a", "1", "b", "2", "delay-level", "11s", "delay-target", "orders")},
		"delay.level.10s", facts)
	b.ReportAllocs()
	for b.Loop() {
		Final(src, facts)
	}
}

func BenchmarkReadHop(b *testing.B) {
	src := Hop(&kgo.Record{Headers: headers("a", "1", "b", "2", "delay-level", "11s", "delay-target", "orders")}, "delay.level.10s", facts)
	b.ReportAllocs()
	for b.Loop() {
		ReadHop(src.Headers)
	}
}

func BenchmarkParked(b *testing.B) {
	src := &kgo.Record{Key: []byte("k"), Value: []byte("v"), Headers: headers("a", "1", "b", "2", "delay-level", "11s", "delay-target", "orders")}
	b.ReportAllocs()
	for b.Loop() {
		Parked(src, "delay.parked", facts)
	}
}
