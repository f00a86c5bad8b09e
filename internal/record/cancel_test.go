package record

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

func with(pairs ...string) (hs []kgo.RecordHeader) {
	for i := 0; i < len(pairs); i += 2 {
		hs = append(hs, kgo.RecordHeader{Key: pairs[i], Value: []byte(pairs[i+1])})
	}
	return hs
}

func TestCancelAsked(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		headers []kgo.RecordHeader
		want    string // "cancel ID", "replace ID", "" for neither, or what the refusal says
	}{
		{with("delay-level", "5s", "delay-id", "1"), ""},
		{with("delay-cancel", "1"), "cancel 1"},
		{with("delay-cancel", "1", "delay-cancel", "2"), "cancel 2"},
		{with("delay-cancel", "1", "delay-target", "orders", "trace", "x"), "cancel 1"},
		{with("delay-cancel", ""), "delay-cancel is empty; write the delay-id"},
		{with("delay-cancel", "1", "delay-level", "5s"), "a cancel is delivered nowhere"},
		{with("delay-cancel", "1", "delay-until", "1"), "a cancel is delivered nowhere"},
		{with("delay-cancel", "1", "delay-replace", "true", "delay-id", "1"), "a cancel replaces nothing"},
		{with("delay-cancel", "1", "Delay-Id", "1"), "is not how the key is spelled; write delay-id"},
		{with("delay-replace", "true", "delay-id", "1"), "replace 1"},
		{with("delay-replace", "false", "delay-id", "1"), ""},
		{with("delay-replace", "true"), "delay-replace needs a delay-id"},
		{with("delay-replace", "true", "delay-id", ""), "delay-replace needs a delay-id"},
		{with("delay-replace", "true", "delay-id", "1", "delay-granted", "5s"), "delay-replace needs a delay-id"},
		{with("delay-replace", "1", "delay-id", "1"), `is neither true nor false; write true`},
	} {
		a, r := Read(tc.headers).CancelAsked()
		got := ""
		switch {
		case r != nil:
			got = r.Detail
		case a.Cancels:
			got = "cancel " + string(a.ID)
		case a.Replaces:
			got = "replace " + string(a.ID)
		}
		if got != tc.want && (r == nil || !strings.Contains(got, tc.want) || tc.want == "") {
			t.Errorf("%v: %q, want %q", tc.headers, got, tc.want)
		}
		if r != nil && r.Code != levels.BadCancel && r.Code != levels.BadHeader {
			t.Errorf("%v: code %s", tc.headers, r.Code)
		}
		if asks := AsksCancel(tc.headers); !asks && tc.want != "" {
			t.Errorf("%v asks for nothing", tc.headers)
		}
	}
}

// TestHasOwnID: the quick look finds what the whole one does.
func TestHasOwnID(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	keys := []string{"delay-id", "delay-granted", "trace", "delay-ix", "delay-requestex", KeyID}
	for range 10_000 {
		var hs []kgo.RecordHeader
		for range random.IntN(6) {
			hs = append(hs, kgo.RecordHeader{Key: keys[random.IntN(len(keys))], Value: make([]byte, random.IntN(2))})
		}
		if _, own := Read(hs).OwnID(); own != HasOwnID(hs) {
			t.Fatalf("%v: %v", hs, own)
		}
	}
}

// TestSubject: whatever a record's form, a cancel knows it by the same id, key, time and place.
func TestSubject(t *testing.T) {
	t.Parallel()
	const inbox, accepted = "delay.inbox", int64(1_700_000_000_000)
	src := &kgo.Record{Topic: inbox, Partition: 3, Offset: 17, Key: []byte("k"), Timestamp: time.UnixMilli(accepted), Headers: with("delay-id", "own")}
	f := levels.Facts{Partition: levels.ByKey, Accepted: accepted, Due: accepted + 5001, Granted: "5s", Topic: "orders"}
	place := Place{Partition: 3, Offset: 17, Known: true}
	check := func(form string, got, want Subject) {
		t.Helper()
		if string(got.ID) != string(want.ID) || string(got.Key) != string(want.Key) || (got.Key == nil) != (want.Key == nil) ||
			got.Accepted != want.Accepted || got.Place != want.Place || got.Unique != want.Unique {
			t.Errorf("%s: %s %+v, want %s %+v", form, got.ID, got, want.ID, want)
		}
	}
	for _, tc := range []struct {
		name string
		key  []byte
		hs   []kgo.RecordHeader
		want Subject
	}{
		{"own", []byte("k"), with("delay-id", "own"), Subject{ID: []byte("own")}},
		{"default", []byte("k"), nil, Subject{ID: []byte("delay.inbox-3-17-1700000000000"), Unique: true}},
		{"null key", nil, with("delay-id", "own"), Subject{ID: []byte("own")}},
		{"empty key", []byte{}, with("delay-id", "own"), Subject{ID: []byte("own")}},
		{"delivered before", []byte("k"), with("delay-id", "old", "delay-granted", "5s"), Subject{ID: []byte("delay.inbox-3-17-1700000000000"), Unique: true}},
	} {
		rec, want := *src, tc.want
		rec.Key, rec.Headers = tc.key, tc.hs
		want.Key, want.Accepted, want.Place = tc.key, accepted, place
		level := Hop(&rec, "delay.level.5s", f)
		level.Partition, level.Offset, level.Timestamp = 1, 99, time.UnixMilli(accepted+700)
		check(tc.name+" on a level", Read(level.Headers).Subject(level, inbox, accepted+700), want)
		if p := CancelPartition(level, inbox); p != 3 {
			t.Errorf("%s: cancels come by partition %d, want 3", tc.name, p)
		}
		facts, _ := Read(level.Headers).Facts()
		next := Hop(level, "delay.level.1s", facts)
		next.Partition, next.Offset, next.Timestamp = 0, 5, time.UnixMilli(accepted+6000)
		check(tc.name+" on its next level", Read(next.Headers).Subject(next, inbox, accepted+6000), want)
		facts.Topic = "orders"
		parked := Parked(next, "delay.parked", facts)
		back, known, err := Unpark(parked)
		if err != nil {
			t.Fatal(err)
		}
		check(tc.name+" parked", SubjectOf(back, &known, inbox), want)
	}
	direct := &kgo.Record{Topic: "delay.level.5s", Partition: 2, Offset: 4, Key: []byte("k"), Timestamp: time.UnixMilli(accepted), Headers: with("delay-id", "own")}
	check("straight to a level", Read(direct.Headers).Subject(direct, inbox, accepted), Subject{ID: []byte("own"), Key: []byte("k"), Accepted: accepted})
	direct.Headers = nil
	check("straight to a level, default", Read(direct.Headers).Subject(direct, inbox, accepted),
		Subject{ID: []byte("delay.level.5s-2-4-1700000000000"), Unique: true, Key: []byte("k"), Accepted: accepted})
	if p := CancelPartition(direct, inbox); p != 2 {
		t.Errorf("cancels of a direct record come by partition %d, want 2", p)
	}
}
