package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/admin/deadletter"
	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// producer writes to a broker.
func producer(t *testing.T, broker string) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func write(t *testing.T, cl *kgo.Client, recs ...*kgo.Record) {
	t.Helper()
	if err := cl.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// letterBroker is a broker with the service's topics and two dead letters.
func letterBroker(t *testing.T) (addr string) {
	t.Helper()
	addr = startBroker(t)
	succeed(t, "", "admin", "provision", "--brokers", addr, "--levels", "5s")
	cl := producer(t, addr)
	for i, code := range []levels.Code{levels.UnknownTopic, levels.BadLevel} {
		src := &kgo.Record{Topic: "delay.inbox", Partition: 1, Offset: int64(i), Key: []byte("k\x1b[2J"), Value: []byte(strings.Repeat("long ", 20)),
			Headers: []kgo.RecordHeader{{Key: levels.HeaderTarget, Value: []byte("orders")}}}
		rec := record.Dead(src, "delay.dead", levels.Facts{Accepted: 7}, levels.Refusal{Code: code, Detail: "it says why"}, 3)
		rec.Partition, rec.Timestamp = 0, time.Date(2026, 3, 1, i, 0, 0, 0, time.UTC)
		write(t, cl, rec)
	}
	return addr
}

func TestDeadListForPeople(t *testing.T) {
	t.Parallel()
	broker := letterBroker(t)
	code, stdout, stderr := runDelayd(t, "", "admin", "dead", "list", "--brokers", broker, "-n", "1", "--oldest-first")
	want := `OFFSET  DIED                  CODE           DEATHS  TARGET  TRIES  READ AT          KEY         VALUE                              SENT AGAIN  DETAIL
     0  2026-03-01T00:00:00Z  unknown-topic       1  orders      3  delay.inbox/1/0  "k\x1b[2J"  long long long long long long lo…  -           it says why
`
	if code != exitOK || stdout != want || stderr != "there are more: --limit 0 prints all, --summary counts them\n" {
		t.Errorf("exit code %d\n%s\nwant\n%s\n%s", code, stdout, want, stderr)
	}
	if newest := succeed(t, "", "admin", "dead", "list", "--brokers", broker, "-n", "1"); !strings.Contains(newest, "bad-level") {
		t.Errorf("the newest:\n%s", newest)
	}
	code, stdout, stderr = runDelayd(t, "", "admin", "dead", "list", "--brokers", broker, "--summary")
	want = `CODE           TARGET  LETTERS  SENT AGAIN  OLDEST                NEWEST
bad-level      orders        1           0  2026-03-01T01:00:00Z  2026-03-01T01:00:00Z
unknown-topic  orders        1           0  2026-03-01T00:00:00Z  2026-03-01T00:00:00Z
`
	if code != exitOK || stdout != want || stderr != "2 letters\n" {
		t.Errorf("exit code %d\n%s\nwant\n%s\n%s", code, stdout, want, stderr)
	}
}

// TestDeadExitCodes: what is not there, or needs somebody to do something, is no success.
func TestDeadExitCodes(t *testing.T) {
	t.Parallel()
	broker := letterBroker(t)
	for _, tc := range []struct {
		args, want string
		code       int
	}{
		{"list --offset 0,99", "delayd: topic delay.dead has no dead letter at offset 99\n", exitFailure},
		{"list --summary --offset 98,99", "0 letters\ndelayd: topic delay.dead has no dead letter at offset 98, 99\n", exitFailure},
		{"list --prefix dleay", "delayd: topic dleay.dead does not exist: check --prefix; delayd admin provision creates it\n", exitFailure},
		{"list --code rejected", "", exitOK},
		{"list --since 2h --until 3h", "delayd: --since ", exitUsage},
		{"resend --since 2h --until 3h", "delayd: --since ", exitUsage},
		{"resend --code rejected", "sent: 0 letters\nno dead letter is what the flags say\n", exitOK},
		{"resend --offset 99", "sent: 0 letters\nno dead letter is what the flags say\ndelayd: topic delay.dead has no dead letter at offset 99\n", exitFailure},
		{"resend --dry-run", "would be sent: 0 letters\nleft alone, as they would die again: 2 letters; see to the reason, or change it with --to or --level; " +
			"--force sends them all the same\ndelayd: 2 letters left alone: see above\n", exitFailure},
		{"resend --dry-run --force", "would be sent: 2 letters\n", exitOK},
		{"delete --all --dry-run", "would be deleted, for good: 2 letters\n", exitOK},
		{"delete --until 2026-03-01 --yes", "no dead letter is what the flags say\n", exitOK},
		{"delete --all", "delayd: 2 letters (2 never sent again) would be deleted, for good, and nobody is at a terminal", exitUsage},
		{"delete --all --yes", "delayd: nothing can be deleted on the embedded broker", exitFailure},
		{"delete --through 2 --yes", "delayd: topic delay.dead has no dead letter at offset 2\n", exitFailure},
	} {
		code, _, stderr := runDelayd(t, "", append(append([]string{"admin", "dead"}, strings.Fields(tc.args)...), "--brokers", broker)...)
		if code != tc.code || !strings.HasPrefix(stderr, tc.want) || tc.want == "" && stderr != "" {
			t.Errorf("%s: exit code %d\n%s\nwant %d\n%s", tc.args, code, stderr, tc.code, tc.want)
		}
	}
}

func TestDeadDelete(t *testing.T) {
	t.Parallel()
	broker := kafka(t)
	cl := producer(t, broker)
	for i := range 6 {
		src := &kgo.Record{Topic: "delay.inbox", Offset: int64(i)}
		rec := record.Dead(src, "delay.dead", levels.Facts{Accepted: 7}, levels.Refusal{Code: levels.BadLevel, Detail: "why"}, 1)
		rec.Partition, rec.Timestamp = 0, time.Date(2026, 3, 1, i, 0, 0, 0, time.UTC)
		write(t, cl, rec)
	}
	for _, tc := range []struct {
		args []string
		says string
		left int
	}{
		{[]string{"--until", "2026-03-01 02:00", "--dry-run"}, "would be deleted, for good: 2 letters\n", 6},
		{[]string{"--until", "2026-03-01 02:00", "--yes"}, "deleted: 2 letters\n", 4},
		{[]string{"--until", "2026-03-01T02:00", "--yes"}, "no dead letter is what the flags say\n", 4},
		{[]string{"--through", "2", "--yes"}, "deleted: 1 letter\n", 3},
		{[]string{"--all", "--yes"}, "deleted: 3 letters\n", 0},
	} {
		code, _, stderr := runDelayd(t, "", append([]string{"admin", "dead", "delete", "--brokers", broker}, tc.args...)...)
		left := decode[[]deadletter.Letter](t, succeed(t, "", "admin", "dead", "list", "-o", "json", "--brokers", broker))[0]
		if code != exitOK || stderr != tc.says || len(left) != tc.left {
			t.Errorf("%v: exit code %d, %d left\n%s\nwant %d, %s", tc.args, code, len(left), stderr, tc.left, tc.says)
		}
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var errs strings.Builder
	code := run(ctx, []string{"admin", "dead", "list", "--brokers", letterBroker(t)}, strings.NewReader(""), &errs, &errs)
	if code != exitFailure || !strings.Contains(errs.String(), "interrupted") || strings.Contains(errs.String(), "canceled") {
		t.Errorf("exit code %d\n%s", code, errs.String())
	}
}

func TestDeadListForPrograms(t *testing.T) {
	t.Parallel()
	broker := letterBroker(t)
	offsets := func(args ...string) (list []int64) {
		for _, letters := range decode[[]deadletter.Letter](t, succeed(t, "", append([]string{"admin", "dead", "list", "-o", "json", "--brokers", broker}, args...)...)) {
			for _, l := range letters {
				list = append(list, l.Offset)
			}
		}
		return list
	}
	for want, args := range map[int64][]string{
		0: {"--code", "unknown-topic,rejected", "--target", "orders"},
		1: {"--since", "2026-03-01T00:30:00Z", "--until", "1s"},
	} {
		if got := offsets(args...); !slices.Equal(got, []int64{want}) {
			t.Errorf("%v: %d, want %d", args, got, want)
		}
	}
	if out := succeed(t, "", "admin", "dead", "list", "-o", "json", "--brokers", broker, "--code", "rejected"); out != "[]\n" {
		t.Errorf("none: %s", out)
	}
}

func TestDeadResend(t *testing.T) {
	t.Parallel()
	broker := letterBroker(t)
	resend := func(args ...string) (stdout, stderr string) {
		t.Helper()
		code, stdout, stderr := runDelayd(t, "", append([]string{"admin", "dead", "resend", "--level", "5s", "--brokers", broker}, args...)...)
		if code != exitOK {
			t.Errorf("%v: exit code %d\n%s", args, code, stderr)
		}
		return stdout, stderr
	}
	out, errs := resend("--dry-run", "--offset", "1")
	if errs != "would be sent: 1 letter\n" || strings.Count(out, "would go to delay.inbox") != 1 {
		t.Errorf("dry run\n%s%s", out, errs)
	}
	if out, errs = resend(); errs != "sent: 2 letters\n" || strings.Count(out, "sent to delay.inbox") != 2 {
		t.Errorf("resend\n%s%s", out, errs)
	}
	out, errs = resend("-o", "json")
	if want := "sent: 0 letters\nleft alone, as they were sent before: 2 letters; --again sends them once more\n"; errs != want {
		t.Errorf("once more\n%s\nwant\n%s", errs, want)
	}
	type row struct {
		Offset  int64
		Outcome deadletter.Outcome
	}
	if diff := cmp.Diff([]row{{0, deadletter.OutcomeAlreadySent}, {1, deadletter.OutcomeAlreadySent}}, decode[row](t, out)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if _, errs = resend("--again", "--offset", "0", "--to", "invoices"); errs != "sent: 1 letter\n" {
		t.Errorf("again\n%s", errs)
	}
	if list := succeed(t, "", "tail", "delay.inbox", "--from-start", "-n", "3", "--brokers", broker); strings.Count(list, "\n") != 3 {
		t.Errorf("the inbox has\n%s", list)
	}
}

// kafka is a broker that deletes records, as the embedded one does not.
func kafka(t *testing.T) (addr string) {
	t.Helper()
	c := fakekafka.Start(t)
	succeed(t, "", "admin", "provision", "--brokers", c.ListenAddrs()[0], "--levels", "5s 1h", "--partitions", "2")
	return c.ListenAddrs()[0]
}

func TestPeekPurgeAndParked(t *testing.T) {
	t.Parallel()
	broker := kafka(t)
	at := []string{"--brokers", broker}
	for range 3 {
		succeed(t, "", "send", "--via", "level", "--levels", "5s 1h", "--to", "orders", "--delay", "1h", "hello", "--brokers", broker)
	}
	peek := succeed(t, "", append([]string{"admin", "peek", "--level", "60m", "-n", "2"}, at...)...)
	if strings.Count(peek, "orders") != 2 || strings.Count(peek, "hello") != 2 || !strings.HasPrefix(peek, "DUE ") {
		t.Errorf("peek\n%s", peek)
	}
	if got := decode[[]admin.Pending](t, succeed(t, "", append([]string{"admin", "peek", "--level", "1h", "-o", "json"}, at...)...)); len(got[0]) != 3 {
		t.Errorf("peek for programs: %+v", got)
	}
	if out := succeed(t, "", append([]string{"admin", "parked", "list", "-o", "json"}, at...)...); out != "[]\n" {
		t.Errorf("parked\n%s", out)
	}

	purge := append([]string{"admin", "purge", "--level", "1h"}, at...)
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--dry-run"}, exitOK, "would be deleted, for good: 3 records of level 1h\n"},
		{nil, exitUsage, "delayd: 3 records of level 1h would be deleted, for good, and nobody is at a terminal to say so; write --yes, or --dry-run\n"},
		{[]string{"--yes"}, exitOK, "deleted: 3 records of level 1h\n"},
		{[]string{"--yes"}, exitOK, "nothing is pending on level 1h\n"},
	} {
		if code, _, stderr := runDelayd(t, "", append(slices.Clone(purge), tc.args...)...); code != tc.code || stderr != tc.want {
			t.Errorf("purge %v: exit code %d\n%s\nwant\n%s", tc.args, code, stderr, tc.want)
		}
	}
	if out := succeed(t, "", append([]string{"admin", "peek", "--level", "1h", "-o", "json"}, at...)...); out != "[]\n" {
		t.Errorf("pending after the purge\n%s", out)
	}
}

func TestPurgeOnTheEmbeddedBroker(t *testing.T) {
	t.Parallel()
	broker := letterBroker(t)
	write(t, producer(t, broker), &kgo.Record{Topic: "delay.level.5s"})
	code, _, stderr := runDelayd(t, "", "admin", "purge", "--level", "5s", "--yes", "--brokers", broker)
	want := "delayd: purge level 5s: nothing can be deleted on the embedded broker: its offsets would start again at 0 after a kill\n"
	if code != exitFailure || stderr != want {
		t.Errorf("exit code %d\n%s\nwant %s", code, stderr, want)
	}
}

func TestPurgeIsConfirmed(t *testing.T) {
	t.Parallel()
	p := &admin.Purge{Level: "5m", Records: 2}
	for answer, want := range map[string]string{
		"5m\n": "", " 5m ": "", "y\n": `nothing was deleted: "y" is not 5m`, "": `nothing was deleted: "" is not 5m`,
	} {
		var errs strings.Builder
		err := await(t.Context(), &console{in: strings.NewReader(answer), err: &errs}, p)
		if got := errs.String(); got != "2 records will be deleted and never delivered. This cannot be undone. Type 5m to go on:\n" {
			t.Errorf("asked: %s", got)
		}
		if err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%q: %v, want %s", answer, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	silence, typed := newSilence()
	defer typed()
	if err := await(ctx, &console{in: silence, err: new(strings.Builder)}, p); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// silence is a terminal at which nobody types anything.
type silence chan struct{}

func newSilence() (s silence, end func()) {
	s = make(silence)
	return s, func() { close(s) }
}

func (s silence) Read([]byte) (int, error) {
	<-s
	return 0, context.Canceled
}

func TestMoments(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"2h": now.Add(-2 * time.Hour), "1d": now.Add(-24 * time.Hour), "0s": now,
		"2026-02-01T00:00:00+01:00": time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC),
		"2026-02-01":                time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC),
		"2026-02-01 02:00":          time.Date(2026, 2, 1, 2, 0, 0, 0, time.UTC),
		"2026-02-01 02:00:07":       time.Date(2026, 2, 1, 2, 0, 7, 0, time.UTC),
		"2026-02-01T02:00":          time.Date(2026, 2, 1, 2, 0, 0, 0, time.UTC),
	} {
		if got, err := parseMoment(s, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "yesterday", "-2h", "2026-02-30", "2026-02", "02:00", "2026-02-01 2am"} {
		if got, err := parseMoment(s, now); err == nil {
			t.Errorf("%q: %v, want an error", s, got)
		}
	}
}

// FuzzMoment: what is refused is refused with a reason, on one line.
func FuzzMoment(f *testing.F) {
	for _, s := range []string{"2h", "1d", "2026-03-01T12:00:00Z", "", "\x00", "99999999d", "9999-12-31T23:59:59+23:59"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := parseMoment(s, time.Unix(1_700_000_000, 0))
		if err != nil && (strings.ContainsAny(err.Error(), "\n\x00\x1b") || !at.IsZero()) {
			t.Fatalf("%v, %q", at, err)
		}
	})
}

func TestUsageErrorsOfLetters(t *testing.T) {
	for want, args := range map[string][]string{
		`--level: "5x": write the name of a level, as in 30s, 5m or 2h`:                                            {"peek", "--level", "5x"},
		`--level: "1500ms": write the name of a level, as in 30s, 5m or 2h`:                                        {"purge", "--level", "1500ms"},
		`--count: "0": write a number from 1 to 10000`:                                                             {"peek", "--level", "5s", "-n", "0"},
		`--offset: "x": write an offset, a whole number from 0 on`:                                                 {"dead", "list", "--offset", "1,x"},
		`--to: target "delay.resent" is one of the delay service's own topics; deliver to a topic of your own`:     {"dead", "resend", "--to", "delay.resent"},
		`--level: "soon": does not begin with a number; write a duration such as 10s, 1m30s, 2h or 1d, or a level`: {"dead", "resend", "--level", "soon"},
		`--code: "late": write bad-level, bad-time, bad-retry, retries-exhausted, over-max, no-target,`:            {"dead", "list", "--code", "late"},
		`--since: "noon": write how long ago, as in 90s, 2h or 1d,`:                                                {"dead", "list", "--since", "noon"},
	} {
		code, stdout, stderr := runDelayd(t, "", append([]string{"admin"}, args...)...)
		if code != exitUsage || stdout != "" || !strings.HasPrefix(stderr, "delayd: "+want) {
			t.Errorf("%v: exit code %d\n%s\nwant %s", args, code, stderr, want)
		}
	}
}
