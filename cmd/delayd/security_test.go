//go:build unix

package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/internal/kafkatest"
)

// The secrets of these tests, and whom they let in.
const (
	testPassword = "open-sesame-47"
	testToken    = "let-me-profile-48"
	testUser     = "alibaba"
)

// startSecured starts a broker that wants TLS and a password, and returns the
// flags that name it. The password goes by the environment or by a file. It is sent
// as it is: no other way to log in could show more of it.
func startSecured(t *testing.T) (flags []string, passwordFile string) {
	t.Helper()
	dir := t.TempDir()
	certs, err := kafkatest.NewCerts(dir, "broker")
	if err != nil {
		t.Fatal(err)
	}
	server, err := certs.Server("broker")
	if err != nil {
		t.Fatal(err)
	}
	c := fakekafka.Start(t, kfake.TLS(server), kfake.EnableSASL(), kfake.Superuser("PLAIN", testUser, testPassword), kfake.SeedTopics(1, "orders"))
	passwordFile = filepath.Join(dir, "password")
	if err := os.WriteFile(passwordFile, []byte(testPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--brokers", c.ListenAddrs()[0], "--tls", "--tls-ca", certs.CA, "--sasl", "plain", "--sasl-user", testUser}, passwordFile
}

// TestSecretsStaySecret runs the service with all that is secret and looks for it
// wherever something comes out: the log at its most detailed, metrics, profiles,
// help, records, and what the system shows of a process.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	flags, _ := startSecured(t)
	stderr := newOutput()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"serve", "--http", "127.0.0.1:0", "--pprof", "--levels", "1s",
		"--log-level", "trace", "--partitions", "1"}, flags...)...)
	cmd.Env = append(os.Environ(), asDelayd+"=1", "DELAYD_SASL_PASSWORD="+testPassword, "DELAYD_HTTP_TOKEN="+testToken)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	}()
	stderr.await(t, "partitions assigned", "delay.forwarder")
	stderr.await(t, "partitions assigned", "delay.router")

	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), os.Args[0], append(args, flags...)...)
		cmd.Env = append(os.Environ(), asDelayd+"=1", "DELAYD_SASL_PASSWORD="+testPassword)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	seen := map[string]string{
		"send":         run("send", "--to", "orders", "--delay", "1s", "--levels", "1s", "hello"),
		"send of none": run("send", "--to", "nobody", "--delay", "0", "--levels", "1s", "hello"),
		"tail":         run("tail", "orders", "--from-start", "-n", "1", "-o", "json"),
		"status":       run("admin", "status", "--levels", "1s"),
		"dead letters": run("tail", "delay.dead", "-n", "1", "-o", "json", "--from-start"),
		"help":         run("serve", "--help"),
	}
	url := "http://" + logged(t, stderr, "addr", "http listens")
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2"} {
		_, body := get(t, url+path)
		seen[path+" as nobody"] = body
		code, body := getAs(t, url+path, testToken)
		seen[path] = body
		if want := http.StatusOK; code != want && path != "/debug/pprof/cmdline" {
			t.Errorf("%s with the token: %d, want %d", path, code, want)
		}
	}
	if code, _ := get(t, url+"/debug/pprof/"); code != http.StatusUnauthorized {
		t.Errorf("profiles without the token: %d", code)
	}
	if code, _ := getAs(t, url+"/debug/pprof/heap", testToken+"x"); code != http.StatusUnauthorized {
		t.Errorf("profiles with another token: %d", code)
	}
	seen["the log"] = stderr.String()
	if cmdline, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/cmdline"); err == nil {
		seen["the command line"] = string(cmdline)
	}
	for where, text := range seen {
		if text == "" {
			t.Errorf("%s: nothing to look at", where)
		}
		for _, secret := range []string{testPassword, testToken} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %s", where, secret)
			}
		}
	}
}

// The processes of a measurement log in too.
func TestBenchLogsIn(t *testing.T) {
	flags, password := startSecured(t)
	t.Setenv(asDelayd, "1")
	for _, how := range [][]string{{"--sasl-password-file", password}, nil} {
		if how == nil {
			t.Setenv("DELAYD_SASL_PASSWORD", testPassword)
		}
		args := append(append([]string{"bench", "backlog", "--records", "500", "--naive", "--partitions", "1", "-o", "json"}, flags...), how...)
		report := decode[struct{ Runs []struct{ Delivered int } }](t, succeed(t, "", args...))
		if len(report) != 1 || len(report[0].Runs) != 2 || report[0].Runs[0].Delivered != 500 || report[0].Runs[1].Delivered == 0 {
			t.Errorf("%q: %+v", how, report)
		}
	}
}

// A wrong password is no reason to end: somebody may be about to fix it. Whoever
// looks at the instance sees what it waits for.
func TestReadyzSaysWhatIsWrongWithTheLogin(t *testing.T) {
	t.Parallel()
	flags, _ := startSecured(t)
	wrong := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrong, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := start(t, append([]string{"serve", "--http", "127.0.0.1:0", "--sasl-password-file", wrong}, flags...)...)
	url := "http://" + logged(t, c.err, "addr", "http listens")
	c.err.await(t, "no answer from the cluster; trying again")
	const want = "; the brokers hang up at the login; " // the fake one does; Apache Kafka says why
	if code, body := get(t, url+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, want) {
		t.Errorf("readyz: %d %s, want %q", code, body, want)
	}
	if code := c.stop(t); code != exitOK {
		t.Errorf("exit code %d\n%s", code, c.err)
	}
}

// Profiles are for this machine, or for those who have the token.
func TestProfilesNeedATokenElsewhere(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	serve := func(args ...string) []string {
		return append([]string{"serve", "--brokers", "127.0.0.1:1", "--instance", "one"}, args...)
	}
	for _, tc := range []struct {
		args []string
		env  string
		want string
	}{
		{serve("--pprof", "--http", "0.0.0.0:0"), "", "--pprof with --http 0.0.0.0:0: whoever can reach that address"},
		{serve("--pprof", "--http", ":0"), "", "set --http-token-file, or listen on loopback"},
		{serve("--pprof", "--http", "[::]:0"), "", "--pprof with --http [::]:0"},
		{serve("--http-token-file", empty), "", "--http-token-file " + empty + ": the file is empty"},
		{serve("--http-token-file", empty), "x", "and DELAYD_HTTP_TOKEN is set in the environment too; leave one out"},
	} {
		t.Setenv("DELAYD_HTTP_TOKEN", tc.env)
		code, _, stderr := runDelayd(t, "", tc.args...)
		if code != exitUsage || !strings.Contains(stderr, tc.want) {
			t.Errorf("%q: exit code %d, want %d and %q\n%s", tc.args, code, exitUsage, tc.want, stderr)
		}
	}
}

// Unless told otherwise only this machine can ask.
func TestHTTPIsOnLoopback(t *testing.T) {
	parser, err := newParser(&console{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	host, _, err := net.SplitHostPort(parsed.Model.Target.Addr().Interface().(*cli).Serve.HTTP)
	if err != nil || !net.ParseIP(host).IsLoopback() {
		t.Errorf("listens on %s, %v", host, err)
	}
}

// Without --pprof there are none, and nothing can be asked to change anything.
func TestHTTPChangesNothing(t *testing.T) {
	t.Parallel()
	plain := newHandler(new(readiness), prometheus.NewRegistry(), false, "", nil)
	all := newHandler(new(readiness), prometheus.NewRegistry(), true, "", nil)
	code := func(h http.Handler, method, path string) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w.Code
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/vars", "/"} {
		if got := code(plain, http.MethodGet, path); got != http.StatusNotFound {
			t.Errorf("GET %s: %d, want %d", path, got, http.StatusNotFound)
		}
	}
	if got := code(all, http.MethodGet, "/debug/pprof/cmdline"); got != http.StatusNotFound {
		t.Errorf("the command line with --pprof: %d, want %d", got, http.StatusNotFound)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		for _, path := range []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/profile", "/"} {
			if got := code(all, method, path); got != http.StatusMethodNotAllowed && got != http.StatusNotFound {
				t.Errorf("%s %s: %d", method, path, got)
			}
		}
	}
}
