package deadletter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/levels"
)

// TestPages goes through all letters, page by page, and through those of a rare
// code.
func TestPages(t *testing.T) {
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
	pages := NewPages(cl, spec.Names)
	walk := func(f Filter) (offsets []int64, n int) {
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
	got, n := walk(Filter{})
	if diff := cmp.Diff(want, got); diff != "" || n != all/pageLetters {
		t.Errorf("%d pages, want %d; letters (-want +got):\n%s", n, all/pageLetters, diff)
	}
	if got, _ := walk(Filter{Codes: []levels.Code{levels.BadLevel}}); !slices.Equal(got, []int64{3}) {
		t.Errorf("the letter of a rare code: %v, want 3", got)
	}
	first, err := pages.Page(t.Context(), Filter{Limit: 2}, "")
	if err != nil || first.Looked > pageWindow || first.Next != "0:298" {
		t.Errorf("the first page looked at %d records, the next begins at %q, %v; want at most %d, 0:298", first.Looked, first.Next, err, pageWindow)
	}

	// What is sent again is known on the next page.
	resend(t, cl, spec, ResendOptions{Filter: Filter{Offsets: []int64{299}}, Force: true})
	again, err := pages.Page(t.Context(), Filter{Limit: 1}, "")
	if err != nil || len(again.Letters) != 1 || again.Letters[0].SentAgain == nil {
		t.Errorf("after it was sent again: %+v, %v", again.Letters, err)
	}
	if _, err := pages.Page(t.Context(), Filter{}, "0:x"); err == nil || !strings.Contains(err.Error(), "leave it out for the newest") {
		t.Errorf("error %v for a page that begins nowhere", err)
	}
}

func TestRead(t *testing.T) {
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
	got, err := Read(t.Context(), cl, spec.Names, admin.Place{Topic: "delay.level.1m", Partition: 1, Offset: 0}, 3)
	if err != nil {
		t.Fatal(err)
	}
	due := at.Add(time.Minute + time.Millisecond)
	want := &Contents{Contents: &admin.Contents{
		Topic: "delay.level.1m", Partition: 1, Time: at, Level: "1m", Due: &due, Key: &admin.Preview{Text: "k", Bytes: 1},
		Value: &admin.Preview{Text: "gr", Bytes: 7}, Headers: []admin.Header{{Key: "a", Value: &admin.Preview{Data: []byte("\xff\x00"), Bytes: 2}}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	die(t, cl, &kgo.Record{Topic: "delay.inbox", Value: []byte("v")}, levels.BadLevel, at)
	if got, err = Read(t.Context(), cl, spec.Names, admin.Place{Topic: "delay.dead", Partition: 0, Offset: 0}, 100); err != nil || got.Letter == nil || got.Letter.Code != levels.BadLevel {
		t.Errorf("a dead letter: %+v, %v", got, err)
	}
	if _, err := Read(t.Context(), cl, spec.Names, admin.Place{Topic: "delay.dead", Partition: 0, Offset: 7}, 100); !errors.Is(err, admin.ErrNoRecord) {
		t.Errorf("error %v where no record is", err)
	}
	if _, err := Read(t.Context(), cl, spec.Names, admin.Place{Topic: "orders", Partition: 0, Offset: 0}, 100); err == nil || !strings.Contains(err.Error(), "is no topic of this delay service") {
		t.Errorf("error %v for a topic of others", err)
	}
}
