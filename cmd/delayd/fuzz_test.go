package main

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// FuzzCommandLine parses words, one a line. Nothing is run: whatever they are, they
// are taken or refused with a reason.
func FuzzCommandLine(f *testing.F) {
	for _, words := range []string{
		"serve\n--brokers\nkafka:9092,[::1]:9092\n--levels\n1s 5s 1m\n--prefix\ndelay\n--purge-after\noff",
		"serve\n--brokers=\n--http\noff\n--tls\n--tls-ca\nca.pem\n--sasl\nplain\n--sasl-user\nme",
		"send\n--to\norders\n--delay\n45s\n--header\na=b\nvalue",
		"tail\norders\n-n\n3\n-o\njson",
		"admin\nprovision\n--partitions\n0\n--replicas\n-1",
		"bench\nsteady\n--rate\n-5\n--level\n1s 2s",
		"levels\n45m\n-1\n",
		"--help", "", "\x00", "serve\n--levels\n\xff\xfe", "send\n--\n--to", "serve\n--instance=\n--default-target\n..",
	} {
		f.Add(words)
	}
	f.Fuzz(func(t *testing.T, words string) {
		con := &console{in: strings.NewReader(""), out: io.Discard, err: io.Discard}
		parser, err := newParser(con, func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(strings.Split(words, "\n")); err != nil && strings.TrimSpace(withHelp(err).Error()) == "" {
			t.Fatal("refused without a reason")
		}
	})
}

// FuzzHTTP sends raw requests. No request without the token gets a profile, and none
// is given the token.
func FuzzHTTP(f *testing.F) {
	for _, request := range []string{
		"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /readyz HTTP/1.0\r\n\r\n",
		"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nAccept: application/openmetrics-text;q=2\r\n\r\n",
		"GET /debug/pprof/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \r\n\r\n",
		"GET /debug/pprof/../pprof/heap?debug=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Basic aGV5OnlvdQ==\r\n\r\n",
		"GET //debug//pprof/goroutine?debug=2 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /debug/pprof/%2e%2e/heap HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT /debug/pprof/heap HTTP/1.1\r\nHost: x\r\n\r\n",
		"HEAD /debug/pprof/heap HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		f.Add([]byte(request))
	}
	const token = "let-me-profile-48"
	ready := new(readiness)
	ready.when()
	handler := newHandler(ready, prometheus.NewRegistry(), true, token, nil)
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return
		}
		if req.Header.Get("Authorization") == "Bearer "+token {
			return
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		if strings.HasPrefix(req.URL.Path, "/debug") && w.Code == http.StatusOK {
			t.Fatalf("%s %s: %d %.100q", req.Method, req.URL, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), token) {
			t.Fatalf("%s %s: shows the token", req.Method, req.URL)
		}
	})
}

// FuzzArrival prints a record of any headers, key and value: a line of text, with
// nothing in it that a terminal would act on.
func FuzzArrival(f *testing.F) {
	f.Add([]byte("key"), []byte("value"), "delay-due", []byte("1700000000000"))
	f.Add([]byte("\x1b[2J"), []byte("a\nb"), "delay-error-detail", []byte("\x07\u202e"))
	f.Add([]byte(nil), []byte(nil), "delay-error", []byte("\xff"))
	f.Add([]byte(""), []byte(""), "delay-granted", []byte("10s\r"))
	f.Add([]byte(""), []byte(""), "delay-due", []byte("-9223372036854775808"))
	f.Fuzz(func(t *testing.T, key, value []byte, header string, text []byte) {
		rec := &kgo.Record{Key: key, Value: value, Timestamp: time.UnixMilli(1_700_000_000_000), Headers: []kgo.RecordHeader{
			{Key: "delay-error", Value: text}, {Key: header, Value: text},
		}}
		a := newArrival(rec, rec.Timestamp)
		line := a.String()
		if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x202e }) {
			t.Fatalf("prints %q", line)
		}
		if err := printJSON(io.Discard, a); err != nil {
			t.Fatal(err)
		}
	})
}
