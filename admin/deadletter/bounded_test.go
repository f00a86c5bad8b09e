package deadletter

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// resent writes n dead letters, and records that each was sent again.
func resent(t *testing.T, cl *kgo.Client, n int) {
	t.Helper()
	for i := range n {
		src := &kgo.Record{Topic: "delay.inbox", Offset: int64(i), Value: fmt.Append(nil, i)}
		rec := record.Dead(src, "delay.dead", levels.Facts{Accepted: 7}, levels.Refusal{Code: levels.BadLevel, Detail: "d"}, 1)
		rec.Partition = 0
		put(t, cl, rec, spring(i))
		s := Sending{Letter: admin.Place{Topic: "delay.dead", Partition: 0, Offset: int64(i)}, Died: spring(i).UnixMilli(), To: admin.Place{Topic: "delay.inbox", Partition: 0, Offset: int64(1000 + i)}, DeadEnd: int64(n), Times: 1}
		told, err := s.record("delay.resent")
		if err != nil {
			t.Fatal(err)
		}
		told.Partition = 0
		put(t, cl, told, spring(i).Add(time.Minute))
	}
}

// TestPagesReadABoundedPartOfSendings: a record's page knows what was sent again lately, and
// reads no more for it.
func TestPagesReadABoundedPartOfSendings(t *testing.T) {
	t.Parallel()
	cl := writer(t, fake(t).ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	if err := admin.CreateResent(t.Context(), cl, spec.Names); err != nil {
		t.Fatal(err)
	}
	resent(t, cl, 12)
	p := NewPages(cl, spec.Names)
	p.kept = 5
	for offset, known := range map[int64]bool{0: false, 6: false, 7: true, 11: true} {
		c, err := p.Read(t.Context(), admin.Place{Topic: "delay.dead", Partition: 0, Offset: offset}, 100)
		if err != nil {
			t.Fatal(err)
		}
		if (c.Letter.SentAgain != nil) != known {
			t.Errorf("letter %d: sent again %v, want known: %v", offset, c.Letter.SentAgain, known)
		}
		whole, err := Read(t.Context(), cl, spec.Names, admin.Place{Topic: "delay.dead", Partition: 0, Offset: offset}, 100)
		if err != nil || whole.Letter.SentAgain == nil {
			t.Errorf("letter %d, with all that was sent again: %+v, %v", offset, whole, err)
		}
	}
	if n := len(p.sendings.letters); n != 5 {
		t.Errorf("%d sendings are remembered", n)
	}
	if _, err := p.Read(t.Context(), admin.Place{Topic: "delay.dead", Partition: 0, Offset: 99}, 100); !errors.Is(err, admin.ErrNoRecord) {
		t.Errorf("error %v", err)
	}
}

// TestResendIsBounded: a resend refuses to read more than it may, before it sends anything;
// letters that are named by offset are read alone.
func TestResendIsBounded(t *testing.T) {
	t.Parallel()
	cl := writer(t, fake(t).ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	if err := admin.CreateResent(t.Context(), cl, spec.Names); err != nil {
		t.Fatal(err)
	}
	resent(t, cl, 12)
	run := func(r ResendOptions) (n int, err error) {
		r.DryRun = true
		err = Resend(t.Context(), cl, spec.Names, r, func(Resent) error { n++; return nil })
		return n, err
	}
	if n, err := run(ResendOptions{MaxRead: 24}); n != 12 || err != nil {
		t.Errorf("%d letters, %v", n, err)
	}
	n, err := run(ResendOptions{MaxRead: 23})
	if many := new(TooManyError); n != 0 || !errors.As(err, &many) || many.Records != 24 || !strings.Contains(err.Error(), "delay.dead") {
		t.Errorf("%d letters, %v", n, err)
	}
	if n, err := run(ResendOptions{MaxRead: 13, Filter: Filter{Offsets: []int64{5}}}); n != 1 || err != nil {
		t.Errorf("%d letters, %v", n, err)
	}
	if n, err := run(ResendOptions{MaxRead: 13, Again: true, Filter: Filter{Offsets: []int64{5}}}); n != 0 || err == nil {
		t.Errorf("%d letters, %v; all are read to know which have died again", n, err)
	}
	missing := new(MissingError)
	if n, err := run(ResendOptions{Filter: Filter{Offsets: []int64{5, 50}}}); n != 1 || !errors.As(err, &missing) {
		t.Errorf("%d letters, %v", n, err)
	}
}
