package deliver

import (
	"strings"
	"testing"
	"time"
)

// selectionCases are transactions, and which of the records that wait, in their order, each
// takes: "source>topic", with * for a large record and (n) for a suspect of group n. A
// record that is written only after all before it are answered has a | before it; one that
// is not taken, with all that stands behind it in its source, is left out.
var selectionCases = []struct {
	reason  string
	change  func(s *selection, now time.Time)
	records string
	want    string
}{
	{
		reason:  "while all is well everything goes together, in its order",
		records: "a>orders b>orders a>mails",
		want:    "a>orders b>orders a>mails",
	}, {
		reason:  "what failed rests, with all that stands behind it in its source",
		change:  func(s *selection, now time.Time) { s.rests.extend("a", now, time.Second, time.Second) },
		records: "a>orders b>orders a>mails b>mails",
		want:    "b>orders b>mails",
	}, {
		reason: "a source that has rested goes with all others, but for parked records",
		change: func(s *selection, now time.Time) {
			s.rests.extend("a", now.Add(-time.Second), time.Second, time.Second)
		},
		records: "a>orders b>orders a>mails",
		want:    "a>orders b>orders a>mails",
	}, {
		reason:  "parked records go together, whatever their sources and targets, while none rests",
		change:  func(s *selection, _ time.Time) { s.parked = true },
		records: "a>orders b>mails a>mails",
		want:    "a>orders b>mails a>mails",
	}, {
		reason: "while any rests, a transaction of parked records is for one source",
		change: func(s *selection, now time.Time) {
			s.parked = true
			s.rests.extend("c", now, time.Second, time.Second)
		},
		records: "c>orders a>orders b>orders a>mails c>mails",
		want:    "a>orders a>mails",
	}, {
		reason: "and of a source that has rested for one target, which shows who is at fault",
		change: func(s *selection, now time.Time) {
			s.parked = true
			s.rests.extend("a", now.Add(-time.Second), time.Second, time.Second)
		},
		records: "a>orders a>orders a>mails a>orders b>orders",
		want:    "a>orders a>orders",
	}, {
		reason:  "a topic of the service's own that rests is not tried, and others go on",
		change:  func(s *selection, now time.Time) { s.rests.extend("level", now, time.Second, time.Second) },
		records: "a>level b>orders a>orders",
		want:    "b>orders",
	}, {
		reason: "when it has rested, one record tries it",
		change: func(s *selection, now time.Time) {
			s.rests.extend("level", now.Add(-time.Second), time.Second, time.Second)
		},
		records: "a>level b>level c>orders a>orders",
		want:    "a>level c>orders a>orders",
	}, {
		reason:  "large records are not mixed with others",
		records: "a>orders b>orders* a>mails",
		want:    "a>orders a>mails",
	}, {
		reason:  "large records have a batch of their own each",
		records: "a>orders* b>orders* c>orders",
		want:    "a>orders* |b>orders*",
	}, {
		reason:  "after large records small ones come first",
		change:  func(s *selection, _ time.Time) { s.light = true },
		records: "a>orders* b>orders",
		want:    "b>orders",
	}, {
		reason:  "suspects have no company on their topic but their group",
		records: "a>orders a>orders(1) a>orders(1) b>mails a>orders(2) a>orders",
		want:    "a>orders |a>orders(1) a>orders(1) b>mails |a>orders(2) |a>orders",
	}, {
		reason:  "suspects of two topics do not wait for each other",
		records: "a>orders(1) b>mails(1) a>orders(1)",
		want:    "|a>orders(1) |b>mails(1) a>orders(1)",
	},
}

func TestSelection(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, test := range selectionCases {
		s := selection{rests: make(rests)}
		if test.change != nil {
			test.change(&s, now)
		}
		held, taken := make(map[string]bool), []string(nil)
		for text := range strings.FieldsSeq(test.records) {
			source, topic, _ := strings.Cut(text, ">")
			c := candidate{source: source, bytes: 1}
			topic, group, suspect := strings.Cut(topic, "(")
			if suspect {
				c.group = int(group[0] - '0')
			}
			topic, large := strings.CutSuffix(topic, "*")
			if large {
				c.packing = gzipped
			}
			c.target, c.topic = topic, topic
			if held[source] || s.keeps(source, topic, now) || !s.suits(c, now) {
				held[source] = true
				continue
			}
			if s.records == 0 {
				s.first = c
			}
			if s.alone(c) {
				text = "|" + text
			}
			s.take(c)
			taken = append(taken, text)
		}
		if got := strings.Join(taken, " "); got != test.want {
			t.Errorf("%s: of %s it takes\n%s, want\n%s", test.reason, test.records, got, test.want)
		}
	}
}

// TestSelectionFull: a transaction is bounded in records and bytes.
func TestSelectionFull(t *testing.T) {
	for _, test := range []struct {
		records int
		bytes   int64 // of each
		want    bool
	}{
		{txnRecords - 1, 1, false}, {txnRecords, 1, true},
		{15, 1 << 20, false}, {16, 1 << 20, true},
	} {
		var s selection
		for range test.records {
			s.take(candidate{bytes: test.bytes})
		}
		if s.full() != test.want {
			t.Errorf("with %d records of %d bytes: full is %t", test.records, test.bytes, s.full())
		}
	}
}

// TestSuspectGroups: suspects are divided into groups of about the same size, in their
// order, until each stands alone.
func TestSuspectGroups(t *testing.T) {
	aborts := 0
	for n := txnRecords; n > 1; aborts++ {
		sizes := make(map[int]int)
		last := 1
		for i := range n {
			g := suspectGroup(i, n)
			if g < last || g > suspectGroups {
				t.Fatalf("record %d of %d is in group %d after one in %d", i, n, g, last)
			}
			last = g
			sizes[g]++
		}
		n = sizes[1]
		for g, size := range sizes {
			if size < n-1 || size > n+1 {
				t.Fatalf("group %d has %d records, and group 1 has %d", g, size, n)
			}
		}
	}
	if aborts > freeAborts {
		t.Errorf("it takes %d aborts to find a record among %d; only %d have no wait behind them", aborts, txnRecords, freeAborts)
	}
}

// TestAbortBackoff: what finds out something has no wait, what goes on and on has one.
func TestAbortBackoff(t *testing.T) {
	for aborts, want := range map[int]time.Duration{
		0: 0, 1: 0, freeAborts: 0, freeAborts + 1: 2 * backoffMin, freeAborts + 3: 8 * backoffMin, freeAborts + 10: backoffMax, 1 << 20: backoffMax,
	} {
		if got := abortBackoff(aborts); got != want {
			t.Errorf("after %d aborts: %v, want %v", aborts, got, want)
		}
	}
}

// TestRests: each rest is twice as long as the one before, within its bounds, until an
// attempt succeeds.
func TestRests(t *testing.T) {
	r, now := make(rests), time.Unix(1_700_000_000, 0)
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second} {
		r.extend("a", now, time.Second, 5*time.Second)
		if !r.waits("a", now.Add(want-1)) || r.waits("a", now.Add(want)) {
			t.Errorf("rest %d is not %v", i+1, want)
		}
		now = now.Add(want)
	}
	if !r.active("a") || r.waits("b", now) || r.active("b") {
		t.Error("not only a rests, or it has shown that it need not before it was tried")
	}
	r.end("a")
	r.extend("a", now, time.Second, 5*time.Second)
	if r.waits("a", now.Add(time.Second)) {
		t.Error("after an attempt that succeeded the first rest is longer than the least")
	}
}
