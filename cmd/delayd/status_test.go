package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/levels"
)

// someStatus has everything in it that a table can say.
func someStatus(t *testing.T) statusReport {
	t.Helper()
	var s statusReport
	err := json.Unmarshal([]byte(`{
		"at": "2025-01-01T12:00:00Z",
		"inbox": {"topic": "delay.inbox", "partitions": 4, "pending": 7, "oldest": "2025-01-01T11:59:50Z", "members": 2, "held": 5, "holders": [
			{"instance": "a-8080", "host": "10.0.0.1", "partitions": [0, 1]}, {"instance": "b-8080", "host": "10.0.0.2", "partitions": [2, 3]}]},
		"levels": [
			{"level": "5s", "topic": "delay.level.5s", "partitions": 4, "pending": 30, "overdue": 3, "next_due": "2025-01-01T11:59:58Z",
				"due_within": {"1m": 27, "10m": 27, "1h": 27}, "members": 1, "holders": [{"instance": "a-8080", "host": "10.0.0.1", "partitions": [0, 1, 3]}]},
			{"level": "45s", "topic": "delay.level.45s", "partitions": 4, "pending": 1, "next_due": "2025-01-01T12:00:40Z",
				"due_within": {"1m": 1, "10m": 1, "1h": 1}, "members": 0, "retired": true},
			{"level": "50s", "topic": "delay.level.50s", "partitions": 1, "members": 1, "retired": true,
				"holders": [{"instance": "a-8080", "host": "10.0.0.1", "partitions": [0]}]},
			{"level": "1m", "topic": "delay.level.1m", "members": 0}
		],
		"parked": {"topic": "delay.parked", "partitions": 4, "members": -1},
		"dead": {"topic": "delay.dead", "partitions": 1, "pending": 2}
	}`), &s)
	if err != nil {
		t.Fatal(err)
	}
	s.brokers, s.known.levels = "kafka:9092", certain
	s.Alarms = admin.Results{{Topic: "delay.dead", Outcome: admin.OutcomeDrifted, Detail: "retention.ms=604800000, want -1: dead letters are deleted after 7d"}}
	least := -12 * time.Millisecond
	s.Clock = &admin.Clock{Least: &least, Most: -4 * time.Millisecond, Source: admin.SourceController}
	return s
}

func TestStatusTable(t *testing.T) {
	t.Parallel()
	below := `oldest overdue: 2s, on level 5s
topic delay.dead: retention.ms=604800000, want -1: dead letters are deleted after 7d
clock: this machine is 8ms behind the cluster's controller, give or take 4ms
delay.level.50s: no level of the service, as it has published, and empty; once no instance has it in its --levels and nobody writes to it any more, delete it with kafka-topics.sh --bootstrap-server kafka:9092 --delete --topic delay.level.50s
`
	for _, tc := range []struct {
		wide bool
		want string
	}{
		{false, `
LEVEL   PARTITIONS  PENDING  OVERDUE  NEXT DUE  IN 1M  IN 10M  IN 1H   MEMBERS  NOTE
inbox            4        7                                                  2  oldest waits for 10s; 5 held by a transaction that is not ended
5s               4       30        3    2s ago     27      27     27         1  nobody holds partition 2
45s              4        1        0    in 40s      1       1      1         0  retired: 1 pending
50s              1        0        0         -      0       0      0         1  retired: empty, may be deleted
1m               0        0        0         -      0       0      0  no topic
parked           4        0                                            unknown
dead             1        2
` + below},
		{true, `
LEVEL   TOPIC            PARTITIONS  PENDING  OVERDUE  NEXT DUE  IN 1M  IN 10M  IN 1H   MEMBERS  NOTE
inbox   delay.inbox               4        7                                                  2  oldest waits for 10s; 5 held by a transaction that is not ended
5s      delay.level.5s            4       30        3    2s ago     27      27     27         1  nobody holds partition 2
45s     delay.level.45s           4        1        0    in 40s      1       1      1         0  retired: 1 pending
50s     delay.level.50s           1        0        0         -      0       0      0         1  retired: empty, may be deleted
1m      delay.level.1m            0        0        0         -      0       0      0  no topic
parked  delay.parked              4        0                                            unknown
dead    delay.dead                1        2

INSTANCE  HOST      PARTITIONS  OF
(nobody)            2           5s
(nobody)            0-3         45s
a-8080    10.0.0.1  0-1         inbox
a-8080    10.0.0.1  0-1,3       5s
a-8080    10.0.0.1  0           50s
b-8080    10.0.0.2  2-3         inbox
` + below},
	} {
		var out strings.Builder
		printStatus(&out, someStatus(t), tc.wide)
		if diff := cmp.Diff(strings.TrimPrefix(tc.want, "\n"), out.String()); diff != "" {
			t.Errorf("wide %v (-want +got):\n%s", tc.wide, diff)
		}
	}
}

func TestClockLine(t *testing.T) {
	t.Parallel()
	least := 1990 * time.Millisecond
	for want, c := range map[string]*admin.Clock{
		"clock: not compared: no record is newer than a minute, and the controller tells its time only to those with DESCRIBE on the cluster": nil,
		"clock: this machine is 2s ahead of the cluster's controller, give or take 10ms":                                                      {Least: &least, Most: 2010 * time.Millisecond},
		"clock: this machine is at most 40ms ahead of the brokers, by their newest record":                                                    {Most: 40 * time.Millisecond},
		"clock: this machine is at least 3s behind the brokers, by their newest record":                                                       {Most: -3 * time.Second},
	} {
		if got := clockLine(c); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// A script learns by the exit code that something is overdue, and by the line what.
func TestFailOnOverdue(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	flags := []string{"admin", "status", "--brokers", broker, "--levels", "5s 10m", "-o", "json"}
	succeed(t, "", "admin", "provision", "--brokers", broker, "--levels", "5s 10m")
	code, _, stderr := runDelayd(t, "", append(flags, "--fail-on-overdue", "1m")...)
	if want := "delayd: no process is a member of group delay.router, which routes the inbox, nor of delay.forwarder, which delivers\n"; code != exitOverdue || stderr != want {
		t.Errorf("with nobody there: exit code %d\n%swant %s", code, stderr, want)
	}
	joinGroup(t, broker, "delay.router", "delay.inbox")
	joinGroup(t, broker, "delay.forwarder", "delay.level.5s", "delay.level.10m", "delay.parked")
	succeed(t, "", append(flags, "--fail-on-overdue", "1m")...)
	writeAt(t, broker, "delay.level.5s", time.Hour, time.Hour)
	writeAt(t, broker, "delay.level.10m", 9*time.Minute)
	writeAt(t, broker, "delay.inbox", 30*time.Minute)
	for _, tc := range []struct {
		bound, want string // no want: not overdue for so long
	}{
		{"10m", "overdue for longer than --fail-on-overdue 10m: inbox for 30m0s (1 record), level 5s for 59m55s (2 records)\n"},
		{"50m", "overdue for longer than --fail-on-overdue 50m: level 5s for 59m55s (2 records)\n"},
		{"2h", ""},
	} {
		code, stdout, stderr := runDelayd(t, "", append(flags, "--fail-on-overdue", tc.bound)...)
		if got := decode[statusReport](t, stdout); len(got) != 1 || got[0].Levels[0].Overdue != 2 {
			t.Errorf("%s: status %s", tc.bound, stdout)
		}
		if tc.want == "" {
			if code != exitOK || stderr != "" {
				t.Errorf("%s: exit code %d\n%s", tc.bound, code, stderr)
			}
			continue
		}
		// Time goes on while the test runs.
		want := strings.Split(strings.NewReplacer("30m0s", "3#", "59m55s", "#").Replace("delayd: "+tc.want), "#")
		for _, part := range want {
			if code != exitOverdue || !strings.Contains(stderr, part) {
				t.Errorf("%s: exit code %d, want %d and %q in\n%s", tc.bound, code, exitOverdue, part, stderr)
			}
		}
	}
}

// joinGroup has a member of a group that has all partitions of topics and does nothing.
func joinGroup(t *testing.T, broker, group string, topics ...string) {
	t.Helper()
	joined := make(chan struct{}, 1)
	cl, err := clientFlags{Brokers: []string{broker}}.connectTo(zerolog.Nop(), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics...), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { joined <- struct{}{} }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	select {
	case <-joined:
	case <-time.After(patience):
		t.Fatalf("group %s is not joined", group)
	}
}

// TestVerdict: a check is not content with what is not there, and lets be what is paused.
func TestVerdict(t *testing.T) {
	t.Parallel()
	topic := func(name, level string, members int) admin.TopicStatus {
		return admin.TopicStatus{Topic: name, Level: level, Partitions: 4, Members: members}
	}
	ladder, err := levels.Parse("5s 1m")
	if err != nil {
		t.Fatal(err)
	}
	const unknown, overdue = exitFailure, exitOverdue
	for _, tc := range []struct {
		name   string
		change func(*statusReport)
		code   int
		says   string
	}{
		{"all is well", func(*statusReport) {}, exitOK, ""},
		{"a wrong prefix", func(s *statusReport) {
			for _, t := range []*admin.TopicStatus{&s.Inbox, &s.Levels[0], &s.Levels[1], &s.Parked, &s.Dead} {
				t.Partitions, t.Members = 0, 0
			}
		}, unknown, "there is no delayd with --prefix delay: none of its topics exists"},
		{"a missing level", func(s *statusReport) { s.Levels[1].Partitions, s.Levels[1].Members = 0, 0 }, unknown, "topics are missing: delay.level.1m"},
		{"a level that another --levels has", func(s *statusReport) {
			s.Levels[1].Partitions = 0
			s.known.published = &admin.Settings{Levels: ladder}
			s.known.spec.Ladder = levels.Default()
			s.Levels[1].Level = "2h"
		}, exitOK, ""},
		{"no level", func(s *statusReport) { s.Levels, s.known.levels = nil, guessed }, unknown, "there is no topic of a level: delay.level.…"},
		{"nobody delivers", func(s *statusReport) { s.Levels[0].Members, s.Levels[1].Members, s.Parked.Members = 0, 0, 0 }, overdue,
			"no process is a member of group delay.forwarder, which delivers"},
		{"nobody routes", func(s *statusReport) { s.Inbox.Members, s.Inbox.Pending, s.Inbox.Oldest = 0, 1, &s.At }, overdue, "no process is a member of group delay.router, which routes the inbox"},
		{"nobody routes, and nobody needs it", func(s *statusReport) { s.Inbox.Members = 0 }, exitOK, ""},
		{"nobody may look who delivers", func(s *statusReport) { s.Levels[0].Members, s.Levels[1].Members, s.Parked.Members = -1, -1, -1 }, exitOK, ""},
		{"overdue", func(s *statusReport) { s.late(0) }, overdue, "overdue for longer than --fail-on-overdue 1m: level 5s for 1h0m0s (3 records)"},
		{"a paused level", func(s *statusReport) { s.late(0); s.Paused = []admin.Paused{{Level: "5s"}} }, exitOK, ""},
		{"another paused level", func(s *statusReport) { s.late(0); s.Paused = []admin.Paused{{Level: "1m"}} }, overdue, "level 5s"},
		{"parked", func(s *statusReport) { s.parked() }, overdue, "parked for 1h0m0s (3 records)"},
		{"parked, with a paused target", func(s *statusReport) { s.parked(); s.Paused = []admin.Paused{{Target: "orders"}} }, exitOK, ""},
		{"parked, with a paused level", func(s *statusReport) { s.parked(); s.Paused = []admin.Paused{{Level: "5s"}} }, overdue, "parked"},
	} {
		s := statusReport{Status: admin.Status{
			At: time.Unix(1e9, 0), Inbox: topic("delay.inbox", "", 1), Parked: topic("delay.parked", "", 1), Dead: topic("delay.dead", "", 0),
			Levels: []admin.TopicStatus{topic("delay.level.5s", "5s", 1), topic("delay.level.1m", "1m", 1)},
		}}
		s.known.levels, s.known.spec = certain, admin.Spec{Ladder: ladder, Names: levels.Names{Prefix: levels.DefaultPrefix}}
		tc.change(&s)
		err := (&statusCmd{FailOnOverdue: time.Minute}).verdict(s)
		if code := exitCode(err); code != tc.code || tc.code != exitOK && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: exit code %d, error %v, want %d and %q", tc.name, code, err, tc.code, tc.says)
		}
		if err := new(statusCmd).verdict(s); err != nil {
			t.Errorf("%s: without the flag: %v", tc.name, err)
		}
	}
}

// late has three records of a level be overdue for an hour, and parked the same of the
// parked.
func (s *statusReport) late(level int) {
	hour := s.At.Add(-time.Hour)
	l := &s.Levels[level]
	l.Pending, l.Overdue, l.NextDue = 3, 3, &hour
}

func (s *statusReport) parked() {
	hour := s.At.Add(-time.Hour)
	s.Parked.Pending, s.Parked.Oldest = 3, &hour
}

// TestStatusOnASmallScreen: 80 columns and 24 lines have room for everything that
// matters of the default ladder, and what has no room is said to be cut.
func TestStatusOnASmallScreen(t *testing.T) {
	t.Parallel()
	s := someStatus(t)
	for l := range levels.Default().All() {
		s.Levels = append(s.Levels, admin.TopicStatus{Level: l.String(), Topic: "delay.level." + l.String(), Partitions: 4, Members: 1,
			Holders: []admin.Holder{{Partitions: []int32{0, 1, 2, 3}}}})
	}
	s.Paused = []admin.Paused{{Level: "5m", Since: s.At.Add(-time.Minute), Reason: "a migration"}}
	screen := s.screen(false, 80, 24)
	lines := strings.Split(screen, "\n")
	if len(lines) > 24 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	table := strings.Index(screen, "LEVEL ")
	for _, first := range []string{"oldest overdue: 2s, on level 5s", "paused: level 5m, for 1m0s: a migration", "topic delay.dead: retention.ms=604800000"} {
		if at := strings.Index(screen, first); at < 0 || at > table {
			t.Errorf("%q is not in front of the table", first)
		}
	}
	for _, want := range []string{"\n5s           30        3", "nobody holds partition 2\n", "\ndead ", "; 5 he…\n", "\n18 levels with nothing pending\n", "clock: "} {
		if !strings.Contains(screen, want) {
			t.Errorf("no %q", want)
		}
	}
	short := strings.Split(s.screen(false, 80, 6), "\n")
	if want := fmt.Sprintf("… %d lines more", len(lines)-5); len(short) != 6 || short[5] != want {
		t.Errorf("on six lines it ends with %q, want %q", short[len(short)-1], want)
	}
	if t.Failed() {
		t.Logf("\n%s", screen)
	}
}

// writeAt writes a record for each of ages, as if it had come so long ago.
func writeAt(t *testing.T, broker, topic string, ages ...time.Duration) {
	t.Helper()
	cl, err := clientFlags{Brokers: []string{broker}}.connectTo(zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, age := range ages {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Timestamp: time.Now().Add(-age)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOverdueForAnUnknownTime(t *testing.T) {
	t.Parallel()
	c := statusCmd{FailOnOverdue: time.Minute}
	err := c.overdue(statusReport{Status: admin.Status{Levels: []admin.TopicStatus{{Level: "5s", Topic: "delay.level.5s", Pending: 2, Overdue: 1}}}})
	if want := "overdue for longer than --fail-on-overdue 1m: level 5s for a time that is not known (1 record)"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// Where nobody looks on, one report follows the other.
func TestStatusWatchInAPipe(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	for output, begin := range map[string]string{"json": `{"at":`, "text": "LEVEL "} {
		c := start(t, "admin", "status", "--watch", "--interval", "100ms", "--brokers", broker, "--levels", "5s", "-o", output)
		seen := 0
		for seen < 3 {
			all, written := c.out.lines()
			seen = 0
			for _, line := range all {
				if strings.HasPrefix(line, begin) {
					seen++
				}
			}
			if seen < 3 {
				select {
				case <-written:
				case <-time.After(patience):
					t.Fatalf("%s: %d reports\n%s", output, seen, c.out)
				}
			}
		}
		if code := c.stop(t); code != exitOK {
			t.Errorf("%s: exit code %d\n%s", output, code, c.err)
		}
	}
}

// A look that fails is noted, and the next one counts; but a first one that fails is
// a failure, as without --watch.
func TestStatusWatchGoesOn(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	report := someStatus(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answers := []error{nil, broken, nil}
	look := func(context.Context) (statusReport, error) {
		if len(answers) == 0 {
			cancel()
			return statusReport{}, context.Canceled
		}
		err := answers[0]
		answers = answers[1:]
		return report, err
	}
	var out, notes strings.Builder
	con := &console{out: &out, err: &notes}
	c := statusCmd{Interval: time.Millisecond, Output: "text"}
	if err := c.again(ctx, con, look); err != nil {
		t.Error(err)
	}
	if n := strings.Count(out.String(), "LEVEL "); n != 2 || !strings.HasSuffix(notes.String(), "  broken; trying again\n") {
		t.Errorf("%d tables, notes %q", n, notes.String())
	}
	answers = []error{broken}
	if err := c.again(t.Context(), con, look); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	answers, c.FailOnOverdue = []error{nil, nil}, time.Second
	if err := c.again(t.Context(), con, look); !errors.As(err, new(overdueError)) || len(answers) != 1 {
		t.Errorf("error %v after %d looks", err, 2-len(answers))
	}
}

// On a terminal the report is replaced by the next one, and stays when none can be had.
func TestStatusScreen(t *testing.T) {
	t.Parallel()
	report := someStatus(t)
	s := &statusScreen{ctx: t.Context(), cmd: &statusCmd{Interval: 2 * time.Second, Output: "text"},
		look: func(context.Context) (statusReport, error) { return report, nil }}
	if s.Init() == nil {
		t.Error("nothing would happen")
	}
	shows := func(parts ...string) {
		t.Helper()
		view := s.View()
		for _, part := range parts {
			if !view.AltScreen || !strings.Contains(view.Content, part) {
				t.Errorf("no %q in\n%s", part, view.Content)
			}
		}
	}
	_, next := s.Update(again{})
	s.Update(next())
	shows("every 2s, Ctrl-C ends it\n", "inbox            4        7 ")
	s.Update(looked{err: errors.New("no \x1b[2Janswer")})
	shows(`no news: "no \x1b[2Janswer"; trying again`+"\n", "inbox            4        7 ")
	report.Inbox.Pending = 8
	s.Update(looked{report: report})
	shows("every 2s, Ctrl-C ends it\n", "inbox            4        8 ")
	s.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	shows("inbox         8 ", "5 he…")

	ends := func(cmd tea.Cmd) bool { return cmd != nil && cmd() == tea.Quit() }
	for _, key := range []tea.Key{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}, {Code: tea.KeyEscape}} {
		if _, cmd := s.Update(tea.KeyPressMsg(key)); !ends(cmd) {
			t.Errorf("%v does not end it", key)
		}
	}
	if _, cmd := s.Update(tea.KeyPressMsg{Code: 'x', Text: "x"}); cmd != nil {
		t.Error("any key ends it")
	}
	s.cmd.FailOnOverdue = time.Second
	if _, cmd := s.Update(looked{report: report}); !ends(cmd) || s.overdue == nil {
		t.Error("what is overdue does not end it")
	}
}
