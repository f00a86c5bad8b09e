package admin

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// TestLetterPages goes through all letters, page by page, and through those of a rare
// code.
func TestLetterPages(t *testing.T) {
	t.Parallel()
	cl := writer(t, fake(t).ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	const all = 300
	for i := range all {
		code := levels.UnknownTopic
		if i == 3 {
			code = levels.BadLevel
		}
		die(t, cl, &kgo.Record{Topic: "delay.inbox", Offset: int64(i), Value: fmt.Append(nil, i), Headers: h(levels.HeaderTarget, "orders")}, code, spring(i))
	}
	pages := NewLetterPages(cl, spec.Names)
	walk := func(f LetterFilter) (offsets []int64, n int) {
		for before := ""; ; {
			page, err := pages.Page(t.Context(), f, before)
			if err != nil {
				t.Fatal(err)
			}
			n++
			for _, l := range page.Letters {
				offsets = append(offsets, l.Offset)
			}
			if before = page.Next; before == "" {
				return offsets, n
			}
		}
	}
	var want []int64
	for i := range int64(all) {
		want = append(want, all-1-i)
	}
	got, n := walk(LetterFilter{})
	if diff := cmp.Diff(want, got); diff != "" || n != all/pageLetters {
		t.Errorf("%d pages, want %d; letters (-want +got):\n%s", n, all/pageLetters, diff)
	}
	if got, _ := walk(LetterFilter{Codes: []levels.Code{levels.BadLevel}}); !slices.Equal(got, []int64{3}) {
		t.Errorf("the letter of a rare code: %v, want 3", got)
	}
	first, err := pages.Page(t.Context(), LetterFilter{Limit: 2}, "")
	if err != nil || first.Looked > pageWindow || first.Next != "0:298" {
		t.Errorf("the first page looked at %d records, the next begins at %q, %v; want at most %d, 0:298", first.Looked, first.Next, err, pageWindow)
	}

	// What is sent again is known on the next page.
	resend(t, cl, spec, Resend{Filter: LetterFilter{Offsets: []int64{299}}, Force: true})
	again, err := pages.Page(t.Context(), LetterFilter{Limit: 1}, "")
	if err != nil || len(again.Letters) != 1 || again.Letters[0].SentAgain == nil {
		t.Errorf("after it was sent again: %+v, %v", again.Letters, err)
	}
	if _, err := pages.Page(t.Context(), LetterFilter{}, "0:x"); err == nil || !strings.Contains(err.Error(), "leave it out for the newest") {
		t.Errorf("error %v for a page that begins nowhere", err)
	}
}

func TestReadRecord(t *testing.T) {
	t.Parallel()
	cl := writer(t, fake(t).ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	create(t, cl, "orders", 1)
	at := time.UnixMilli(1_700_000_000_000).UTC()
	rec := &kgo.Record{Topic: "delay.level.1m", Partition: 1, Timestamp: at, Key: []byte("k"), Value: []byte("grüße"), Headers: h("a", "\xff\x00")}
	if err := cl.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
		t.Fatal(err)
	}
	got, err := ReadRecord(t.Context(), cl, spec.Names, Place{"delay.level.1m", 1, 0}, 3)
	if err != nil {
		t.Fatal(err)
	}
	due := at.Add(time.Minute + time.Millisecond)
	want := &Contents{
		Topic: "delay.level.1m", Partition: 1, Time: at, Level: "1m", Due: &due, Key: &Preview{Text: "k", Bytes: 1},
		Value: &Preview{Text: "gr", Bytes: 7}, Headers: []Header{{"a", &Preview{Data: []byte("\xff\x00"), Bytes: 2}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	die(t, cl, &kgo.Record{Topic: "delay.inbox", Value: []byte("v")}, levels.BadLevel, at)
	if got, err = ReadRecord(t.Context(), cl, spec.Names, Place{"delay.dead", 0, 0}, 100); err != nil || got.Letter == nil || got.Letter.Code != levels.BadLevel {
		t.Errorf("a dead letter: %+v, %v", got, err)
	}
	if _, err := ReadRecord(t.Context(), cl, spec.Names, Place{"delay.dead", 0, 7}, 100); !errors.Is(err, ErrNoRecord) {
		t.Errorf("error %v where no record is", err)
	}
	if _, err := ReadRecord(t.Context(), cl, spec.Names, Place{"orders", 0, 0}, 100); err == nil || !strings.Contains(err.Error(), "is no topic of this delay service") {
		t.Errorf("error %v for a topic of others", err)
	}
}

// TestParkedTargets reads what is parked in steps: each look knows all that earlier ones
// read, and the last records of a partition that it has not reached.
func TestParkedTargets(t *testing.T) {
	t.Parallel()
	cl := writer(t, fake(t).ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	at := time.UnixMilli(1_700_000_000_000).UTC()
	park := func(targets ...string) {
		t.Helper()
		for i, target := range targets {
			rec := &kgo.Record{Topic: "delay.parked", Timestamp: at.Add(time.Duration(i) * time.Second)}
			if target != "" {
				rec.Headers = h(levels.HeaderTarget, target)
			}
			if err := cl.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := NewParkedTargets(cl, spec.Names)
	p.step, p.tail = 3, 1
	look := func(want ParkedView) {
		t.Helper()
		got, err := p.Look(t.Context())
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v; parked (-want +got):\n%s", err, diff)
		}
	}
	after := func(i int) time.Time { return at.Add(time.Duration(i) * time.Second) }
	orders, mails, hidden, last := "orders", "mails", "hidden", "last"

	park("done", "orders", "mails", "orders", "", "hidden", "orders", "last")
	commit(t, cl, "delay.forwarder", "delay.parked", 0, 1)
	look(ParkedView{[]ParkedTarget{{&orders, 2, after(1)}, {&last, 1, after(7)}, {&mails, 1, after(2)}}, 3})
	look(ParkedView{[]ParkedTarget{{&orders, 3, after(1)}, {nil, 1, after(4)}, {&hidden, 1, after(5)}, {&last, 1, after(7)}, {&mails, 1, after(2)}}, 0})
	// What is delivered is forgotten, record by record.
	commit(t, cl, "delay.forwarder", "delay.parked", 0, 4)
	look(ParkedView{[]ParkedTarget{{nil, 1, after(4)}, {&hidden, 1, after(5)}, {&last, 1, after(7)}, {&orders, 1, after(6)}}, 0})
	// Memory is bounded: beyond that only the end is read.
	p.limit = 5
	park("mails", "mails", "mails", "orders")
	look(ParkedView{[]ParkedTarget{{&orders, 2, after(3)}, {nil, 1, after(4)}, {&hidden, 1, after(5)}, {&last, 1, after(7)}, {&mails, 1, at}}, 2})
	// Delivered beyond what was read.
	commit(t, cl, "delay.forwarder", "delay.parked", 0, 11)
	look(ParkedView{[]ParkedTarget{{&orders, 1, after(3)}}, 0})
	commit(t, cl, "delay.forwarder", "delay.parked", 0, 12)
	look(ParkedView{[]ParkedTarget{}, 0})
	if len(p.targets) != 0 {
		t.Errorf("%d names are kept of targets without records", len(p.targets))
	}
}
