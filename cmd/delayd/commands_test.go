package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/levels"
)

// nobody is an address at which no broker answers.
const nobody = "127.0.0.1:1"

func TestNoBrokerAnswers(t *testing.T) {
	t.Parallel()
	want := `delayd: no answer from 127.0.0.1:1: unable to dial: dial tcp 127.0.0.1:1: connect: connection refused; is "delayd serve" or a Kafka broker running there? --brokers chooses another
`
	for _, args := range [][]string{
		{"send", "--to", "orders", "--delay", "1s", "x"},
		{"send", "--to", "orders", "--delay", "1s", "--via", "level", "x"},
		{"tail", "orders"},
		{"admin", "provision"},
		{"admin", "plan"},
		{"admin", "status"},
		{"admin", "dead", "list"},
		{"admin", "dead", "resend"},
		{"admin", "parked", "list"},
		{"admin", "find", "an-id"},
		{"admin", "peek", "--level", "5s"},
		{"admin", "purge", "--level", "5s", "--yes"},
		{"admin", "skip", "delay.inbox/0/0", "--yes"},
	} {
		code, stdout, stderr := runDelayd(t, "", append(args, "--brokers", nobody)...)
		if code != exitFailure || stdout != "" {
			t.Errorf("%v: exit code %d, stdout %q", args, code, stdout)
		}
		if diff := cmp.Diff(want, stderr); diff != "" {
			t.Errorf("%v: stderr (-want +got):\n%s", args, diff)
		}
	}
}

// A port that takes connections and never answers does not hold a command up.
func TestBrokerThatNeverAnswers(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	code, _, stderr := runDelayd(t, "", "admin", "status", "--brokers", ln.Addr().String())
	if want := "delayd: no answer from " + ln.Addr().String() + ": "; code != exitFailure || !strings.HasPrefix(stderr, want) {
		t.Errorf("exit code %d\n%s\nwant %s…", code, stderr, want)
	}
}

func TestSendBeforeTheTopicsExist(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	for topic, args := range map[string][]string{
		"delay.inbox":    {"--via", "inbox"},
		"delay.level.1s": {"--via", "level"},
	} {
		code, _, stderr := runDelayd(t, "", append([]string{"send", "--to", "orders", "--delay", "1s", "--brokers", broker, "x"}, args...)...)
		want := fmt.Sprintf("delayd: topic %s does not exist on %s; start \"delayd serve\", or run \"delayd admin provision\", "+
			"with the same --prefix and --levels\n", topic, broker)
		if code != exitFailure || stderr != want {
			t.Errorf("%v: exit code %d\n%s\nwant %s", args, code, stderr, want)
		}
	}
}

func TestProvisionTwiceThenStatus(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	flags := []string{"--brokers", broker, "--levels", "5s 1m", "--prefix", "shop"}
	provision := append([]string{"admin", "provision", "--partitions", "2"}, flags...)

	type row struct{ Topic, Outcome string }
	names := []string{"shop.inbox", "shop.level.5s", "shop.level.1m", "shop.parked", "shop.dead", "shop.control", "shop.cancel"}
	for _, outcome := range []string{"created", "existed"} {
		var want []row
		for _, n := range names {
			want = append(want, row{n, outcome})
		}
		got := decode[[]row](t, succeed(t, "", append(provision, "-o", "json")...))
		if diff := cmp.Diff([][]row{want}, got); diff != "" {
			t.Errorf("provision (-want +got):\n%s", diff)
		}
	}
	if out := succeed(t, "", provision...); !strings.HasPrefix(out, "TOPIC          OUTCOME  DETAIL\nshop.inbox     existed\n") {
		t.Errorf("provision for people:\n%s", out)
	}

	succeed(t, "", "send", "--via", "level", "--brokers", broker, "--levels", "5s 1m", "--prefix", "shop",
		"--to", "orders", "--delay", "1m", "x", "y")
	var status admin.Status
	if err := json.Unmarshal([]byte(succeed(t, "", append([]string{"admin", "status", "-o", "json"}, flags...)...)), &status); err != nil {
		t.Fatal(err)
	}
	if len(status.Levels) != 2 || status.Levels[1].Pending != 2 || status.Levels[1].NextDue == nil || status.Levels[0].Pending != 0 {
		t.Errorf("status: %+v", status)
	}
}

// What a row says of a topic that is refused is why, and then what else differs.
func TestProvisionSaysWhyATopicIsRefused(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	compact(t, broker, "delay.level.1s")
	why := "topic delay.level.1s: cleanup.policy=compact would delete every record but the last of its key, handled or not; " +
		"fix it with kafka-configs.sh --bootstrap-server " + broker +
		" --alter --entity-type topics --entity-name delay.level.1s --add-config cleanup.policy=delete,retention.ms=-1"
	args := []string{"admin", "provision", "--brokers", broker, "--levels", "1s"}
	code, stdout, stderr := runDelayd(t, "", args...)
	if code != exitFailure || stderr != "delayd: "+why+"\n" {
		t.Errorf("exit code %d\n%s\nwant %s", code, stderr, why)
	}
	if want := "delay.level.1s   failed  " + why + "; partitions 1, want 4: "; !strings.Contains(stdout, want) {
		t.Errorf("table\n%s\nwant %s", stdout, want)
	}
	_, stdout, _ = runDelayd(t, "", append(args, "-o", "json")...)
	type row struct{ Topic, Outcome, Error string }
	if rows := decode[[]row](t, stdout); len(rows) != 1 || rows[0][1] != (row{"delay.level.1s", "failed", why}) {
		t.Errorf("JSON %s", stdout)
	}
}

// compact makes a topic as nobody should.
func compact(t *testing.T, broker, topic string) {
	t.Helper()
	cl, err := clientFlags{Brokers: []string{broker}}.connectTo(zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	policy := "compact"
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, map[string]*string{"cleanup.policy": &policy}, topic); err != nil {
		t.Fatal(err)
	}
}

// The demo shows what the service promises: everything arrives, on the level
// that is nearest to what was asked for, and nothing is early.
func TestDemo(t *testing.T) {
	t.Parallel()
	arrivals := decode[arrival](t, succeed(t, "", "demo", "-o", "json"))
	if len(arrivals) != len(demoRecords) {
		t.Errorf("%d arrivals, want %d", len(arrivals), len(demoRecords))
	}
	granted := make(map[string]int)
	for _, a := range arrivals {
		granted[a.Level]++
		if a.LateMs == nil || *a.LateMs < 0 {
			t.Errorf("arrival %+v", a)
		}
	}
	if diff := cmp.Diff(map[string]int{"0s": 1, "1s": 3, "5s": 3, "10s": 3}, granted); diff != "" {
		t.Errorf("arrivals by level (-want +got):\n%s", diff)
	}
}

// A record that does not arrive is a failure, not something to wait for.
func TestDemoFailsWhenARecordIsMissing(t *testing.T) {
	t.Parallel()
	client := clientFlags{Brokers: []string{startBroker(t)}}
	cl, err := client.connectTo(zerolog.Nop(), kgo.ConsumeTopics(demoTarget))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	con := &console{out: io.Discard, err: io.Discard}
	err = new(demoCmd).receive(t.Context(), con, cl, time.Millisecond)
	if want := "0 of 10 records arrived within 1ms"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	got := succeed(t, "", "version")
	if !strings.HasPrefix(got, "delayd ") || strings.Count(got, "\n") != 1 {
		t.Errorf("version: %q", got)
	}
	if flag := succeed(t, "", "--version"); flag != got {
		t.Errorf("--version: %q, want %q", flag, got)
	}
}

func TestArrivalForPeople(t *testing.T) {
	t.Parallel()
	key, value, late := "k", "v", int64(3)
	hidden, shown := "\x1b[2J", "grün ✓"
	for _, tc := range []struct {
		a    arrival
		want string
	}{
		{arrival{Key: &key, Value: &value, Level: "10s", LateMs: &late}, "level 10s  late 3ms    key k          v"},
		{arrival{}, "level -    late -      key -          (null)"},
		{arrival{Key: &hidden, Value: &shown}, "level -    late -      key \"\\x1b[2J\"  grün ✓"},
		{arrival{Value: &value, Error: "a\rb", Detail: "c\xffd\u202e", Level: "1s\n"},
			`level "1s\n" late -      key -          v  [dead, "a\rb": "c\xffd\u202e"]`},
		{arrival{Value: &value, Error: string(levels.TooLarge), Detail: "2 MB"}, "level -    late -      key -          v  [dead, too-large: 2 MB]"},
	} {
		if _, got, _ := strings.Cut(tc.a.String(), "  "); got != tc.want {
			t.Errorf("got  %q\nwant %q", got, tc.want)
		}
	}
}
