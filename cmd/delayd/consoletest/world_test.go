package consoletest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience bounds what a test waits for.
const patience = 30 * time.Second

// token is that of the consoles here.
const token = "a token of the test"

// service is a running `delayd serve`.
type service struct {
	binary, url, brokers string
	cmd                  *exec.Cmd

	mu   sync.Mutex
	logs []string
	news chan struct{} // a new line of the log
}

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "consoletest")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "delayd")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/delayd")
	cmd.Dir = "../../.." // in the workspace
	cmd.Env = append(os.Environ(), "GOWORK=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build delayd: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := build(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// serve starts a service with args, and returns when it is ready.
func serve(t *testing.T, args ...string) *service {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(secret, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &service{binary: binary, news: make(chan struct{}, 1)}
	s.cmd = exec.Command(binary, append([]string{"serve", "--http", "127.0.0.1:0", "--http-token-file", secret, "--instance", "delayd-0"}, args...)...)
	pipe, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); s.read(pipe) }()
	t.Cleanup(func() {
		s.cmd.Process.Signal(syscall.SIGTERM)
		<-done
		s.cmd.Wait()
		if t.Failed() {
			t.Logf("the log of delayd ends with\n%s", strings.Join(s.lines()[max(0, len(s.lines())-15):], "\n"))
		}
	})
	s.url = "http://" + s.logged(t, "addr", "http listens")
	s.await(t, "ready", func() bool {
		resp, err := http.Get(s.url + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return s
}

func (s *service) read(pipe io.Reader) {
	lines := bufio.NewScanner(pipe)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		s.mu.Lock()
		s.logs = append(s.logs, lines.Text())
		s.mu.Unlock()
	}
}

func (s *service) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.logs...)
}

// logged waits for a line of the log whose message begins so, and returns a field of it.
func (s *service) logged(t *testing.T, field, message string) (value string) {
	t.Helper()
	s.await(t, "the log says: "+message, func() bool {
		for _, line := range s.lines() {
			fields := make(map[string]any)
			if json.Unmarshal([]byte(line), &fields) == nil && strings.HasPrefix(fmt.Sprint(fields["message"]), message) {
				value = fmt.Sprint(fields[field])
				return true
			}
		}
		return false
	})
	return value
}

// await waits until something is so.
func (s *service) await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s\n%s", patience, what, strings.Join(s.lines(), "\n"))
		}
	}
}

// get reads an answer of the API.
func (s *service) get(t *testing.T, path string, into any) {
	t.Helper()
	resp, err := http.Get(s.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %s, %v", path, resp.Status, body, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("GET %s: %v in %s", path, err, body)
	}
}

// send sends records.
func send(t *testing.T, brokers string, records ...*kgo.Record) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// rec is a record with headers, as keys and values in turn.
func rec(topic, key, value string, headers ...string) *kgo.Record {
	r := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return r
}

// browser is a Chromium that reports what a page does wrong.
type browser struct {
	ctx context.Context

	mu     sync.Mutex
	faults []string
}

// open starts a Chromium with a profile of its own.
func open(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v: install Debian's package chromium", err)
	}
	alloc, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	// The first call starts the browser, which lives as long as the call's context.
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 820)); err != nil {
		t.Fatal(err)
	}
	b := &browser{ctx: ctx}
	err = chromedp.Listen(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b.faults = append(b.faults, fmt.Sprint(e.ExceptionDetails))
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.ConsoleAPICalledTypeError {
				b.faults = append(b.faults, fmt.Sprint(e.Args))
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type action = chromedp.Action[chromedp.Void]

// do runs actions in the page.
func (b *browser) do(t *testing.T, actions ...action) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// run runs an action that has a value.
func run[T any](t *testing.T, b *browser, a chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// eval returns the value of an expression in the page.
func eval[T any](t *testing.T, b *browser, expression string) T {
	t.Helper()
	return run(t, b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// await waits until an expression in the page is true. While a page is left for another
// one it is not, and may throw.
func (b *browser) await(t *testing.T, expression string) {
	t.Helper()
	is := func() bool {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		defer cancel()
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("(() => { try { return !!("+expression+") } catch { return false } })()"))
		return err == nil && is
	}
	for end := time.Now().Add(patience); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s\n%s", patience, expression, eval[string](t, b, "document.body.innerText"))
		}
	}
}

// noFaults fails the test when a page threw or logged an error.
func (b *browser) noFaults(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, fault := range b.faults {
		t.Errorf("the page: %s", fault)
	}
	b.faults = nil
}

// looks are the screens on which pages are tested.
type looks struct {
	name  string
	width int64
	dark  bool
}

var everyLook = []looks{{"wide-light", 1280, false}, {"wide-dark", 1280, true}, {"narrow-light", 390, false}, {"narrow-dark", 390, true}}

func (b *browser) look(t *testing.T, l looks) {
	t.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	height := int64(820)
	b.do(t, chromedp.EmulateViewport(l.width, height))
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (b *browser) signIn(t *testing.T, s *service) {
	t.Helper()
	b.do(t, chromedp.Navigate(s.url+"/console/login"), chromedp.SendKeys(chromedp.CSS("#name"), "night shift"),
		chromedp.SendKeys(chromedp.CSS("#token"), token+"\r"), chromedp.WaitVisible(chromedp.CSS("form[action=logout]")))
}
