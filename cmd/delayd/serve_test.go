package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/delayd-io/delayd/internal/fakekafka"
)

// server is a running `delayd serve` with an embedded broker.
type server struct {
	*command
	broker string
	url    string
}

// startServer starts a service and returns when it is ready.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	c := start(t, append([]string{"serve", "--embedded", "--embedded-addr", "127.0.0.1:0", "--data", "", "--http", "127.0.0.1:0"}, args...)...)
	return newServer(t, c)
}

func newServer(t *testing.T, c *command) *server {
	t.Helper()
	s := &server{
		command: c,
		url:     "http://" + logged(t, c.err, "addr", "http listens"),
		broker:  logged(t, c.err, "addr", "the embedded broker is for trying out and tests"),
	}
	s.awaitReady(t)
	return s
}

// logged waits for a log line and returns one of its fields.
func logged(t *testing.T, o *output, field, message string) string {
	t.Helper()
	line := o.await(t, message)
	fields := make(map[string]any)
	if err := json.Unmarshal([]byte(line), &fields); err != nil {
		t.Fatalf("log line %s: %v", line, err)
	}
	value, ok := fields[field].(string)
	if !ok {
		t.Fatalf("log line %s has no %s", line, field)
	}
	return value
}

func (s *server) awaitReady(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(patience)
	for {
		code, body := get(t, s.url+"/readyz")
		if code == http.StatusOK {
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("not ready: %s\n%s", body, s.err)
		}
	}
}

func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	return getAs(t, url, "")
}

// getAs shows a token, unless it is "".
func getAs(t *testing.T, url, token string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// decode reads one JSON value a line.
func decode[T any](t *testing.T, text string) []T {
	t.Helper()
	var list []T
	dec := json.NewDecoder(strings.NewReader(text))
	for {
		var v T
		err := dec.Decode(&v)
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		list = append(list, v)
	}
}

// The whole path: what is sent, from arguments and from standard input, through
// the inbox and straight to a level, arrives where it is watched for.
func TestSendServeTail(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	tail := start(t, "tail", "orders", "-n", "5", "-o", "json", "--brokers", s.broker)
	tail.err.await(t, "topic orders does not exist yet")

	send := func(stdin string, args ...string) string {
		return succeed(t, stdin, append([]string{"send", "--brokers", s.broker, "--to", "orders", "--key", "k1"}, args...)...)
	}
	if got, want := send("", "--delay", "1s", "a", "b"), "sent 2 records\n"; got != want {
		t.Errorf("send: %q, want %q", got, want)
	}
	if got, want := send("c\nd\n", "--delay", "0", "--header", "source=shop=1"), "sent 2 records\n"; got != want {
		t.Errorf("send from standard input: %q, want %q", got, want)
	}
	sent := decode[sentRow](t, send("", "--delay", "1500ms", "--via", "level", "-o", "json", "e"))
	if len(sent) != 1 || sent[0].Topic != "delay.level.1s" || sent[0].Offset < 0 {
		t.Errorf("send via level: %+v", sent)
	}

	if code := tail.wait(t); code != exitOK {
		t.Fatalf("tail: exit code %d\n%s", code, tail.err)
	}
	type row struct{ Value, Level, Requested string }
	var got []row
	for _, a := range decode[arrival](t, tail.out.String()) {
		if a.Key == nil || *a.Key != "k1" || a.Value == nil || a.LateMs == nil || *a.LateMs < 0 || a.ID == "" {
			t.Errorf("arrival %+v", a)
			continue
		}
		got = append(got, row{*a.Value, a.Level, a.Requested})
	}
	want := []row{{"a", "1s", "1s"}, {"b", "1s", "1s"}, {"c", "0s", "0"}, {"d", "0s", "0"}, {"e", "1s", "1500ms"}}
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(func(a, b row) bool { return a.Value < b.Value })); diff != "" {
		t.Errorf("arrivals (-want +got):\n%s", diff)
	}

	// Now that the topic exists, only what comes from here on is printed.
	tail = start(t, "tail", "orders", "--brokers", s.broker)
	tail.err.await(t, "watching orders (4 partitions)")
	send("", "--delay", "0s", "f")
	tail.out.await(t, "level 0s   late ", "key k1         f")
	if code, lines := tail.stop(t), strings.Count(tail.out.String(), "\n"); code != exitOK || lines != 1 {
		t.Errorf("tail from the end: exit code %d, %d lines\n%s", code, lines, tail.out)
	}

	checkMetrics(t, s)
	if code := s.stop(t); code != exitOK {
		t.Errorf("serve: exit code %d\n%s", code, s.err)
	}
}

// checkMetrics looks for what dashboards rely on.
func checkMetrics(t *testing.T, s *server) {
	t.Helper()
	if code, body := get(t, s.url+"/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	_, metrics := get(t, s.url+"/metrics")
	for _, want := range []string{
		`delayd_routed_total{level="1s",prefix="delay"} 2`,
		`delayd_delivered_total{level="1s",prefix="delay"} 3`,
		`delayd_lateness_seconds_bucket{level="1s",prefix="delay",le="+Inf"} 3`,
		`delayd_pending_records{level="2h",prefix="delay"} 0`,
		`delayd_overdue_records{level="2h",prefix="delay"} 0`,
		`delayd_kafka_produce_bytes_total{`,
		`delayd_kafka_buffered_fetch_records `,
		`go_goroutines `,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s among the metrics", want)
		}
	}
}

// Dead letters can be watched like any topic, and are counted by code.
func TestDeadLettersSayWhy(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--deny-target", "audit.*", "--levels", "1s 5s")
	succeed(t, "", "send", "--brokers", s.broker, "--to", "audit.log", "--delay", "1s", "x")
	out := succeed(t, "", "tail", "delay.dead", "--from-start", "-n", "1", "--brokers", s.broker)
	if !strings.Contains(out, "x  [dead, forbidden-target: ") {
		t.Errorf("tail of the dead letters: %s", out)
	}
	if _, metrics := get(t, s.url+"/metrics"); !strings.Contains(metrics, `delayd_dead_letters_total{code="forbidden-target",prefix="delay"} 1`) {
		t.Error("the dead letter is not counted")
	}
}

// What waits in the embedded broker survives the process.
func TestPendingSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startServer(t, "--data", dir, "--instance", "one")
	succeed(t, "", "send", "--brokers", s.broker, "--to", "orders", "--delay", "5s", "x")
	if code := s.stop(t); code != exitOK {
		t.Fatalf("exit code %d\n%s", code, s.err)
	}
	s = startServer(t, "--data", dir, "--instance", "one")
	out := succeed(t, "", "tail", "orders", "--from-start", "-n", "1", "-o", "json", "--brokers", s.broker)
	arrivals := decode[arrival](t, out)
	if len(arrivals) != 1 || arrivals[0].Value == nil || *arrivals[0].Value != "x" || *arrivals[0].LateMs < 0 {
		t.Errorf("arrivals after the restart: %s", out)
	}
}

// Of two processes with one name, the one that was there first has to go, and
// says why.
func TestFencedByTheSameInstance(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	args := []string{"serve", "--brokers", broker, "--http", "127.0.0.1:0", "--instance", "twin", "--levels", "1h"}
	first := start(t, args...)
	first.err.await(t, "partitions assigned", "delay.router")
	first.err.await(t, "partitions assigned", "delay.forwarder")
	second := start(t, args...)
	if code := first.wait(t); code != exitFenced {
		t.Fatalf("exit code %d, want %d\n%s", code, exitFenced, first.err)
	}
	first.err.await(t, `"level":"error"`, `another process uses the instance id \"twin\"`, "--instance", `"message":"failed"`)
	if code := second.stop(t); code != exitOK {
		t.Errorf("the second one: exit code %d\n%s", code, second.err)
	}
}

func TestHTTPPortInUse(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	addr := strings.TrimPrefix(s.url, "http://")
	code, _, stderr := runDelayd(t, "", "serve", "--brokers", s.broker, "--http", addr, "--log-format", "console")
	want := fmt.Sprintf("delayd: --http %s: listen tcp %s: bind: address already in use; choose another address, or --http off\n", addr, addr)
	if code != exitFailure || stderr != want {
		t.Errorf("exit code %d, want %d\n%s\nwant %s", code, exitFailure, stderr, want)
	}
}

// A cluster that is not there yet is waited for, and /readyz says so.
func TestServeWaitsForTheCluster(t *testing.T) {
	t.Parallel()
	c := start(t, "serve", "--brokers", "127.0.0.1:1", "--http", "127.0.0.1:0")
	url := "http://" + logged(t, c.err, "addr", "http listens")
	c.err.await(t, "no answer from the cluster; trying again")
	if code, body := get(t, url+"/readyz"); code != http.StatusServiceUnavailable || !strings.HasPrefix(body, "no answer from the cluster: ") {
		t.Errorf("readyz: %d %s", code, body)
	}
	if code := c.stop(t); code != exitOK {
		t.Errorf("exit code %d\n%s", code, c.err)
	}
}

// A level that was taken out is no fault, and the log does not call it one.
func TestServeNamesLevelsThatWereTakenOut(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	succeed(t, "", "admin", "provision", "--brokers", broker, "--levels", "1s 7s")
	s := start(t, "serve", "--brokers", broker, "--http", "127.0.0.1:0", "--levels", "1s")
	s.err.await(t, `"level":"info","topic":"delay.level.7s"`, "delivering what is left on a level that was taken out")
	if code := s.stop(t); code != exitOK || strings.Contains(s.err.String(), "not verified") {
		t.Errorf("exit code %d\n%s", code, s.err)
	}
}

// Brokers of two clusters are a wrong setting: it might read at one and write at the other.
func TestServeRefusesTwoClusters(t *testing.T) {
	t.Parallel()
	one := fakekafka.Start(t, kfake.ClusterID("one")).ListenAddrs()[0]
	two := fakekafka.Start(t, kfake.ClusterID("two")).ListenAddrs()[0]
	code, _, stderr := runDelayd(t, "", "serve", "--brokers", one+","+two, "--http", "127.0.0.1:0")
	if code != exitUsage || !strings.Contains(stderr, "delayd: --brokers: ") || !strings.Contains(stderr, one+` is a broker of cluster "one"`) && !strings.Contains(stderr, one+` of cluster "one"`) {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

func TestNoProvisionWantsTheTopics(t *testing.T) {
	t.Parallel()
	code, _, stderr := runDelayd(t, "", "serve", "--brokers", startBroker(t), "--http", "127.0.0.1:0", "--no-provision")
	if code != exitFailure || !strings.Contains(stderr, "topic delay.inbox: it does not exist; create it with delayd admin provision") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

// A service that cannot start says so once, in the form of its log.
func TestServeRefusesATopic(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	compact(t, broker, "delay.level.1s")
	serve := []string{"serve", "--brokers", broker, "--http", "127.0.0.1:0", "--levels", "1s"}

	const summary = "1 of 6 topics cannot be used; the log says why, and what to do"
	code, _, stderr := runDelayd(t, "", serve...)
	type line struct{ Level, Message, Topic, Detail, Error string }
	var failures []line
	for _, l := range decode[line](t, stderr) { // all of it is JSON
		if l.Level == "error" {
			failures = append(failures, l)
		}
	}
	if code != exitFailure || len(failures) != 2 {
		t.Fatalf("exit code %d, want two errors\n%s", code, stderr)
	}
	refused := failures[0]
	if refused.Topic != "delay.level.1s" || refused.Message != "topic cannot be used" ||
		!strings.HasPrefix(refused.Detail, "topic delay.level.1s: cleanup.policy=compact would delete") {
		t.Errorf("refusal %+v", refused)
	}
	if diff := cmp.Diff(line{Level: "error", Message: "failed", Error: summary}, failures[1]); diff != "" {
		t.Errorf("end (-want +got):\n%s", diff)
	}

	_, _, stderr = runDelayd(t, "", append(serve, "--log-format", "console")...)
	if !strings.HasSuffix(stderr, "\ndelayd: "+summary+"\n") || strings.Count(stderr, summary) != 1 {
		t.Errorf("on a console:\n%s", stderr)
	}
}

// What is at fault among many records is named, and nothing is told to be sent
// that was not.
func TestSendNamesTheRecordAtFault(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	flags := []string{"--brokers", broker, "--levels", "1s"}
	succeed(t, "", append([]string{"admin", "provision"}, flags...)...)
	send := append([]string{"send", "--to", "orders", "--delay", "1s"}, flags...)
	big := strings.Repeat("x", 2<<20)
	const fault = "send to delay.inbox: MESSAGE_TOO_LARGE: "
	code, _, stderr := runDelayd(t, "a\n"+big+"\n", send...)
	if code != exitFailure || !strings.HasPrefix(stderr, "delayd: line 2: "+fault) || !strings.HasSuffix(stderr, " (1 record acknowledged)\n") {
		t.Errorf("from standard input: exit code %d\n%s", code, stderr)
	}
	code, _, stderr = runDelayd(t, "", append(send, big)...)
	if code != exitFailure || !strings.HasPrefix(stderr, "delayd: value 1: "+fault) || !strings.HasSuffix(stderr, " (0 records acknowledged)\n") {
		t.Errorf("from an argument: exit code %d\n%s", code, stderr)
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   string
		want []string
		err  string
	}{
		{in: ""},
		{in: "a\r\n\nb", want: []string{"a", "", "b"}},
		{in: "12345678\r\n12345678", want: []string{"12345678", "12345678"}},
		{in: "a\n12345678901\nb\n", want: []string{"a"}, err: "read standard input: line 2 has more than 8 bytes, the most that a line may have"},
	} {
		var got []string
		fault := ""
		for line, err := range lines(t.Context(), strings.NewReader(tc.in), 8) {
			if err != nil {
				fault = err.Error()
				break
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" || fault != tc.err {
			t.Errorf("%q: error %q, want %q; lines (-want +got):\n%s", tc.in, fault, tc.err, diff)
		}
	}
}

// A second signal does not wait for anything: here somebody is connected over
// HTTP, which would hold the end up.
func TestSecondSignalEndsTheProcessAtOnce(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stderr := newOutput()
	cmd := exec.CommandContext(ctx, os.Args[0], "serve", "--brokers", nobody, "--http", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), asDelayd+"=1")
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr := logged(t, stderr, "addr", "http listens")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Connections are accepted in their order: when this one is answered, the one
	// above, which asks for nothing, is being waited for.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	for _, before := range []string{"trying again", "stopping; a second signal ends it at once"} {
		stderr.await(t, before)
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitFailure || strings.Contains(stderr.String(), `"message":"stopped"`) {
		t.Errorf("exit code %d, want %d\n%s", code, exitFailure, stderr)
	}
}

// A signal either stops the process properly, or not at all.
func TestSignals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before []os.Signal // do not end it
		told   []string
		end    os.Signal
	}{
		"SIGTERM": {end: syscall.SIGTERM},
		"SIGINT":  {end: os.Interrupt},
		"SIGHUP":  {[]os.Signal{syscall.SIGHUP}, []string{"SIGHUP", "read again"}, syscall.SIGTERM},
		"SIGQUIT": {[]os.Signal{syscall.SIGQUIT}, []string{"goroutine profile: total"}, syscall.SIGTERM},
		"SIGPIPE and others": {
			[]os.Signal{syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGHUP},
			[]string{"SIGHUP", "read again"}, syscall.SIGTERM,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stderr := newOutput()
			cmd := embeddedProcess(t, stderr)
			stderr.await(t, "partitions assigned", "delay.forwarder")
			for _, s := range tc.before {
				if err := cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
			}
			stderr.await(t, tc.told...)
			if err := cmd.Process.Signal(tc.end); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v\n%s", err, stderr)
			}
			stderr.await(t, `"message":"stopped"`)
		})
	}
}

// embeddedProcess starts a process that serves on a broker of its own.
func embeddedProcess(t *testing.T, stderr io.Writer, flags ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], append([]string{"serve", "--embedded", "--embedded-addr", "127.0.0.1:0",
		"--data", t.TempDir(), "--http", "127.0.0.1:0", "--levels", "1s"}, flags...)...)
	cmd.Env = append(os.Environ(), asDelayd+"=1")
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// httpAddr reads a log up to where it names the HTTP address, and returns that.
func httpAddr(log *bufio.Scanner) (addr string) {
	for addr == "" && log.Scan() {
		var line struct{ Addr, Message string }
		if json.Unmarshal(log.Bytes(), &line) == nil && line.Message == "http listens" {
			addr = line.Addr
		}
	}
	return addr
}

// survivesItsLog sees that a process whose log nobody reads becomes ready, and ends in order.
func survivesItsLog(t *testing.T, cmd *exec.Cmd, addr string) {
	t.Helper()
	for ready := false; !ready; {
		code, _, stderr := runDelayd(t, "", "ready", "--http", addr)
		ready = code == exitOK
		if !ready && !strings.HasPrefix(stderr, "delayd: not ready: ") {
			t.Fatalf("the process ended with its log: %s", stderr)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// The reader of the log has gone, as when a log collector restarts: the service keeps
// delivering, and a SIGTERM still ends it in order.
func TestServeSurvivesItsLog(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := embeddedProcess(t, write)
	write.Close()
	addr := httpAddr(bufio.NewScanner(read))
	read.Close()
	survivesItsLog(t, cmd, addr)
}

// The reader of the log hangs, or somebody has typed Ctrl-S: the same.
func TestServeSurvivesAReaderThatHangs(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	const setPipeSize, page = 1031, 4096 // F_SETPIPE_SZ of Linux; elsewhere the log is hardly larger than the pipe
	_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, write.Fd(), setPipeSize, page)
	cmd := embeddedProcess(t, write, "--log-level", "trace")
	write.Close()
	all := bufio.NewScanner(read)
	addr := httpAddr(all)
	survivesItsLog(t, cmd, addr)
	lines := 0
	for all.Scan() {
		lines++
		if strings.Contains(all.Text(), `"message":"stopped"`) {
			t.Errorf("the pipe took all %d lines, so that this shows nothing", lines)
		}
	}
}

// A health check without an HTTP client.
func TestReadyCommand(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	waits := start(t, "serve", "--brokers", nobody, "--http", "127.0.0.1:0")
	unready := logged(t, waits.err, "addr", "http listens")
	waits.err.await(t, "no answer from the cluster")
	for _, tc := range []struct {
		args        []string
		code        int
		out, stderr string
	}{
		{[]string{"--http", "127.0.0.1:" + port}, exitOK, "ready\n", ""},
		{[]string{"--http", "0.0.0.0:" + port}, exitOK, "ready\n", ""},
		{[]string{"--http", unready}, exitFailure, "", "delayd: not ready: no answer from the cluster: "},
		{[]string{"--http", unready, "--alive"}, exitOK, "ok\n", ""},
		{[]string{"--http", nobody}, exitFailure, "", "delayd: Get \"http://" + nobody + "/readyz\": dial tcp " + nobody + ": connect: connection refused; is \"delayd serve\" running there"},
		{[]string{"--http", "off"}, exitUsage, "", "delayd: --http off: there is nothing to ask"},
	} {
		code, out, stderr := runDelayd(t, "", append([]string{"ready"}, tc.args...)...)
		if code != tc.code || out != tc.out || !strings.HasPrefix(stderr, tc.stderr) || (stderr == "") != (tc.stderr == "") {
			t.Errorf("%q: exit code %d, stdout %q, stderr %s", tc.args, code, out, stderr)
		}
	}
}
