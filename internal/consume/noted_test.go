package consume

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestNoted: a commit tells up to where the records of a partition are noted, where a record
// in front of them waits. It is made for that alone only while nothing else moves.
func TestNoted(t *testing.T) {
	l := newTestLane()
	l.live.Store(true)
	l.push(fetched(newRecord(0, epoch, appended), newRecord(1, epoch, appended), newRecord(2, epoch, appended)), epoch)
	l.commit(l.prefix())
	if l.news() {
		t.Fatal("there is news, and nothing has been done")
	}
	works, _ := l.due(make([]*Work, 0, 3), epoch.Add(2*time.Hour))
	l.claim(t.Context(), works)
	works[1].Noted()
	if !l.news() {
		t.Error("two records are noted, and there is no news")
	}
	p := l.prefix()
	if got := NotedUpTo(p.at.Offset, p.meta); p.at.Offset != 0 || got != 2 {
		t.Errorf("committed %d, %q: noted up to %d, want 2", p.at.Offset, p.meta, got)
	}
	l.commit(p)
	if l.news() {
		t.Error("there is news, and the last commit has told it")
	}
	works[2].Noted()
	l.finish(works[0], epoch)
	l.commit(l.prefix())
	if p = l.prefix(); NotedUpTo(p.at.Offset, p.meta) != 3 || l.news() {
		t.Errorf("committed %d, %q, and there is news: %t", p.at.Offset, p.meta, l.news())
	}
	l.push(fetched(newRecord(3, epoch, appended)), epoch)
	more, _ := l.due(make([]*Work, 0, 1), epoch.Add(2*time.Hour))
	l.claim(t.Context(), more)
	more[0].Noted()
	l.finish(works[1], epoch)
	l.commit(prefix{lane: l, n: 1, at: kgo.EpochOffset{Offset: 2}, last: 3, noted: 3})
	signalled := func() bool {
		select {
		case <-l.c.some:
			return true
		default:
			return false
		}
	}
	signalled()
	if l.news() || !signalled() {
		t.Error("what is committed has moved: either that is news, or nobody looks again soon")
	}
	if !l.news() || signalled() {
		t.Error("what is committed stands, and more is noted than it tells")
	}
}

// TestNotedUpTo: whatever else metadata says, at least what is committed is noted.
func TestNotedUpTo(t *testing.T) {
	const id = "id Wm1t0WTrTAubKJSM2v5fUA@4L6g3nShT-eMCtK--X86sw "
	for meta, want := range map[string]int64{
		"": 5, "noted 7": 7, id + "noted 7": 7, id + "noted 7 ahead 0 AQ": 7, "noted 3": 5, "noted": 5, "noted x": 5,
		"ahead 0 AQ": 5, id: 5, "id": 5, "somebody else's": 5,
	} {
		if got := NotedUpTo(5, meta); got != want {
			t.Errorf("%q: noted up to %d, want %d", meta, got, want)
		}
	}
}
