package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/admin/deadletter"
	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "open sesame"

// world is a console over a cluster in memory.
type world struct {
	cl  *kgo.Client // of the test
	mux *http.ServeMux
	log *bytes.Buffer
	con *Console
}

// spec has two levels.
func spec(t *testing.T) admin.Spec {
	t.Helper()
	ladder, err := levels.Parse("5s 1h")
	if err != nil {
		t.Fatal(err)
	}
	return admin.Spec{Ladder: ladder, Names: levels.Names{Prefix: "delay"}}
}

func newWorld(t *testing.T, change func(*Config), opts ...kgo.Opt) *world {
	t.Helper()
	return overBroker(t, fakekafka.Start(t), change, opts...)
}

func overBroker(t *testing.T, broker *kfake.Cluster, change func(*Config), opts ...kgo.Opt) *world {
	t.Helper()
	return overSpec(t, broker, spec(t), change, opts...)
}

func overSpec(t *testing.T, broker *kfake.Cluster, spec admin.Spec, change func(*Config), opts ...kgo.Opt) *world {
	t.Helper()
	client := func(more ...kgo.Opt) *kgo.Client {
		cl, err := kgo.NewClient(append(append(connect.Options(broker.ListenAddrs(), "test", zerolog.Nop()), opts...), more...)...)
		if err != nil {
			t.Fatal(err)
		}
		return cl
	}
	w := &world{cl: client(kgo.RecordPartitioner(kgo.ManualPartitioner())), mux: http.NewServeMux(), log: new(bytes.Buffer)}
	t.Cleanup(w.cl.Close)
	if _, err := admin.Ensure(t.Context(), w.cl, spec); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Instance: "a", Prefix: "delay", Version: "test", Token: secret, Loopback: true, Log: zerolog.New(zerolog.SyncWriter(w.log))}
	if change != nil {
		change(&cfg)
	}
	w.con = New(cfg)
	w.con.Register(w.mux)
	t.Cleanup(w.con.Open(client(ClientOptions()...), spec, nil))
	return w
}

// ask sends a request, which change may change, and returns the answer.
func (w *world) ask(method, target, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "http://localhost:8080"+target, strings.NewReader(body))
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range change {
		c(req)
	}
	answer := httptest.NewRecorder()
	w.mux.ServeHTTP(answer, req)
	return answer
}

func bearer(token string) func(*http.Request) {
	return func(req *http.Request) { req.Header.Set("Authorization", "Bearer "+token) }
}

func header(key, value string) func(*http.Request) {
	return func(req *http.Request) { req.Header.Set(key, value) }
}

func host(name string) func(*http.Request) { return func(req *http.Request) { req.Host = name } }

// signed is the cookie of somebody who has signed in.
func (w *world) signed(req *http.Request) {
	req.AddCookie(&http.Cookie{Name: cookieName, Value: w.con.session.cookie("night shift", time.Now())})
}

// die writes a dead letter.
func (w *world) die(t *testing.T, code levels.Code, rec *kgo.Record) {
	t.Helper()
	rec.Topic = "delay.inbox"
	dead := record.Dead(rec, "delay.dead", levels.Facts{Accepted: 7}, levels.Refusal{Code: code, Detail: "because of " + string(rec.Value)}, 2)
	dead.Partition = 0
	if err := w.cl.ProduceSync(context.Background(), dead).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// pages are all pages.
var pages = []string{"", "due", "targets", "deadletters", "find", "find?id=delay.inbox-0-0-7", "find?id=x&around=2h", "record?at=delay.dead/0/0", "level?level=1h", "instances", "drift", "login", "pause?level=5s", "resume?target=orders", "resend"}

// Every page is complete HTML with the headers that keep others from running or
// framing it, and nothing in it is run or styled in place.
func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.die(t, levels.BadLevel, &kgo.Record{Value: []byte("v")})
	inline := regexp.MustCompile(`(?i)<style|\son[a-z]+=|\sstyle=|javascript:|<script>|(src|href|action)="(/|https?:|//)`)
	for _, page := range pages {
		answer := w.ask("GET", "/console/"+page, "", w.signed)
		body := answer.Body.String()
		if answer.Code != http.StatusOK || !strings.HasSuffix(body, "</html>") || strings.Contains(body, "ZgotmplZ") {
			t.Errorf("%q: %d %s", page, answer.Code, body)
		}
		if found := inline.FindString(body); found != "" {
			t.Errorf("%q has %s", page, found)
		}
		for key, want := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
			if got := answer.Header().Get(key); got != want {
				t.Errorf("%q: %s %q, want %q", page, key, got, want)
			}
		}
		csp := answer.Header().Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%q: policy %s", page, csp)
		}
	}
	if answer := w.ask("GET", "/console", ""); answer.Code != http.StatusFound || answer.Header().Get("Location") != "console/" {
		t.Errorf("/console: %d to %q, want a relative redirect", answer.Code, answer.Header().Get("Location"))
	}
	if answer := w.ask("GET", "/console/assets/uplot.js", ""); answer.Code != http.StatusOK || answer.Header().Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("the chart library: %d %v", answer.Code, answer.Header())
	}
	if answer := w.ask("GET", "/console/assets/..%2ftemplates%2flayout.html", ""); answer.Code != http.StatusNotFound {
		t.Errorf("a file that is no asset: %d", answer.Code)
	}
}

// The page of levels counts outstanding cancels, and warns when nearly as many are as may be.
func TestCancelsOnThePage(t *testing.T) {
	t.Parallel()
	for marks, want := range map[int]string{
		0: "", 1: "<b>1</b> cancel or replacement is outstanding, of at most 1,000.",
		800: "<b>800</b> cancels and replacements are outstanding, of at most 1,000.",
		801: "801 of at most 1,000 cancels are outstanding: beyond that they are dead letters",
	} {
		t.Run(strconv.Itoa(marks), func(t *testing.T) {
			t.Parallel()
			spec := spec(t)
			spec.MaxCancels = 1000
			w := overSpec(t, fakekafka.Start(t), spec, nil)
			for range marks {
				w.cl.Produce(t.Context(), &kgo.Record{Topic: "delay.cancel", Value: []byte("mark")}, nil)
			}
			if err := w.cl.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			page := w.ask("GET", "/console/", "").Body.String()
			if !strings.Contains(page, want) || strings.Contains(page, "beyond that") != (marks > 800) || strings.Contains(page, "outstanding") != (marks > 0) {
				t.Errorf("%d marks, want %q on\n%s", marks, want, page)
			}
			if got := w.ask("GET", "/api/v1/levels", "").Body.String(); strings.Contains(got, fmt.Sprintf(`"cancels_pending":%d,"cancels_max":1000`, marks)) != (marks > 0) {
				t.Errorf("%d marks: %s", marks, got)
			}
		})
	}
}

// What others wrote is shown as text, whatever it is.
func TestHostileRecords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	hostile := "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b[2J\u202egnp\x00\xff"
	w.die(t, levels.BadLevel, &kgo.Record{Key: []byte(hostile), Value: []byte(hostile),
		Headers: []kgo.RecordHeader{{Key: hostile, Value: []byte(hostile)}, {Key: levels.HeaderTarget, Value: []byte(hostile)}, {Key: levels.HeaderID, Value: []byte(hostile)}}})
	for _, page := range []string{"deadletters", "record?at=delay.dead/0/0", "resend?code=bad-level", "find?id=" + url.QueryEscape(hostile), "find?id=x&around=" + url.QueryEscape(hostile)} {
		answer := w.ask("GET", "/console/"+page, "", w.signed)
		body := answer.Body.String()
		if answer.Code != http.StatusOK {
			t.Errorf("%s: %d %s", page, answer.Code, body)
		}
		for _, bad := range []string{"<script>alert", "<img", "\x1b", "\u202e", "\x00", "\xff"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s has %q as it is", page, bad)
			}
		}
		if page != "resend?code=bad-level" && !strings.Contains(page, "around") && !strings.Contains(body, "&lt;script&gt;") {
			t.Errorf("%s does not show the value: %s", page, body)
		}
	}
	answer := w.ask("GET", "/console/pause?target="+url.QueryEscape(hostile), "", w.signed)
	if body := answer.Body.String(); answer.Code != http.StatusBadRequest || strings.Contains(body, "<img") || strings.Contains(body, "\x1b") {
		t.Errorf("a hostile target: %d %s", answer.Code, body)
	}
}

// What is in records is for those who have signed in, and for this machine.
func TestContentsAreHidden(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		loopback bool
		change   []func(*http.Request)
		shown    bool
	}{
		{"this machine", true, nil, true},
		{"a name of another site that leads here", true, []func(*http.Request){host("evil.example:8080")}, false},
		{"another machine", false, nil, false},
		{"the token", false, []func(*http.Request){bearer(secret)}, true},
		{"a wrong token", false, []func(*http.Request){bearer("wrong")}, false},
	} {
		w := newWorld(t, func(cfg *Config) { cfg.Loopback = tc.loopback })
		w.die(t, levels.BadLevel, &kgo.Record{Key: []byte("the-key"), Value: []byte("the-value"), Headers: []kgo.RecordHeader{{Key: "the-header"},
			{Key: levels.HeaderAttempt, Value: []byte("7")}, {Key: levels.HeaderRetryCause, Value: []byte("the-cause\x1b")}}})
		waits := &kgo.Record{Topic: "delay.level.1h", Key: []byte("the-key"), Value: []byte("the-value"), Headers: []kgo.RecordHeader{{Key: levels.HeaderTarget, Value: []byte("orders")},
			{Key: levels.HeaderAttempt, Value: []byte("7")}, {Key: levels.HeaderRetryCause, Value: []byte("the-cause\x1b")}}}
		if err := w.cl.ProduceSync(t.Context(), waits).FirstErr(); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/console/deadletters", "/api/v1/deadletters", "/console/record?at=delay.dead/0/0", "/api/v1/record?at=delay.dead/0/0", "/console/level?level=1h", "/api/v1/next?level=1h", "/console/find?id=delay.inbox-0-0-7", "/api/v1/find?id=delay.inbox-0-0-7"} {
			body := w.ask("GET", path, "", tc.change...).Body.String()
			if shown := strings.Contains(body, "the-key") || strings.Contains(body, "the-value"); shown != tc.shown {
				t.Errorf("%s, %s: shown %v\n%s", tc.name, path, shown, body)
			}
			if strings.Contains(body, "the-cause") != tc.shown || strings.Contains(path, "/console/") && strings.Contains(body, "retry 7: the-cause\ufffd") != tc.shown {
				t.Errorf("%s, %s: why it was retried\n%s", tc.name, path, body)
			}
		}
	}
}

// Nothing is changed without the token, or by a page of another site.
func TestWhoMayAct(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	readOnly := newWorld(t, func(cfg *Config) { cfg.Token = "" })
	forged := func(req *http.Request) {
		req.AddCookie(&http.Cookie{Name: cookieName, Value: newSessions("another").cookie("x", time.Now())})
	}
	expired := func(req *http.Request) {
		req.AddCookie(&http.Cookie{Name: cookieName, Value: w.con.session.cookie("x", time.Now().Add(-sessionTime))})
	}
	same := header("Sec-Fetch-Site", "same-origin")
	for _, tc := range []struct {
		name   string
		w      *world
		change []func(*http.Request)
		want   int
	}{
		{"nobody", w, nil, http.StatusUnauthorized},
		{"without a token of its own", readOnly, []func(*http.Request){bearer("")}, http.StatusForbidden},
		{"a wrong token", w, []func(*http.Request){bearer("open")}, http.StatusUnauthorized},
		{"a forged session", w, []func(*http.Request){forged, same}, http.StatusUnauthorized},
		{"an old session", w, []func(*http.Request){expired, same}, http.StatusUnauthorized},
		{"another site", w, []func(*http.Request){w.signed, header("Sec-Fetch-Site", "cross-site")}, http.StatusForbidden},
		{"another host of the site", w, []func(*http.Request){w.signed, header("Sec-Fetch-Site", "same-site")}, http.StatusForbidden},
		{"another origin", w, []func(*http.Request){w.signed, header("Origin", "http://evil.example")}, http.StatusForbidden},
		{"no origin", w, []func(*http.Request){w.signed}, http.StatusForbidden},
		{"a null origin", w, []func(*http.Request){w.signed, header("Origin", "null")}, http.StatusForbidden},
		{"our page", w, []func(*http.Request){w.signed, same}, 0},
		{"our page, by a browser of a plain network", w, []func(*http.Request){w.signed, header("Origin", "http://localhost:8080")}, 0},
		{"our page, behind a proxy", w, []func(*http.Request){w.signed, header("Origin", "https://ops.example"), header("X-Forwarded-Host", "ops.example")}, 0},
		{"the token in a header", w, []func(*http.Request){bearer(secret)}, 0},
	} {
		for _, action := range []string{"pause", "resume", "resend"} {
			before := tc.w.paused(t)
			form := tc.w.ask("POST", "/console/"+action, "level=5s&confirm=1", tc.change...)
			api := tc.w.ask("POST", "/api/v1/"+action, `{"level":"5s"}`, tc.change...)
			switch {
			case tc.want != 0 && (form.Code != tc.want || api.Code != tc.want || tc.w.paused(t) != before):
				t.Errorf("%s, %s: form %d, API %d, paused %q; want %d", tc.name, action, form.Code, api.Code, tc.w.paused(t), tc.want)
			case tc.want == 0 && action != "resend" && (form.Code != http.StatusSeeOther || api.Code != http.StatusOK):
				t.Errorf("%s, %s: form %d, API %d %s", tc.name, action, form.Code, api.Code, api.Body)
			case tc.want == 0 && action == "pause" && tc.w.paused(t) != "level 5s",
				tc.want == 0 && action == "resume" && tc.w.paused(t) != "":
				t.Errorf("%s, %s: paused %q", tc.name, action, tc.w.paused(t))
			}
		}
	}
	if strings.Contains(w.log.String(), secret) {
		t.Errorf("the log has the token: %s", w.log)
	}
	if !strings.Contains(w.log.String(), `"action":"pause","what":"level 5s","by":"night shift"`) {
		t.Errorf("the log does not say who paused what: %s", w.log)
	}
}

// paused is what the cluster says.
func (w *world) paused(t *testing.T) string {
	t.Helper()
	list, err := admin.Pauses(t.Context(), w.cl, levels.Names{Prefix: "delay"})
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, p := range list {
		words = append(words, p.String())
	}
	return strings.Join(words, ", ")
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	form := url.Values{"name": {"night\nshift"}, "token": {secret}, "back": {"pause?level=5s"}}.Encode()
	same := header("Sec-Fetch-Site", "same-origin")
	answer := w.ask("POST", "/console/login", form, same, header("X-Forwarded-Prefix", "/ops/delayd/"), header("X-Forwarded-Proto", "https"))
	cookie := answer.Result().Cookies()
	if answer.Code != http.StatusSeeOther || answer.Header().Get("Location") != "pause?level=5s" || len(cookie) != 1 {
		t.Fatalf("signed in: %d %v", answer.Code, answer.Header())
	}
	c := cookie[0]
	if c.Path != "/ops/delayd/" || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || strings.Contains(c.Value, secret) {
		t.Errorf("cookie %+v", c)
	}
	if name, ok := w.con.session.name(c.Value, time.Now()); !ok || name != "night\nshift" {
		t.Errorf("the session is of %q, %v", name, ok)
	}
	for _, back := range []string{"https://evil.example", "//evil.example", "/console/", "\\evil", "javascript:alert(1)"} {
		form := url.Values{"token": {secret}, "back": {back}}.Encode()
		if to := w.ask("POST", "/console/login", form, same).Header().Get("Location"); to != "./" {
			t.Errorf("back to %q leads to %q", back, to)
		}
	}
	if answer := w.ask("POST", "/console/login", form, header("Sec-Fetch-Site", "cross-site")); answer.Code != http.StatusForbidden || len(answer.Result().Cookies()) > 0 {
		t.Errorf("signed in by another site: %d", answer.Code)
	}
	if answer := w.ask("POST", "/console/login", "token=wrong", same); answer.Code != http.StatusUnauthorized || len(answer.Result().Cookies()) > 0 {
		t.Errorf("a wrong token: %d", answer.Code)
	}
	if answer := w.ask("POST", "/console/logout", "", same, w.signed); answer.Result().Cookies()[0].MaxAge >= 0 {
		t.Errorf("signed out: %v", answer.Header())
	}
	for prefix, want := range map[string]string{"/a": "/a", "a": "", "/a;b": "", "//a": "", "/a\r\nb": "", "": ""} {
		req := httptest.NewRequest("GET", "/", nil)
		req.Header["X-Forwarded-Prefix"] = []string{prefix}
		if got := prefixOf(req); got != want {
			t.Errorf("prefix %q: %q, want %q", prefix, got, want)
		}
	}
}

// A resend sends what its preview says, and nothing when another number is confirmed.
func TestResend(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if _, err := kadm.NewClient(w.cl).CreateTopic(t.Context(), 1, 1, nil, "mails"); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		w.die(t, levels.GaveUp, &kgo.Record{Value: fmt.Append(nil, i), Headers: []kgo.RecordHeader{{Key: levels.HeaderTarget, Value: []byte("orders")}, {Key: levels.HeaderLevel, Value: []byte("5s")}}})
	}
	w.die(t, levels.BadLevel, &kgo.Record{Value: []byte("bad")})
	post := func(body string) (int, Preview) {
		answer := w.ask("POST", "/api/v1/resend", body, bearer(secret))
		var p Preview
		_ = json.Unmarshal(answer.Body.Bytes(), &p)
		return answer.Code, p
	}
	// The time of a preview is cut to the second, and these letters are of this one.
	soon := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
	body := func(confirm string) string {
		return `{"code":["gave-up"],"to":"mails","until":"` + soon + `"` + confirm + `}`
	}
	if code, p := post(body("")); code != http.StatusOK || p.Send != 3 || p.Outcomes[deadletter.OutcomeSent] != 3 {
		t.Fatalf("preview: %d %+v", code, p)
	}
	if code, _ := post(body(`,"confirm":4`)); code != http.StatusConflict {
		t.Errorf("another number is confirmed: %d", code)
	}
	if code := w.ask("GET", "/api/v1/job", "").Code; code != http.StatusNotFound {
		t.Errorf("a job before there was one: %d", code)
	}
	if code, _ := post(body(`,"confirm":3`)); code != http.StatusAccepted {
		t.Fatalf("confirmed: %d", code)
	}
	var job Job
	for job.Ended == nil {
		job = Job{}
		if err := json.Unmarshal(w.ask("GET", "/api/v1/job", "").Body.Bytes(), &job); err != nil {
			t.Fatal(err)
		}
	}
	if job.Error != "" || job.Sent != 3 || job.By != bearerName {
		t.Errorf("job %+v", job)
	}
	if code, p := post(body("")); code != http.StatusOK || p.Send != 0 || p.Outcomes[deadletter.OutcomeAlreadySent] != 3 {
		t.Errorf("preview after that: %d %+v", code, p)
	}
	if answer := w.ask("GET", "/console/job", "", w.signed); answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "Done") {
		t.Errorf("the page of the job: %d", answer.Code)
	}
}

// An answer is there before the cluster is reached: that it is not.
func TestBeforeTheStart(t *testing.T) {
	t.Parallel()
	w := &world{mux: http.NewServeMux(), con: New(Config{Prefix: "delay"})}
	w.con.Register(w.mux)
	for _, path := range []string{"/console/", "/console/due", "/console/deadletters", "/api/v1/levels", "/api/v1/drift"} {
		if answer := w.ask("GET", path, ""); answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), "starting") {
			t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
		}
	}
}

// The API refuses what it does not understand, and says what to write.
func TestWrongRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for path, want := range map[string]string{
		"/api/v1/deadletters?code=x":        `code \"x\" is none of a dead letter`,
		"/api/v1/deadletters?limit=1000":    "from 1 to 200",
		"/api/v1/deadletters?since=monday":  "2026-03-01T12:00:00Z",
		"/api/v1/deadletters?offset=-1":     "from 0 on",
		"/api/v1/deadletters?target=a%20b":  "not allowed",
		"/api/v1/targets?state=idle":        "neither paused nor unavailable",
		"/api/v1/targets?skip=-1":           "from 0 on",
		"/api/v1/targets?limit=1000":        "from 1 to 200",
		"/console/targets?skip=x":           "from 0 on",
		"/api/v1/record?at=orders/0/0":      "no topic of this delay service",
		"/api/v1/record?at=nowhere":         "topic/partition/offset",
		"/api/v1/record":                    "topic/partition/offset",
		"/api/v1/record?at=delay.dead/0/99": "no record is there",
	} {
		answer := w.ask("GET", path, "")
		if answer.Code < 400 || answer.Code > 499 || !strings.Contains(answer.Body.String(), want) {
			t.Errorf("%s: %d %s, want %s", path, answer.Code, answer.Body, want)
		}
	}
	for _, body := range []string{"", "{", `{"level":"5s","target":"x"}`, `{}`, `{"level":"5s","other":1}`, `{"level":"soon"}`, `{"target":"a b"}`} {
		if answer := w.ask("POST", "/api/v1/pause", body, bearer(secret)); answer.Code != http.StatusBadRequest {
			t.Errorf("pause %s: %d %s", body, answer.Code, answer.Body)
		}
	}
}

// Whoever asks for many different pages holds up nobody for long: few wait for their turn.
func TestReadersAreFew(t *testing.T) {
	t.Parallel()
	var r reading
	begun, end := make(chan struct{}), make(chan struct{})
	results := make(chan error, maxReaders)
	go func() { results <- r.do(t.Context(), func() error { close(begun); <-end; return nil }) }()
	<-begun
	gone, cancel := context.WithCancel(t.Context())
	for range maxReaders - 1 {
		go func() { results <- r.do(gone, func() error { return nil }) }()
	}
	for {
		r.Lock()
		n := r.waiting
		r.Unlock()
		if n == maxReaders {
			break
		}
	}
	if err := r.do(t.Context(), func() error { return nil }); err != errBusy {
		t.Errorf("one too many: %v, want %v", err, errBusy)
	}
	cancel()
	for range maxReaders - 1 {
		if err := <-results; err != context.Canceled {
			t.Errorf("a viewer that is gone: %v", err)
		}
	}
	close(end)
	if err := <-results; err != nil {
		t.Errorf("the one that reads: %v", err)
	}
	if err := r.do(t.Context(), func() error { return nil }); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
