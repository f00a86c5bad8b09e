package deadletter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/describe"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/scan"
	"github.com/delayd-io/delayd/levels"
)

// h is headers, as keys and values in turn.
func h(keysAndValues ...string) []kgo.RecordHeader {
	var list []kgo.RecordHeader
	for i := 0; i < len(keysAndValues); i += 2 {
		list = append(list, kgo.RecordHeader{Key: keysAndValues[i], Value: []byte(keysAndValues[i+1])})
	}
	return list
}

// die writes the dead letter that the service makes of src, which was read from
// where it says.
func die(t testing.TB, cl *kgo.Client, src *kgo.Record, code levels.Code, died time.Time) {
	t.Helper()
	rec := record.Dead(src, "delay.dead", levels.Facts{Accepted: 7}, levels.Refusal{Code: code, Detail: "it says why"}, 2)
	rec.Partition, rec.Timestamp = 0, died
	if err := cl.ProduceSync(context.Background(), rec).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// spring is when the letters of these tests died, with hours after it.
func spring(hours int) time.Time {
	return time.Date(2026, 3, 1, hours, 0, 0, 0, time.UTC)
}

// threeLetters are a cluster with the service's topics, and one letter from each place.
func threeLetters(t *testing.T) (*kgo.Client, admin.Spec) {
	t.Helper()
	cl := writer(t, fake(t).ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	create(t, cl, "orders", 10)
	create(t, cl, "gone", 1) // and made again
	inbox := &kgo.Record{Topic: "delay.inbox", Partition: 1, Offset: 8, Key: []byte("k"), Value: []byte("zero"),
		Headers: h("a", "1", "delay-level", "1m", "delay-target", "orders", "delay-partition", "9")}
	level := &kgo.Record{Topic: "delay.level.5s", Partition: 2, Offset: 5, Value: []byte("one"), Headers: h("delay-target", "gone", "delay-id", "mine")}
	die(t, cl, inbox, levels.BadPartition, spring(0))
	die(t, cl, level, levels.UnknownTopic, spring(1))
	die(t, cl, &kgo.Record{Topic: "delay.level.7s", Value: []byte("two")}, levels.NoTarget, spring(2))
	return cl, spec
}

func TestList(t *testing.T) {
	t.Parallel()
	cl, spec := threeLetters(t)
	for name, tc := range map[string]struct {
		filter Filter
		want   []int64
		more   bool
	}{
		"all":           {Filter{}, []int64{0, 1, 2}, false},
		"a code":        {Filter{Codes: []levels.Code{levels.UnknownTopic}}, []int64{1}, false},
		"two codes":     {Filter{Codes: []levels.Code{levels.UnknownTopic, levels.NoTarget}}, []int64{1, 2}, false},
		"a target":      {Filter{Target: "orders"}, []int64{0}, false},
		"no such":       {Filter{Target: "invoices"}, nil, false},
		"since":         {Filter{Since: spring(1)}, []int64{1, 2}, false},
		"until":         {Filter{Until: spring(1)}, []int64{0}, false},
		"an offset":     {Filter{Offsets: []int64{2}}, []int64{2}, false},
		"limit":         {Filter{Limit: 2}, []int64{0, 1}, true},
		"limit reached": {Filter{Limit: 3}, []int64{0, 1, 2}, false},
		"all of it":     {Filter{Target: "gone", Until: spring(1)}, nil, false},
		"newest":        {Filter{Newest: true}, []int64{2, 1, 0}, false},
		"newest, limit": {Filter{Newest: true, Limit: 2}, []int64{2, 1}, true},
		"newest, all":   {Filter{Newest: true, Limit: 3}, []int64{2, 1, 0}, false},
	} {
		list, more, err := List(t.Context(), cl, spec.Names, tc.filter)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, l := range list {
			got = append(got, l.Offset)
		}
		if !slices.Equal(got, tc.want) || more != tc.more {
			t.Errorf("%s: %d, more %t; want %d, %t", name, got, more, tc.want, tc.more)
		}
	}

	list, _, err := List(t.Context(), cl, spec.Names, Filter{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	orders, attempts := "orders", 2
	want := &Letter{Topic: "delay.dead", Died: spring(0), Code: levels.BadPartition, Detail: "it says why", Deaths: 1,
		Origin: "delay.inbox/1/8", Target: &orders, Attempts: &attempts, ID: "delay.inbox-1-8-7",
		Key: admin.NewPreview([]byte("k"), admin.PreviewBytes), Value: admin.NewPreview([]byte("zero"), admin.PreviewBytes),
		Headers: admin.NewHeaders(h("a", "1", "delay-level", "1m", "delay-target", "orders", "delay-partition", "9", "delay-id", "delay.inbox-1-8-7",
			"delay-error", "bad-partition", "delay-error-detail", "it says why", "delay-origin", "delay.inbox/1/8", "delay-attempts", "2"), admin.PreviewBytes)}
	if diff := cmp.Diff([]*Letter{want}, list); diff != "" {
		t.Errorf("letter (-want +got):\n%s", diff)
	}
}

// TestNewestOfMany drops old letters while it reads, and keeps the newest.
func TestNewestOfMany(t *testing.T) {
	t.Parallel()
	cl := writer(t, fake(t).ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	recs := make([]*kgo.Record, 3*newestRoom)
	for i := range recs {
		recs[i] = &kgo.Record{Topic: "delay.dead", Timestamp: spring(0).Add(time.Duration(i) * time.Second)}
	}
	if err := cl.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	list, more, err := List(t.Context(), cl, spec.Names, Filter{Newest: true, Limit: 2})
	if err != nil || !more || len(list) != 2 || list[0].Offset != int64(len(recs)-1) || list[1].Offset != int64(len(recs)-2) {
		t.Errorf("%d letters, more %t, %v", len(list), more, err)
	}
}

// A topic with nothing to be read is no letters. One that is not there is an error: the
// prefix may be misspelt.
func TestNoLetters(t *testing.T) {
	t.Parallel()
	cl := writer(t, fake(t).ListenAddrs())
	names := small(t).Names
	want := "topic delay.dead does not exist: check --prefix; delayd admin provision creates it"
	if _, _, err := List(t.Context(), cl, names, Filter{}); err == nil || err.Error() != want {
		t.Errorf("list: error %v, want %s", err, want)
	}
	if err := Resend(t.Context(), cl, names, ResendOptions{}, nil); err == nil || err.Error() != want {
		t.Errorf("resend: error %v, want %s", err, want)
	}
	if _, seen, err := describe.Topics(t.Context(), cl, "delay.resent"); err != nil || seen["delay.resent"].Exists() {
		t.Errorf("a misspelt prefix has made a topic, or %v", err)
	}
	everything(t, cl, small(t))
	if list, more, err := List(t.Context(), cl, names, Filter{}); len(list) > 0 || more || err != nil {
		t.Errorf("%d letters, %t, %v", len(list), more, err)
	}
}

// TestMissingOffsets names what was asked for and is not there, and does the rest.
func TestMissingOffsets(t *testing.T) {
	t.Parallel()
	cl, spec := threeLetters(t)
	f := Filter{Offsets: []int64{99, 1, 7}}
	const want = "topic delay.dead has no dead letter at offset 7, 99"
	list, _, err := List(t.Context(), cl, spec.Names, f)
	if len(list) != 1 || err == nil || err.Error() != want {
		t.Errorf("%d letters, error %v, want %s", len(list), err, want)
	}
	sent := 0
	err = Resend(t.Context(), cl, spec.Names, ResendOptions{Filter: f}, func(r Resent) error { sent++; return nil })
	if sent != 1 || err == nil || err.Error() != want || len(committed(t, cl, "delay.level.5s")) != 1 {
		t.Errorf("%d letters, error %v, want %s", sent, err, want)
	}
}

func TestSummarize(t *testing.T) {
	t.Parallel()
	cl, spec := threeLetters(t)
	die(t, cl, &kgo.Record{Topic: "delay.level.5s", Offset: 6, Headers: h("delay-target", "gone")}, levels.UnknownTopic, spring(9))
	resend(t, cl, spec, ResendOptions{Filter: Filter{Offsets: []int64{1}}})
	got, err := Summarize(t.Context(), cl, spec.Names, Filter{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	orders, gone := "orders", "gone"
	want := []Summary{
		{levels.UnknownTopic, &gone, 2, spring(1), spring(9), 1},
		{levels.BadPartition, &orders, 1, spring(0), spring(0), 0},
		{levels.NoTarget, nil, 1, spring(2), spring(2), 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

// TestWouldDie leaves alone what dies again the way it is, whatever it died of, and
// sends it where the flags change that or Force is set.
func TestWouldDie(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 2000) // which no codec makes smaller
	rand.NewChaCha8([32]byte{}).Read(noise)
	for name, tc := range map[string]struct {
		headers string
		value   []byte
		code    levels.Code
		why     string
		cure    ResendOptions
	}{
		"no level":        {"delay-target=orders", nil, levels.BadLevel, "it has no delay-level", ResendOptions{Level: "0"}},
		"bad level":       {"delay-level=soon delay-target=orders", nil, levels.BadLevel, "delay-level \"soon\"", ResendOptions{Level: "0"}},
		"missing target":  {"delay-level=1m delay-target=nosuch", nil, levels.UnknownTopic, "target nosuch does not exist", ResendOptions{Target: "orders"}},
		"too late for it": {"delay-level=1m delay-target=nosuch", nil, levels.TooLate, "target nosuch does not exist", ResendOptions{Target: "orders"}},
		"illegal target":  {"delay-level=1m delay-target=or/ders", nil, levels.IllegalTarget, "is not allowed", ResendOptions{Target: "orders"}},
		"own target":      {"delay-level=1m delay-target=delay.inbox", nil, levels.ForbiddenTarget, "own topics", ResendOptions{Target: "orders"}},
		"empty target":    {"delay-level=1m delay-target=", nil, levels.NoTarget, "is empty", ResendOptions{Target: "orders"}},
		"partition":       {"delay-level=1m delay-target=orders delay-partition=10", nil, levels.BadPartition, "has 10 partitions and none with number 10", ResendOptions{Target: "orders"}},
		"too large":       {"delay-level=1m delay-target=tiny", noise, levels.TooLarge, "topic tiny takes 1000 (max.message.bytes)", ResendOptions{Target: "orders"}},
		"fits now":        {"delay-level=1m delay-target=tiny", make([]byte, 2000), levels.TooLarge, "", ResendOptions{}},
		"default target":  {"delay-level=1m", nil, levels.NoTarget, "", ResendOptions{}},
		"above the last":  {"delay-level=9d delay-target=orders", nil, levels.OverMax, "", ResendOptions{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl, spec := threeLetters(t)
			create(t, cl, "tiny", 1)
			limit := []kadm.AlterConfig{{Name: describe.MaxMessage, Value: kadm.StringPtr("1000")}}
			if _, err := kadm.NewClient(cl).AlterTopicConfigs(t.Context(), limit, "tiny"); err != nil {
				t.Fatal(err)
			}
			var pairs []string
			for pair := range strings.FieldsSeq(tc.headers) {
				key, value, _ := strings.Cut(pair, "=")
				pairs = append(pairs, key, value)
			}
			die(t, cl, &kgo.Record{Topic: "delay.inbox", Value: tc.value, Headers: h(pairs...)}, tc.code, spring(3))
			only := Filter{Offsets: []int64{3}}
			want := "3 sent delay.inbox"
			if tc.why != "" {
				want = "3 would-fail"
				err := Resend(t.Context(), cl, spec.Names, ResendOptions{Filter: only, DryRun: true}, func(r Resent) error {
					if !strings.Contains(r.Why, tc.why) {
						t.Errorf("why: %s, want %s", r.Why, tc.why)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
			tc.cure.Filter, tc.cure.DryRun = only, true
			for _, step := range []struct {
				r    ResendOptions
				want string
			}{{ResendOptions{Filter: only}, want}, {ResendOptions{Filter: only, DryRun: true, Again: true, Force: true}, "3 sent delay.inbox"}} {
				if diff := cmp.Diff([]string{step.want}, resend(t, cl, spec, step.r)); diff != "" {
					t.Errorf("%+v (-want +got):\n%s", step.r, diff)
				}
			}
			tc.cure.Again = tc.why == ""
			if diff := cmp.Diff([]string{"3 sent delay.inbox"}, resend(t, cl, spec, tc.cure)); diff != "" {
				t.Errorf("with what cures it (-want +got):\n%s", diff)
			}
		})
	}
}

// resend sends again, and says what became of each letter, one a line.
func resend(t *testing.T, cl *kgo.Client, spec admin.Spec, r ResendOptions) (lines []string) {
	t.Helper()
	err := Resend(t.Context(), cl, spec.Names, r, func(r Resent) error {
		line := fmt.Sprintf("%d %s", r.Offset, r.Outcome)
		if r.Way != "" {
			line += " " + r.Way
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

// committed reads what readers of a topic see, whatever its partition.
func committed(t testing.TB, cl *kgo.Client, topic string) (recs []*kgo.Record) {
	t.Helper()
	spans, err := scan.Readable(context.Background(), cl, topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range spans {
		if err := s.Read(context.Background(), cl, func(rec *kgo.Record) error { recs = append(recs, rec); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	return recs
}

// headersOf is a record's headers, one a word.
func headersOf(rec *kgo.Record) string {
	var words []string
	for _, h := range rec.Headers {
		words = append(words, h.Key+"="+string(h.Value))
	}
	return strings.Join(words, " ")
}

func TestResendGoesTheWayThatTheyCame(t *testing.T) {
	t.Parallel()
	cl, spec := threeLetters(t)
	check := func(step string, got []string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}
	first := []string{"0 sent delay.inbox", "1 sent delay.level.5s", "2 origin-missing"}
	check("dry run", resend(t, cl, spec, ResendOptions{DryRun: true}), first...)
	if n := len(committed(t, cl, "delay.inbox")) + len(committed(t, cl, "delay.level.5s")) + len(committed(t, cl, "delay.resent")); n > 0 {
		t.Errorf("a dry run has written %d records", n)
	}
	check("resend", resend(t, cl, spec, ResendOptions{}), first...)
	check("once more", resend(t, cl, spec, ResendOptions{}), "0 already-sent", "1 already-sent", "2 origin-missing")
	check("once more, dry", resend(t, cl, spec, ResendOptions{DryRun: true}), "0 already-sent", "1 already-sent", "2 origin-missing")
	check("the last by another way", resend(t, cl, spec, ResendOptions{Level: "0", Target: "orders"}),
		"0 already-sent", "1 already-sent", "2 sent delay.inbox")

	inbox, level := committed(t, cl, "delay.inbox"), committed(t, cl, "delay.level.5s")
	if len(inbox) != 2 || len(level) != 1 {
		t.Fatalf("%d records on the inbox and %d on the level, want 2 and 1", len(inbox), len(level))
	}
	slices.SortFunc(inbox, func(a, b *kgo.Record) int { return strings.Compare(string(b.Value), string(a.Value)) })
	check("headers", []string{headersOf(inbox[0]), headersOf(level[0]), headersOf(inbox[1])},
		"a=1 delay-level=1m delay-target=orders delay-partition=9 delay-id=delay.inbox-1-8-7",
		"delay-target=gone delay-id=mine",
		"delay-id=delay.level.7s-0-0-7 delay-level=0 delay-target=orders")
	if string(inbox[0].Key) != "k" || string(inbox[0].Value) != "zero" {
		t.Errorf("key %q, value %q", inbox[0].Key, inbox[0].Value)
	}
	if inbox[1].Key != nil {
		t.Errorf("the key is %q, want null", inbox[1].Key)
	}

	list, _, err := List(t.Context(), cl, spec.Names, Filter{Limit: 1})
	if err != nil || list[0].SentAgain == nil || !strings.HasPrefix(list[0].SentTo, "delay.inbox/") {
		t.Errorf("the list does not say that it was sent again: %+v, %v", list[0], err)
	}
	check("again", resend(t, cl, spec, ResendOptions{Again: true, Filter: Filter{Offsets: []int64{1}}}), "1 sent delay.level.5s")
	if n := len(committed(t, cl, "delay.level.5s")); n != 2 {
		t.Errorf("%d records on the level, want 2: it was to be sent again", n)
	}
}

// Another target takes the partition of the old one with it.
func TestResendToAnotherTarget(t *testing.T) {
	t.Parallel()
	cl, spec := threeLetters(t)
	create(t, cl, "invoices", 1)
	resend(t, cl, spec, ResendOptions{Target: "invoices", Filter: Filter{Limit: 1}})
	got := committed(t, cl, "delay.inbox")
	want := "a=1 delay-level=1m delay-id=delay.inbox-1-8-7 delay-target=invoices"
	if len(got) != 1 || headersOf(got[0]) != want {
		t.Errorf("%d records, the first with %s\nwant %s", len(got), headersOf(got[0]), want)
	}
}

// The limit counts what is sent: the same command, again and again, sends all.
func TestResendInPortions(t *testing.T) {
	t.Parallel()
	cl, spec := threeLetters(t)
	one := ResendOptions{Level: "1m", Filter: Filter{Limit: 1}}
	for i, want := range [][]string{
		{"0 sent delay.inbox"}, {"0 already-sent", "1 sent delay.inbox"}, {"0 already-sent", "1 already-sent", "2 sent delay.inbox"},
	} {
		if diff := cmp.Diff(want, resend(t, cl, spec, one)); diff != "" {
			t.Errorf("run %d (-want +got):\n%s", i, diff)
		}
	}
}

// A message that dies of being sent again is known by where it was written to, and by
// its id.
func TestALoopIsSeen(t *testing.T) {
	t.Parallel()
	cl, spec := threeLetters(t)
	// Not of a loop: the producer has used its id twice, and this one died before any
	// was sent again.
	die(t, cl, &kgo.Record{Topic: "delay.level.5s", Offset: 6, Headers: h("delay-id", "mine")}, levels.UnknownTopic, spring(3))
	resend(t, cl, spec, ResendOptions{Filter: Filter{Offsets: []int64{0, 1}}})
	list, _, err := List(t.Context(), cl, spec.Names, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	to, ok := parsePlace(list[0].SentTo)
	if !ok {
		t.Fatalf("sent to %q", list[0].SentTo)
	}
	die(t, cl, &kgo.Record{Topic: to.Topic, Partition: to.Partition, Offset: to.Offset, Headers: h("delay-level", "1m")}, levels.BadPartition, spring(4))
	die(t, cl, &kgo.Record{Topic: "delay.level.5s", Partition: 3, Offset: 99, Headers: h("delay-id", "mine", "delay-target", "gone")}, levels.UnknownTopic, spring(4))

	before := func() (lines []string) {
		list, _, err := List(t.Context(), cl, spec.Names, Filter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range list {
			lines = append(lines, fmt.Sprintf("%d %s %d", l.Offset, l.DiedBefore, l.Deaths))
		}
		return lines
	}
	want := []string{"0  1", "1  1", "2  1", "3  1", "4 delay.dead/0/0 2", "5 delay.dead/0/1 2"}
	if diff := cmp.Diff(want, before()); diff != "" {
		t.Errorf("deaths (-want +got):\n%s", diff)
	}
	want = []string{"0 already-sent", "1 already-sent", "2 origin-missing", "3 sent delay.level.5s", "4 failed-again", "5 failed-again"}
	if diff := cmp.Diff(want, resend(t, cl, spec, ResendOptions{})); diff != "" {
		t.Errorf("resend (-want +got):\n%s", diff)
	}
	// On purpose, of each message the last letter only.
	want = []string{"0 replaced", "1 replaced", "2 origin-missing", "3 sent delay.level.5s", "4 sent delay.inbox", "5 sent delay.level.5s"}
	if diff := cmp.Diff(want, resend(t, cl, spec, ResendOptions{Again: true})); diff != "" {
		t.Errorf("resend again (-want +got):\n%s", diff)
	}
	die(t, cl, &kgo.Record{Topic: "delay.level.5s", Offset: 103, Headers: h("delay-id", "mine")}, levels.UnknownTopic, spring(5))
	if got, want := before()[6], "6 delay.dead/0/5 3"; got != want {
		t.Errorf("the third death: %s, want %s", got, want)
	}
}

func TestWhatIsNoLetterStays(t *testing.T) {
	t.Parallel()
	cl, spec := threeLetters(t)
	appendAt(t, cl, "delay.dead", 0, spring(9))
	want := []string{"3 not-a-dead-letter"}
	if diff := cmp.Diff(want, resend(t, cl, spec, ResendOptions{Filter: Filter{Since: spring(8)}})); diff != "" {
		t.Errorf("resend (-want +got):\n%s", diff)
	}
}

// A dead letters' topic that was deleted and made again has letters at the same
// offsets, which nobody has sent.
func TestLettersOfANewTopicWereNotSent(t *testing.T) {
	t.Parallel()
	cl, spec := threeLetters(t)
	only := ResendOptions{Level: "1m", Filter: Filter{Offsets: []int64{0}}}
	resend(t, cl, spec, only)
	deleteTopic(t, cl, "delay.dead")
	cl = writer(t, cl.OptValue(kgo.SeedBrokers).([]string)) // which knows nothing of the old one
	everything(t, cl, spec)
	die(t, cl, &kgo.Record{Topic: "delay.inbox"}, levels.BadLevel, spring(6))
	if diff := cmp.Diff([]string{"0 sent delay.inbox"}, resend(t, cl, spec, only)); diff != "" {
		t.Errorf("resend (-want +got):\n%s", diff)
	}
}

// TestSendingsThatAreForgotten: nothing is sent where that would be forgotten before the
// letter is gone, as on a topic that somebody else has made.
func TestSendingsThatAreForgotten(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		resent []string
		dead   string // a setting of the letters' topic
		with   string // what is wrong; "" for nothing
		fix    string
	}{
		{[]string{"retention.ms=-1"}, "", "", ""},
		{[]string{"retention.ms=604800000"}, "", "retention.ms=604800000", "retention.ms=-1"},
		{[]string{"retention.ms=604800000"}, "retention.ms=604800000", "", ""},
		{[]string{"retention.ms=604800000"}, "retention.ms=604800001", "retention.ms=604800000", "retention.ms=-1"},
		{[]string{"retention.ms=-1", "retention.bytes=1000000"}, "", "retention.bytes=1000000", "retention.bytes=-1"},
		{[]string{"retention.ms=604800000", "cleanup.policy=compact,delete"}, "", "cleanup.policy=compact,delete retention.ms=604800000", "cleanup.policy=delete,retention.ms=-1"},
	} {
		cl, spec := threeLetters(t)
		create(t, cl, "delay.resent", 1, tc.resent...)
		if key, value, is := strings.Cut(tc.dead, "="); is {
			if _, err := kadm.NewClient(cl).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: key, Value: &value}}, "delay.dead"); err != nil {
				t.Fatal(err)
			}
		}
		sent := 0
		err := Resend(t.Context(), cl, spec.Names, ResendOptions{}, func(Resent) error { sent++; return nil })
		says := err != nil && strings.HasPrefix(err.Error(), "topic delay.resent: with "+tc.with+" it forgets what was sent again") &&
			strings.HasSuffix(err.Error(), "--add-config "+tc.fix)
		if tc.with == "" && (err != nil || sent == 0) || tc.with != "" && (!says || sent > 0) {
			t.Errorf("%v, letters with %q: %d reported, error %v", tc.resent, tc.dead, sent, err)
		}
	}
}

// Unreadable is not the same as absent: letters would be sent again.
func TestSendingsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	cl, spec := threeLetters(t)
	create(t, cl, "delay.resent", 1, "retention.ms=-1")
	delivered := &kgo.Record{Topic: "delay.resent", Value: []byte("by another service"), Headers: h(levels.HeaderGranted, "0s")}
	if err := cl.ProduceSync(t.Context(), delivered).FirstErr(); err != nil {
		t.Fatal(err)
	}
	appendAt(t, cl, "delay.resent", 0, spring(0))
	err := Resend(t.Context(), cl, spec.Names, ResendOptions{}, func(Resent) error { return errors.New("reported") })
	want := "delay.resent/0/1 does not say what was sent again: invalid character 'v' looking for beginning of value; only delayd writes to this topic"
	if err == nil || err.Error() != want {
		t.Errorf("error %v\nwant  %s", err, want)
	}
}

// One letter that cannot be written keeps its company from being sent, and is named.
func TestALetterThatIsRefused(t *testing.T) {
	t.Parallel()
	cl, spec := threeLetters(t)
	limit := []kadm.AlterConfig{{Name: describe.MaxMessage, Value: kadm.StringPtr("1000")}}
	if _, err := kadm.NewClient(cl).AlterTopicConfigs(t.Context(), limit, "delay.inbox"); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 1000) // which no codec makes smaller
	rand.NewChaCha8([32]byte{}).Read(noise)
	die(t, cl, &kgo.Record{Topic: "delay.inbox", Value: noise, Headers: h("delay-level", "1m")}, levels.TooLarge, spring(3))
	err := Resend(t.Context(), cl, spec.Names, ResendOptions{}, func(Resent) error { return nil })
	want := "send dead letter delay.dead/0/3 to delay.inbox: MESSAGE_TOO_LARGE"
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), "; of the last 3 dead letters none was sent") {
		t.Errorf("error %v\nwant  %s…", err, want)
	}
	if n := len(committed(t, cl, "delay.inbox")) + len(committed(t, cl, "delay.resent")); n > 0 {
		t.Errorf("%d records are committed, want none", n)
	}
	want1 := []string{"0 sent delay.inbox", "1 sent delay.level.5s", "2 origin-missing"}
	if diff := cmp.Diff(want1, resend(t, cl, spec, ResendOptions{Filter: Filter{Until: spring(3)}})); diff != "" {
		t.Errorf("without it (-want +got):\n%s", diff)
	}
}

// A letter that its topic takes compressed is sent again like any other.
func TestALargeLetter(t *testing.T) {
	t.Parallel()
	cl, spec := threeLetters(t)
	large := client(t, cl.OptValue(kgo.SeedBrokers).([]string), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(1<<25))
	value := bytes.Repeat([]byte("x"), 5_000_000)
	die(t, large, &kgo.Record{Topic: "delay.inbox", Value: value, Headers: h("delay-level", "1m")}, levels.TooLarge, spring(3))
	if diff := cmp.Diff([]string{"0 sent delay.inbox", "1 sent delay.level.5s", "2 origin-missing", "3 sent delay.inbox"}, resend(t, cl, spec, ResendOptions{})); diff != "" {
		t.Errorf("resend (-want +got):\n%s", diff)
	}
	if recs := committed(t, cl, "delay.inbox"); len(recs) != 2 || !bytes.Equal(recs[1].Value, value) {
		t.Errorf("%d records are committed", len(recs))
	}
}

// A letter without its value is listed as such, and not sent again, whatever the flags:
// the record stands elsewhere.
func TestALetterWithoutItsValue(t *testing.T) {
	t.Parallel()
	cl, spec := threeLetters(t)
	src := &kgo.Record{Topic: "delay.level.5s", Partition: 2, Offset: 77, Value: make([]byte, 10_000), Headers: h("delay-target", "orders")}
	rec := record.Fit(record.Dead(src, "delay.dead", levels.Facts{Accepted: 7}, levels.Refusal{Code: levels.TooLarge, Detail: "why"}, 2), 5000)
	rec.Partition, rec.Timestamp = 0, spring(3)
	if err := cl.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
		t.Fatal(err)
	}
	list, _, err := List(t.Context(), cl, spec.Names, Filter{Since: spring(3)})
	if err != nil || len(list) != 1 || list[0].LeftOut != "the value (10000 bytes)" || list[0].Origin != "delay.level.5s/2/77" {
		t.Errorf("%+v, %v", list, err)
	}
	var out []Resent
	r := ResendOptions{Filter: Filter{Since: spring(3)}, Again: true, Target: "mails", Level: "0"}
	if err := Resend(t.Context(), cl, spec.Names, r, func(r Resent) error { out = append(out, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(out) != 1 || out[0].Outcome != OutcomeIncomplete || !strings.Contains(out[0].Why, "the value (10000 bytes)") || !strings.Contains(out[0].Why, "delay.level.5s/2/77") {
		t.Errorf("resent: %+v", out)
	}
}

// FuzzSending reads what stands on the topic of sendings, which anyone may have
// written: it is refused, or is what would be written.
func FuzzSending(f *testing.F) {
	good, err := Sending{Letter: admin.Place{Topic: "delay.dead", Partition: 0, Offset: 17}, ID: "i", To: admin.Place{Topic: "delay.inbox", Partition: 3, Offset: 4}, DeadEnd: 20, Times: 1}.record("delay.resent")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(good.Value), "", "{}", "null", `{"letter":"a/-1/2"}`, `{"letter":"a/b/0/007"}`, string(good.Value) + "x",
		`{"letter":"\u001b[2J\nforged/0/1","to":"a/0/1"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		s, err := parseSending(&kgo.Record{Topic: "delay.resent", Value: value})
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r\x1b\x00") {
				t.Fatalf("the error cannot be read: %q", err)
			}
			return
		}
		rec, err := s.record("delay.resent")
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseSending(rec)
		if err != nil || again != s {
			t.Fatalf("%+v becomes %+v, %v", s, again, err)
		}
	})
}

func deleteTopic(t *testing.T, cl *kgo.Client, topic string) {
	t.Helper()
	if _, err := kadm.NewClient(cl).DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
}
