//go:build synctests

package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/control"
	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

const (
	manyTargets = 1000
	manyLetters = 100_000
	// pausedTargets and parkedTargets overlap: 200 targets are paused, have parked
	// records, or both.
	pausedTargets = 120
	parkedTargets = 150
	badTargets    = 200
)

// largeSpec has as many levels as a ladder can have: every minute of an hour, and four more.
func largeSpec(t *testing.T) admin.Spec {
	t.Helper()
	var words []string
	for minute := range 60 {
		words = append(words, fmt.Sprintf("%dm", minute+1))
	}
	ladder, err := levels.Parse(strings.Join(append(words, "2h", "6h", "12h", "24h"), " "))
	if err != nil || ladder.Len() != levels.MaxLevels {
		t.Fatalf("%d levels, %v", ladder.Len(), err)
	}
	return admin.Spec{Ladder: ladder, Names: levels.Names{Prefix: "delay"}, Partitions: 2}
}

// produce writes records in large batches.
func (w *world) produce(t *testing.T, n int, make func(i int) *kgo.Record) {
	t.Helper()
	const batch = 20_000
	for from := 0; from < n; from += batch {
		var list []*kgo.Record
		for i := from; i < min(n, from+batch); i++ {
			list = append(list, make(i))
		}
		if err := w.cl.ProduceSync(t.Context(), list...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func targetName(i int) string { return fmt.Sprintf("team-%02d.orders.%04d", i%20, i) }

// fillLarge writes what a large service has: records due in every minute on every level,
// parked records, paused targets and dead letters.
func (w *world) fillLarge(t *testing.T, spec admin.Spec) {
	t.Helper()
	var topics []string
	for i := range manyTargets {
		topics = append(topics, targetName(i))
	}
	if _, err := kadm.NewClient(w.cl).CreateTopics(t.Context(), 1, 1, nil, topics...); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	var due []*kgo.Record
	for l := range spec.Ladder.All() {
		for minute := range 60 {
			at := now.Add(time.Duration(minute)*time.Minute + 30*time.Second - l.Delay)
			for i := 0; i < 1+minute%3 && !at.After(now); i++ {
				due = append(due, &kgo.Record{Topic: spec.Names.Level(l), Partition: int32(i % 2), Timestamp: at})
			}
		}
	}
	w.produce(t, len(due), func(i int) *kgo.Record { return due[i] })
	w.produce(t, pausedTargets, func(i int) *kgo.Record {
		rec, err := control.Record("delay.control", control.Key{Kind: control.Target, Name: targetName(i)}, control.Switch{Paused: true, Reason: "ticket 8812"})
		if err != nil {
			t.Fatal(err)
		}
		rec.Partition = 0
		return rec
	})
	w.produce(t, 20*parkedTargets, func(i int) *kgo.Record {
		target := targetName(badTargets - 1 - i%parkedTargets)
		return &kgo.Record{Topic: "delay.parked", Partition: int32(i % 2), Headers: []kgo.RecordHeader{{Key: levels.HeaderTarget, Value: []byte(target)}}}
	})
	codes := levels.Codes()
	w.produce(t, manyLetters, func(i int) *kgo.Record {
		src := &kgo.Record{Topic: "delay.inbox", Value: fmt.Append(nil, i), Headers: []kgo.RecordHeader{{Key: levels.HeaderTarget, Value: []byte(targetName(i % manyTargets))}}}
		dead := record.Dead(src, "delay.dead", levels.Facts{Accepted: 7}, levels.Refusal{Code: codes[i%2], Detail: "because of " + fmt.Sprint(i)}, 2)
		if i == 0 {
			dead = record.Dead(src, "delay.dead", levels.Facts{Accepted: 7}, levels.Refusal{Code: codes[2], Detail: "the first"}, 2)
		}
		dead.Partition, dead.Timestamp = 0, now.Add(time.Duration(i-manyLetters)*time.Millisecond)
		return dead
	})
}

// TestLarge opens a console over 64 levels, 1,000 targets and 100,000 dead letters. Every
// page costs a bounded number of requests and bytes, and nothing is left out without a word.
func TestLarge(t *testing.T) {
	fakekafka.Run(t, fakekafka.Config{}, func(t *testing.T, env *fakekafka.Env) {
		w := overSpec(t, env.Cluster, largeSpec(t), nil, kgo.Dialer(env.Network.DialContext))
		w.fillLarge(t, largeSpec(t))
		requests := countRequests(env.Cluster)
		ask := func(path string, most int64) string {
			t.Helper()
			requests.Store(0)
			answer := w.ask("GET", path, "", w.signed)
			n, body := requests.Load(), answer.Body.String()
			t.Logf("%-55s %4d requests %7d bytes", path, n, len(body))
			if answer.Code != http.StatusOK {
				t.Errorf("%s: %d %s", path, answer.Code, body)
			}
			if n > most || len(body) > mostBytes {
				t.Errorf("%s: %d requests and %d bytes, want at most %d and %d", path, n, len(body), most, mostBytes)
			}
			return body
		}
		for path, most := range map[string]int64{
			"/console/": mostLook, "/console/?all=true": mostLook, "/console/due": mostLook, "/console/targets": mostRead,
			"/console/deadletters": mostRead, "/console/record?at=delay.dead/0/0": mostRead, "/console/find?id=nobody": mostSearch, "/api/v1/find?id=delay.level.1h-0-0-7": mostSearch, "/console/level?level=1h": mostRead,
			"/console/instances": mostLook, "/console/drift": mostRead, "/console/pause?target=orders": mostLook,
			"/console/pause?level=5m": mostLook, "/api/v1/levels": mostLook, "/api/v1/due": mostLook, "/api/v1/targets": mostRead,
			"/api/v1/deadletters?limit=200": mostRead, "/api/v1/instances": mostLook, "/api/v1/drift": mostRead, "/api/v1/next?level=24h": mostRead,
		} {
			ask(path, most)
			time.Sleep(lookEvery)
		}
		w.largeLevels(t, ask)
		w.largeTargets(t, ask)
		w.largeLetters(t, ask)
	})
}

const (
	// mostLook bounds the requests of a page of counts: a look, with a step of the coming
	// hour. mostRead adds reading, and mostSearch looking through letters for a rare one.
	mostLook, mostRead, mostSearch = 60, 90, 130
	// mostBytes bounds a page.
	mostBytes = 150_000
)

// largeLevels: all levels are in the tables, and alerts about many of them are one line.
func (w *world) largeLevels(t *testing.T, ask func(string, int64) string) {
	page := ask("/console/", mostLook)
	for _, level := range []string{"1m", "37m", "1h", "1d"} {
		if !strings.Contains(page, `href="level?level=`+level+`"`) {
			t.Errorf("level %s is not on the page", level)
		}
	}
	if n := strings.Count(page, `class="alert`); n > 5 {
		t.Errorf("%d alerts are above the levels", n)
	}
	if !contains(page, "Paused: 120 targets, for up to", "and 116 more") {
		t.Errorf("the page does not say what is paused:\n%.4000s", page)
	}
	time.Sleep(2 * time.Minute) // on which nobody delivers
	if page := ask("/console/", mostLook); !contains(page, "64 levels: ", "overdue, the oldest for") || strings.Count(page, `class="alert`) > 5 {
		t.Errorf("levels that are late:\n%.4000s", page)
	}
	if page := ask("/console/due", mostLook); !contains(page, " more</summary>", "1d: ") {
		t.Errorf("the table of the coming hour:\n%.6000s", page)
	}
	var due Due
	if err := json.Unmarshal([]byte(ask("/api/v1/due", mostLook)), &due); err != nil || due.Counted != 60 || len(due.Coming.Levels) < 60 {
		t.Errorf("the coming hour has %d minutes of %d levels, %v", due.Counted, len(due.Coming.Levels), err)
	}
}

// largeTargets: a list of 200 targets has pages, a filter, and says what it leaves out.
func (w *world) largeTargets(t *testing.T, ask func(string, int64) string) {
	list := func(query string) (got Targets) {
		t.Helper()
		if err := json.Unmarshal([]byte(ask("/api/v1/targets?"+query, mostRead)), &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	// 120 are paused, 150 have parked records, and 200 one of the two.
	seen := make(map[string]bool)
	for skip := 0; ; {
		page := list(fmt.Sprintf("skip=%d", skip))
		if page.Paused != pausedTargets || page.Unavailable != badTargets-pausedTargets || page.Matching != badTargets || page.Skipped != skip || page.Unread != 0 {
			t.Fatalf("from %d: %d paused, %d unavailable, %d match, %d skipped, %d unread", skip, page.Paused, page.Unavailable, page.Matching, page.Skipped, page.Unread)
		}
		if len(page.Targets) == 0 {
			break
		}
		for _, of := range page.Targets {
			seen[of.Target] = true
		}
		skip += len(page.Targets)
	}
	if len(seen) != badTargets {
		t.Errorf("the pages show %d targets, want %d", len(seen), badTargets)
	}
	if got := list("name=team-07&state=paused"); got.Matching != 6 {
		t.Errorf("%d paused targets of team-07, want 6", got.Matching)
	}
	first := ask("/console/targets", mostRead)
	if !contains(first, "80 unavailable", "120 paused", "Shown: 1 to 50 of 200", "skip=50", `placeholder="part of a topic"`) {
		t.Errorf("the first page:\n%s", first)
	}
	if last := ask("/console/targets?skip=150", mostRead); !contains(last, "Shown: 151 to 200 of 200", "skip=100") || strings.Contains(last, ">Next<") {
		t.Errorf("the last page:\n%s", last)
	}
	if none := ask("/console/targets?name=nowhere", mostRead); !contains(none, "0 match", "Show all", "No target that is paused or unavailable matches") {
		t.Errorf("no match:\n%s", none)
	}

	// Behind a long row of records for one target is one for another, out of reach of a look.
	w.produce(t, 7000, func(i int) *kgo.Record {
		target := "orders"
		if i == 5000 {
			target = "hidden"
		}
		return &kgo.Record{Topic: "delay.parked", Headers: []kgo.RecordHeader{{Key: levels.HeaderTarget, Value: []byte(target)}}}
	})
	time.Sleep(parkedEvery)
	if got := list("name=hidden"); got.Matching != 0 || got.Unread == 0 {
		t.Errorf("%d hidden targets are found at once, and %d records are unread", got.Matching, got.Unread)
	}
	if page := ask("/console/targets", mostRead); !contains(page, "of the parked were not read yet", "delayd admin parked list") {
		t.Errorf("the page does not say what it leaves out:\n%s", page)
	}
	for range 4 {
		time.Sleep(parkedEvery)
		list("")
	}
	if got := list("name=hidden"); got.Matching != 1 || got.Unread != 0 || got.Targets[0].Parked != 1 {
		t.Errorf("later %d hidden targets, %d unread: %+v", got.Matching, got.Unread, got.Targets)
	}
}

// largeLetters walks through all letters and back, and looks for rare ones.
func (w *world) largeLetters(t *testing.T, ask func(string, int64) string) {
	list := func(query, before string) (got Letters) {
		t.Helper()
		if err := json.Unmarshal([]byte(ask("/api/v1/deadletters?limit=200&"+query+"&before="+before, mostSearch)), &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	var befores []string
	var newest []int64 // of each page
	next, left := "", int64(manyLetters)
	for {
		page := list("", next)
		if len(page.Letters) == 0 {
			t.Fatalf("the page before %q is empty", next)
		}
		befores, newest = append(befores, next), append(newest, page.Letters[0].Offset)
		for i, l := range page.Letters {
			if l.Offset != left-1-int64(i) {
				t.Fatalf("page %d shows letter %d in place of %d", len(befores), l.Offset, left-1-int64(i))
			}
		}
		if left -= int64(len(page.Letters)); page.Older != left {
			t.Fatalf("page %d: %d are older, want %d", len(befores), page.Older, left)
		}
		if next = page.Next; next == "" {
			break
		}
		if len(befores)%3 == 0 && left > 20_000 { // all 500 pages would take too long
			left -= 19_000
			next = fmt.Sprintf("0:%d", left)
		}
	}
	if left != 0 {
		t.Errorf("the walk ends %d letters before the end", left)
	}
	for i := len(befores) - 1; i >= 0; i -= 4 {
		if page := list("", befores[i]); page.Letters[0].Offset != newest[i] {
			t.Errorf("on the way back page %d begins with letter %d, not %d", i, page.Letters[0].Offset, newest[i])
		}
	}

	// The one letter of its code is the first of all.
	page, pages := Letters{}, 0
	for next = ""; len(page.Letters) == 0 && (next != "" || pages == 0); next, pages = page.Next, pages+1 {
		page = list("code="+string(levels.Codes()[2]), next)
	}
	if len(page.Letters) != 1 || page.Letters[0].Offset != 0 || pages > 8 {
		t.Errorf("%d letters of a rare code after %d pages", len(page.Letters), pages)
	}
	if page := ask("/console/deadletters?code="+string(levels.Codes()[2]), mostSearch); !contains(page, "letters that were looked at matches. Older ones were not looked at", ">Older<", "are older.") {
		t.Errorf("a page without a match:\n%s", page)
	}
	if page := list("target="+targetName(999), ""); len(page.Letters) == 0 || *page.Letters[0].Target != targetName(999) {
		t.Errorf("letters of one target: %+v", page)
	}
}
