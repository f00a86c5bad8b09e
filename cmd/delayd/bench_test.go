package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/delayd-io/delayd/cmd/delayd/internal/bench"
	"github.com/delayd-io/delayd/levels"
)

// A small load from the command line to the report, with the service and the
// yardstick as processes of their own.
func TestBenchOnAnEmbeddedBroker(t *testing.T) {
	t.Setenv(asDelayd, "1") // the processes that it starts are this test binary
	plot := filepath.Join(t.TempDir(), "plot.svg")
	out := succeed(t, "", "bench", "steady", "--embedded", "--rate", "50", "--duration", "1s", "--level", "1s",
		"--yardstick", "--rounds", "1", "--plot", plot, "-o", "json")
	var report struct {
		Load    struct{ Scenario string }
		Summary []struct {
			Contender       bench.Kind
			Sent, Delivered int
		}
		Ratios []bench.Ratio
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if report.Load.Scenario != bench.Steady || len(report.Summary) != 2 || len(report.Ratios) == 0 {
		t.Fatalf("not the report of a service and a yardstick:\n%s", out)
	}
	for _, s := range report.Summary {
		if s.Sent < 50 || s.Delivered != s.Sent {
			t.Errorf("%s: %d of %d delivered", s.Contender, s.Delivered, s.Sent)
		}
	}
	if svg, err := os.ReadFile(plot); err != nil || !bytes.Contains(svg, []byte("<svg")) {
		t.Errorf("the plot is no picture: %v", err)
	}
}

// Some of a load are cancelled, and none of those arrives.
func TestBenchWithCancels(t *testing.T) {
	t.Setenv(asDelayd, "1")
	out := succeed(t, "", "bench", "steady", "--embedded", "--rate", "50", "--duration", "1s", "--level", "3s", "--cancel", "40%", "-o", "json")
	var report struct{ Summary []bench.Summary }
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Summary) != 2 {
		t.Fatalf("%v\n%s", err, out)
	}
	alone, cancels := report.Summary[0], report.Summary[1]
	if alone.Label != bench.LabelAlone || alone.Delivered != alone.Sent || alone.Cancelled != 0 {
		t.Errorf("%+v", alone)
	}
	if cancels.Label != bench.LabelCancel || cancels.Cancelled == 0 || cancels.Delivered+cancels.Cancelled != cancels.Sent ||
		cancels.CancelledDelivered != 0 || cancels.Medians[bench.FigureLateP50] == 0 {
		t.Errorf("%+v", cancels)
	}
}

// What the service must not do ends in exit code 1, behind the figures.
func TestBenchFailsOnLoss(t *testing.T) {
	t.Parallel()
	report := &bench.Report{
		Load:    bench.Load{Scenario: bench.Steady},
		Summary: []bench.Summary{{Contender: bench.Delayd, Sent: 40_000, Lost: 3, Duplicated: 1}},
	}
	var out bytes.Buffer
	f := benchFlags{outputFlags: outputFlags{Output: "text"}}
	err := f.show(&console{out: &out, err: io.Discard}, report, "")
	if exitCode(err) != exitFailure || err.Error() != "bench: delayd lost 3 of 40,000 records; delayd delivered twice 1 of 40,000 records" {
		t.Errorf("exit code %d: %v", exitCode(err), err)
	}
	if !strings.Contains(out.String(), "40,000") {
		t.Errorf("no report:\n%s", out.String())
	}
}

// parseBench returns what a command line says of a bench.
func parseBench(t *testing.T, args ...string) benchCmd {
	t.Helper()
	con := &console{in: strings.NewReader(""), out: io.Discard, err: io.Discard}
	parser, err := newParser(con, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse(append([]string{"bench"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Model.Target.Addr().Interface().(*cli).Bench
}

func spread(t *testing.T, names ...string) []levels.Level {
	t.Helper()
	var all []levels.Level
	for _, name := range names {
		l, err := levels.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l.First())
	}
	return all
}

func TestBenchDefaults(t *testing.T) {
	common := benchFlags{
		securityFlags: securityFlags{SASL: "off"},
		Through:       "level", Size: 200, Keys: 500, Partitions: 4,
		outputFlags: outputFlags{Output: "text"}, logFlags: logFlags{LogLevel: "warn", LogFormat: "auto"},
	}
	same := cmp.Exporter(func(reflect.Type) bool { return true }) // the embedded flags are of unexported types
	steady := steadyCmd{Rate: 2000, Duration: 20 * time.Second, Level: spread(t, "5s"), benchFlags: common}
	if diff := cmp.Diff(steady, parseBench(t, "steady").Steady, same); diff != "" {
		t.Errorf("steady (-want +got):\n%s", diff)
	}
	backlog := backlogCmd{Records: 1_000_000, Level: spread(t, "1s"), benchFlags: common}
	if diff := cmp.Diff(backlog, parseBench(t, "backlog").Backlog, same); diff != "" {
		t.Errorf("backlog (-want +got):\n%s", diff)
	}
	pending := pendingCmd{Records: 1_000_000, Rounds: 1, benchFlags: common}
	if diff := cmp.Diff(pending, parseBench(t, "pending").Pending, same); diff != "" {
		t.Errorf("pending (-want +got):\n%s", diff)
	}
}

func TestBenchRoundsAndContenders(t *testing.T) {
	for _, tc := range []struct {
		args       []string
		rounds     int
		contenders []bench.Kind
	}{
		{nil, 1, []bench.Kind{bench.Delayd}},
		{[]string{"--naive"}, 1, []bench.Kind{bench.Delayd, bench.Naive}},
		{[]string{"--yardstick"}, 5, []bench.Kind{bench.Delayd, bench.Copy}},
		{[]string{"--yardstick", "--naive", "--rounds", "2"}, 2, []bench.Kind{bench.Delayd, bench.Copy, bench.Naive}},
	} {
		c := parseBench(t, append([]string{"backlog"}, tc.args...)...).Backlog
		if diff := cmp.Diff(tc.contenders, c.contenders(bench.Copy)); c.rounds() != tc.rounds || diff != "" {
			t.Errorf("%v: %d rounds, want %d; contenders (-want +got):\n%s", tc.args, c.rounds(), tc.rounds, diff)
		}
	}
}

// A share is the same in percent and as a fraction.
func TestBenchCancel(t *testing.T) {
	for text, want := range map[string]float64{"20%": 0.2, "0.2": 0.2, "0.5%": 0.005} {
		if got := parseBench(t, "steady", "--cancel", text).Steady.Cancel; got != want {
			t.Errorf("--cancel %s is %v, want %v", text, got, want)
		}
	}
}

func TestBenchLevels(t *testing.T) {
	for text, want := range map[string][]levels.Level{
		"10s":       spread(t, "10s"),
		"1s 5s  1m": spread(t, "1s", "5s", "1m"),
		"1m,7s":     spread(t, "1m", "7s"),
	} {
		if diff := cmp.Diff(want, parseBench(t, "steady", "--level", text).Steady.Level); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestBenchFloodLevel(t *testing.T) {
	for _, tc := range []struct{ level, flood, want string }{
		{"5s", "", "1s"},
		{"1s 10s", "", "5s"},
		{"10s", "5s", "5s"},
		{"10s", "7s", "7s"},
	} {
		args := []string{"steady", "--flood", "100", "--level", tc.level}
		if tc.flood != "" {
			args = append(args, "--flood-level", tc.flood)
		}
		c := parseBench(t, args...).Steady
		if err := c.check(); err != nil || c.FloodLevel[0].String() != tc.want {
			t.Errorf("%v: %v, %v; want %s", args, c.FloodLevel, err, tc.want)
		}
	}
}

func TestBenchUsageErrors(t *testing.T) {
	const brokers = `no brokers; set --brokers HOST:PORT or DELAYD_BROKERS, or --embedded for a broker in this process, which says little of Apache Kafka`
	for _, tc := range []struct {
		args string
		want string
	}{
		{"steady", brokers},
		{"backlog", brokers},
		{"pending", brokers},
		{"steady --embedded --brokers kafka:9092", "--embedded starts a broker, and --brokers or DELAYD_BROKERS names one that is there; leave one out"},
		{"steady --rate 0", `--rate: "0": write a number from 1 to 1000000`},
		{"steady --rate many", `--rate: "many": write a number from 1 to 1000000`},
		{"steady --rate 1000000 --duration 1h", "--rate 1000000 and --duration 1h make 3600000000 records; 1000000000 are the most that can be counted"},
		{"steady --duration 500ms", "--duration 500ms: write a duration from 1s to 1d"},
		{"steady --duration 2d", "--duration 2d: write a duration from 1s to 1d"},
		{"steady --level 1s,5s,1s", `--level: "1s,5s,1s": 1s is named twice; records take turns, so that each level gets as many`},
		{"steady --level 1.5s", `--level: "1.5s": `},
		{"steady --level ,", `--level: ",": write at least one level, as in 10s`},
		{"steady --flood 1 --unavailable", "--flood and --unavailable are two measurements; leave one out"},
		{"steady --unavailable --embedded", "--unavailable needs a broker that can refuse what is written, which the embedded one cannot; name a cluster with --brokers"},
		{"steady --flood-level 5s", "--flood-level is for --flood; set both or none"},
		{"steady --flood 1 --flood-level 5s", "--flood-level 5s: --level names it too, and what waits behind the flood is late by it; choose another"},
		{"steady --flood 1 --flood-level 1s,2s", "--flood-level: one level is flooded; write one"},
		{"steady --cancel 0", `--cancel: "0": write a share above 0% and below 100%, as in 20% or 0.2`},
		{"steady --cancel 100%", `--cancel: "100%": write a share above 0% and below 100%, as in 20% or 0.2`},
		{"steady --cancel NaN", `--cancel: "NaN": write a share above 0% and below 100%, as in 20% or 0.2`},
		{"steady --cancel many", `--cancel: "many": write a share above 0% and below 100%, as in 20% or 0.2`},
		{"steady --cancel 20% --yardstick", "--cancel is measured beside the same without cancels; leave --yardstick, --naive, --flood and --unavailable out"},
		{"steady --cancel 20% --level 1s,2s", "--cancel: name a --level of 3s or longer; a record that waits less comes due before its cancel is sure to hold"},
		{"steady --through outbox", `--through: "outbox": write level or inbox`},
		{"steady --plot x.pdf", `--plot: "x.pdf": only SVG and PNG are drawn; end the name with .svg or .png`},
		{"backlog --plot none/x.svg", `--plot: "none/x.svg": stat none: no such file or directory; make that directory, or name another`},
		{"backlog --records 2000000000", `--records: "2000000000": write a number from 1 to 1000000000`},
		{"backlog --size 7", `--size: "7": write a number from 8 to 1000000`},
		{"backlog --keys 0", `--keys: "0": write a number from 1 to 1000000`},
		{"backlog --kills 101", `--kills: "101": write a number from 0 to 100`},
		{"backlog --rounds 0", `--rounds: "0": write a number from 1 to 100`},
		{"backlog --rate 1", "unknown flag --rate"},
		{"pending --partitions 1001", `--partitions: "1001": write a number from 1 to 1000`},
		{"pending --yardstick", "unknown flag --yardstick"},
		{"pending --cancels=-1", `--cancels: "-1": write a number from 0 to 100000000`},
	} {
		t.Run(tc.args, func(t *testing.T) {
			code, stdout, stderr := runDelayd(t, "", append([]string{"bench"}, strings.Fields(tc.args)...)...)
			if code != exitUsage || stdout != "" || !strings.HasPrefix(stderr, "delayd: "+tc.want) {
				t.Errorf("exit code %d, stdout %q, stderr %s\nwant %q", code, stdout, stderr, tc.want)
			}
		})
	}
}
