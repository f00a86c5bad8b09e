package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/router"
)

// Every mistake is reported with the flag as it was typed and what is allowed.
func TestUsageErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		env  map[string]string
		want string
	}{
		{
			name: "no such flag",
			args: []string{"serve", "--broker", "kafka:9092"},
			want: `delayd: unknown flag --broker, did you mean "--brokers"?
"delayd serve --help" says what is allowed
`,
		}, {
			name: "no such command",
			args: []string{"server"},
			want: `delayd: unexpected argument server, did you mean "serve"?
"delayd --help" says what is allowed
`,
		}, {
			name: "no brokers, and nobody at a terminal",
			args: []string{"serve"},
			want: `delayd: no brokers, and no terminal on which somebody could be trying it out; set --brokers HOST:PORT or DELAYD_BROKERS, or --embedded for a broker in this process, which is for trying out and tests
`,
		}, {
			name: "brokers set to nothing",
			args: []string{"serve"},
			env:  map[string]string{"DELAYD_BROKERS": ""},
			want: `delayd: no brokers, and no terminal on which somebody could be trying it out; set --brokers HOST:PORT or DELAYD_BROKERS, or --embedded for a broker in this process, which is for trying out and tests
`,
		}, {
			name: "a real cluster was meant",
			args: []string{"serve"},
			env:  map[string]string{"KAFKA_SASL_USERNAME": "delayd"},
			want: `delayd: no brokers, and KAFKA_SASL_USERNAME is set, which the embedded broker would ignore; set --brokers HOST:PORT or DELAYD_BROKERS, or --embedded for a broker in this process, which is for trying out and tests
`,
		}, {
			name: "embedded and brokers",
			args: []string{"serve", "--embedded"},
			env:  map[string]string{"DELAYD_BROKERS": "kafka:9092"},
			want: "delayd: --embedded starts a broker, and --brokers or DELAYD_BROKERS names one that is there; leave one out\n",
		}, {
			name: "data of a broker that is not embedded",
			args: []string{"serve", "--data", "here", "--brokers", "kafka:9092"},
			want: "delayd: --data or DELAYD_DATA is for the embedded broker, and --brokers or DELAYD_BROKERS names another one; leave one out\n",
		}, {
			name: "security and an embedded broker",
			args: []string{"serve", "--embedded", "--tls"},
			want: "delayd: --tls is for a Kafka cluster, and --embedded starts a broker that listens on this machine in plain text; leave one out\n",
		}, {
			name: "security, and no brokers",
			args: []string{"serve", "--sasl", "plain"},
			want: `delayd: no brokers, and --sasl is set, which the embedded broker would ignore; set --brokers HOST:PORT or DELAYD_BROKERS, or --embedded for a broker in this process, which is for trying out and tests
`,
		}, {
			name: "a mechanism that is none",
			args: []string{"tail", "orders", "--sasl", "kerberos"},
			want: `delayd: --sasl: "kerberos": write off, plain, scram-sha-256, scram-sha-512, oauthbearer or aws-msk-iam
"delayd tail --help" says what is allowed
`,
		}, {
			name: "half a certificate, from the environment",
			args: []string{"admin", "status", "--tls"},
			env:  map[string]string{"DELAYD_TLS_CERT": "me.pem"},
			want: "delayd: --tls-cert me.pem: its key is missing; name the file with --tls-key, which may be the same\n",
		}, {
			name: "a password on the command line",
			args: []string{"serve", "--sasl-password=hush"},
			want: `delayd: unknown flag --sasl-password, did you mean "--sasl-password-file"?
"delayd serve --help" says what is allowed
`,
		}, {
			name: "broker with a port in words",
			args: []string{"serve", "--brokers", "kafka:9092,localhost:abc"},
			want: `delayd: --brokers: "localhost:abc": a port is a number from 1 to 65535; write HOST:PORT, as in kafka:9092 or [::1]:9092
"delayd serve --help" says what is allowed
`,
		}, {
			name: "broker with a port above the last",
			args: []string{"admin", "status", "--brokers", "kafka:9092", "--brokers", "localhost:99999"},
			want: `delayd: --brokers: "localhost:99999": a port is a number from 1 to 65535; write HOST:PORT, as in kafka:9092 or [::1]:9092
"delayd admin status --help" says what is allowed
`,
		}, {
			name: "broker with a scheme",
			args: []string{"tail", "orders"},
			env:  map[string]string{"DELAYD_BROKERS": "http://localhost:9"},
			want: `delayd: --brokers: "http://localhost:9": a scheme is not part of an address; write HOST:PORT, as in kafka:9092 or [::1]:9092 (from envar DELAYD_BROKERS="http://localhost:9")
"delayd tail --help" says what is allowed
`,
		}, {
			name: "broker without a port",
			args: []string{"admin", "provision", "--brokers", "kafka"},
			want: `delayd: --brokers: "kafka": missing port in address; write HOST:PORT, as in kafka:9092 or [::1]:9092
"delayd admin provision --help" says what is allowed
`,
		}, {
			name: "broker without a host",
			args: []string{"send", "--to", "orders", "--delay", "1s", "--brokers", ":9092"},
			want: `delayd: --brokers: ":9092": the host is missing; write HOST:PORT, as in kafka:9092 or [::1]:9092
"delayd send --help" says what is allowed
`,
		}, {
			name: "http without a port",
			args: []string{"serve", "--http", "abc"},
			want: `delayd: --http: "abc": missing port in address; write HOST:PORT, as in 127.0.0.1:8080, or off
"delayd serve --help" says what is allowed
`,
		}, {
			name: "http port above the last",
			args: []string{"serve", "--http", "127.0.0.1:99999"},
			want: `delayd: --http: "127.0.0.1:99999": a port is a number from 0 to 65535; write HOST:PORT, as in 127.0.0.1:8080, or off
"delayd serve --help" says what is allowed
`,
		}, {
			name: "address of the embedded broker",
			args: []string{"serve", "--embedded", "--embedded-addr", "abc"},
			want: `delayd: --embedded-addr: "abc": missing port in address; write HOST:PORT, as in 127.0.0.1:8080
"delayd serve --help" says what is allowed
`,
		}, {
			name: "no name for the process",
			args: []string{"serve", "--brokers", "kafka:9092", "--http", "off"},
			want: "delayd: --instance is needed with --http off: it names this process, and has to be the same after a restart\n",
		}, {
			name: "ladder",
			args: []string{"serve", "--levels", "5s,10s"},
			want: `delayd: --levels: level 1 "5s,10s": levels have spaces between them and nothing else; write 5s 10s
"delayd serve --help" says what is allowed
`,
		}, {
			name: "prefix",
			args: []string{"levels", "--prefix", "a b"},
			want: `delayd: --prefix: "a b": ' ' is not allowed; use letters a-z and A-Z, digits, ".", "_" and "-"
"delayd levels --help" says what is allowed
`,
		}, {
			name: "prefix as it was typed",
			args: []string{"levels"},
			env:  map[string]string{"DELAYD_PREFIX": "spät"},
			want: `delayd: --prefix: "sp\u00e4t": '\u00e4' is not allowed; use letters a-z and A-Z, digits, ".", "_" and "-" (from envar DELAYD_PREFIX="spät")
"delayd levels --help" says what is allowed
`,
		}, {
			name: "output",
			args: []string{"tail", "orders"},
			env:  map[string]string{"DELAYD_OUTPUT": "xml"},
			want: `delayd: --output: "xml": write text or json (from envar DELAYD_OUTPUT="xml")
"delayd tail --help" says what is allowed
`,
		}, {
			name: "log level",
			args: []string{"serve", "--log-level", "loud"},
			want: `delayd: --log-level: "loud": write trace, debug, info, warn or error
"delayd serve --help" says what is allowed
`,
		}, {
			name: "a value that looks like a flag",
			args: []string{"serve", "--levels", "-1s"},
			want: `delayd: --levels: the value is missing before "-1s"; if that is meant to be it, write --levels=-1s
"delayd serve --help" says what is allowed
`,
		}, {
			name: "a value that is not there",
			args: []string{"serve", "--levels"},
			want: `delayd: --levels: the value is missing
"delayd serve --help" says what is allowed
`,
		}, {
			name: "retry policy",
			args: []string{"serve", "--retry", "1s,5s"},
			want: `delayd: --retry: "1s,5s": wait 1 "1s,5s": waits have spaces between them and nothing else; write 1s 5s
"delayd serve --help" says what is allowed
`,
		}, {
			name: "rounding",
			args: []string{"serve", "--rounding", "closest"},
			want: `delayd: --rounding: "closest": write nearest, up, down or exact
"delayd serve --help" says what is allowed
`,
		}, {
			name: "over-max",
			args: []string{"serve", "--over-max=drop"},
			want: `delayd: --over-max: "drop": write clamp, reject or auto
"delayd serve --help" says what is allowed
`,
		}, {
			name: "delivery",
			args: []string{"serve", "--delivery", "at-most-once"},
			want: `delayd: --delivery: "at-most-once": write at-least-once or exactly-once
"delayd serve --help" says what is allowed
`,
		}, {
			name: "duration without a unit",
			args: []string{"serve", "--give-up", "24"},
			want: `delayd: --give-up: "24": "24" has no unit; write a duration such as 10s, 1m30s, 2h or 1d
"delayd serve --help" says what is allowed
`,
		}, {
			name: "give up at once",
			args: []string{"serve", "--give-up", "0s"},
			want: `delayd: --give-up: "0s": must be above 0
"delayd serve --help" says what is allowed
`,
		}, {
			name: "a wait that is none",
			args: []string{"serve", "--missing-target-wait=-1s"},
			want: `delayd: --missing-target-wait: "-1s": a sign is not allowed; write a duration such as 10s, 1m30s, 2h or 1d, or 0 to wait without end
"delayd serve --help" says what is allowed
`,
		}, {
			name: "partitions",
			args: []string{"serve", "--partitions", "0"},
			want: `delayd: --partitions: "0": write a number from 1 to 2147483647
"delayd serve --help" says what is allowed
`,
		}, {
			name: "partitions below 0",
			args: []string{"admin", "provision", "--partitions=-2", "-o", "json"},
			want: `delayd: --partitions: "-2": write a number from 1 to 2147483647
"delayd admin provision --help" says what is allowed
`,
		}, {
			name: "no replicas",
			args: []string{"admin", "provision", "--replicas=0"},
			want: `delayd: --replicas: "0": write a number from 1 to 32767, or -1 for what the cluster does by itself
"delayd admin provision --help" says what is allowed
`,
		}, {
			name: "replicas below -1",
			args: []string{"admin", "provision", "--replicas=-2"},
			want: `delayd: --replicas: "-2": write a number from 1 to 32767, or -1 for what the cluster does by itself
"delayd admin provision --help" says what is allowed
`,
		}, {
			name: "count",
			args: []string{"tail", "orders", "--count=-1"},
			want: `delayd: --count: "-1": write a number from 1 to 2147483647, or 0 for no end
"delayd tail --help" says what is allowed
`,
		}, {
			name: "forbidden default target",
			args: []string{"serve", "--default-target", "delay.inbox"},
			want: `delayd: --default-target: target "delay.inbox" is one of the delay service's own topics; deliver to a topic of your own
`,
		}, {
			name: "pattern",
			args: []string{"serve", "--allow-target", "orders[", "--allow-target", "x"},
			want: `delayd: --allow-target "orders[": syntax error in pattern; close every [ with a ], and put a character between them
`,
		}, {
			name: "send without target and delay",
			args: []string{"send", "hello"},
			want: `delayd: missing flags: --delay=D or --for=D or --until=TIME, --to=TOPIC
"delayd send --help" says what is allowed
`,
		}, {
			name: "seconds for milliseconds",
			args: []string{"send", "--to", "orders", "--until", "1798099200", "hello"},
			want: `delayd: --until: "1798099200": looks like seconds; write milliseconds: 1798099200000
`,
		}, {
			name: "exact delay by number",
			args: []string{"send", "--to", "orders", "--for", "3", "hello"},
			want: `delayd: --for: "3": a number without a unit, and a level number belongs in delay-level; write 3s for seconds or 3ms for milliseconds
`,
		}, {
			name: "two delays",
			args: []string{"send", "--to", "orders", "--for", "3s", "--delay", "3s", "hello"},
			want: `delayd: --delay and --for can't be used together
"delayd send --help" says what is allowed
`,
		}, {
			name: "illegal target",
			args: []string{"send", "--to", "a/b", "--delay", "10s", "hello"},
			want: `delayd: --to: "a/b": '/' is not allowed; use letters a-z and A-Z, digits, ".", "_" and "-"
"delayd send --help" says what is allowed
`,
		}, {
			name: "delay",
			args: []string{"send", "--to", "orders", "--delay", "soon", "hello"},
			want: `delayd: --delay: "soon": does not begin with a number; write a duration such as 10s, 1m30s, 2h or 1d, or a level number such as 3
`,
		}, {
			name: "level number above the last",
			args: []string{"send", "--to", "orders", "--via", "level", "--levels", "5s 10s", "--delay", "3", "hello"},
			want: "delayd: --delay 3: the ladder has 2 levels; name one of them, or a duration\n",
		}, {
			name: "delay above the last level, straight to the level",
			args: []string{"send", "--to", "orders", "--via", "level", "--levels", "5s 10s", "--delay", "1h", "--over-max", "reject", "hello"},
			want: `delayd: --delay: "1h" is above the last level, 10s (number 2); ask for at most that, or set --over-max=clamp to grant it
`,
		}, {
			name: "header",
			args: []string{"send", "--to", "orders", "--delay", "1s", "--header", "source", "hello"},
			want: `delayd: --header "source": write key=value, as in --header source=shop
`,
		}, {
			name: "header that contradicts the delay",
			args: []string{"send", "--to", "orders", "--delay", "1s", "--header", "delay-level=2s", "hello"},
			want: `delayd: --header "delay-level=2s": --delay 1s asks for another delay; leave the header out, --delay sets it
`,
		}, {
			name: "header that contradicts the target",
			args: []string{"send", "--to", "orders", "--delay", "1s", "--header", "delay-target=stock", "hello"},
			want: `delayd: --header "delay-target=stock": --to orders names another topic; leave the header out, --to sets it
`,
		}, {
			name: "target of the service's own",
			args: []string{"send", "--to", "delay.inbox", "--delay", "1s", "hello"},
			want: `delayd: --to: target "delay.inbox" is one of the delay service's own topics; deliver to a topic of your own
`,
		}, {
			name: "target of the service's own, straight to the level",
			args: []string{"send", "--to", "shop.dead", "--prefix", "shop", "--via", "level", "--delay", "1s", "hello"},
			want: `delayd: --to: target "shop.dead" is one of the delay service's own topics; deliver to a topic of your own
`,
		}, {
			name: "internal target",
			args: []string{"send", "--to", "__consumer_offsets", "--delay", "1s", "hello"},
			want: `delayd: --to: target "__consumer_offsets" is an internal topic; deliver to one whose name does not begin with "__"
`,
		}, {
			name: "request",
			args: []string{"levels", "45m", "3w"},
			want: `delayd: delay-level "3w": unknown unit "w", units are d, h, m, s, ms, us and ns; write a duration such as 10s, 1m30s, 2h or 1d, or a level number such as 3
`,
		}, {
			name: "environment",
			args: []string{"serve"},
			env:  map[string]string{"DELAYD_PURGE_AFTER": "never"},
			want: `delayd: --purge-after: "never": does not begin with a number; write a duration such as 10s, 1m30s, 2h or 1d, or 0 to keep nothing, or off to keep all (from envar DELAYD_PURGE_AFTER="never")
"delayd serve --help" says what is allowed
`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, value := range tc.env {
				t.Setenv(name, value)
			}
			code, stdout, stderr := runDelayd(t, "", tc.args...)
			if code != exitUsage {
				t.Errorf("exit code %d, want %d", code, exitUsage)
			}
			if diff := cmp.Diff(tc.want, stderr); diff != "" {
				t.Errorf("stderr (-want +got):\n%s", diff)
			}
			if stdout != "" {
				t.Errorf("stdout: %s", stdout)
			}
		})
	}
}

func TestNoArgumentsPrintsTheHelp(t *testing.T) {
	code, stdout, stderr := runDelayd(t, "")
	if code != exitUsage || stdout != "" {
		t.Errorf("exit code %d, stdout %q; want %d and nothing", code, stdout, exitUsage)
	}
	if help := succeed(t, "", "--help"); help != stderr {
		t.Errorf("without arguments:\n%s\nwith --help:\n%s", stderr, help)
	}
}

// Help is for reading on: it is asked for, goes to stdout, and works where flags
// that are required are missing.
func TestHelpOfEveryCommand(t *testing.T) {
	for _, args := range [][]string{
		{"serve"}, {"send"}, {"tail"}, {"levels"}, {"admin"}, {"admin", "provision"}, {"admin", "status"},
		{"bench"}, {"bench", "steady"}, {"bench", "backlog"}, {"bench", "pending"}, {"demo"}, {"version"},
	} {
		code, stdout, stderr := runDelayd(t, "", append(args, "--help")...)
		if code != exitOK || stdout == "" || stderr != "" {
			t.Errorf("%v --help: exit code %d, %d bytes of help, stderr %q", args, code, len(stdout), stderr)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, exitOK},
		{errors.New("broken"), exitFailure},
		{context.DeadlineExceeded, exitFailure},
		{usagef("--x: no"), exitUsage},
		{fmt.Errorf("group: %w", forwarder.ErrFenced), exitFenced},
		{fmt.Errorf("group: %w", router.ErrFenced), exitFenced},
		{notFoundError{errors.New("no record")}, exitMissing},
	} {
		if got := exitCode(tc.err); got != tc.want {
			t.Errorf("exit code of %v: %d, want %d", tc.err, got, tc.want)
		}
	}
}

func TestEnvironmentSetsFlags(t *testing.T) {
	t.Setenv("DELAYD_LEVELS", "5s 10s")
	t.Setenv("DELAYD_OUTPUT", "json")
	got := succeed(t, "", "levels", "1d")
	want := `[{"requested":"1d","level":"10s","topic":"delay.level.10s","moved_seconds":-86390,"clamped":true,"walk":[{"level":"10s","times":8640}],"steps":8640}]` + "\n"
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
