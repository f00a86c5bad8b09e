package consoletest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/delayd-io/delayd/cmd/delayd/internal/console"
)

// TestVendored compares the embedded chart library with the package that the lock file
// names.
func TestVendored(t *testing.T) {
	for embedded, of := range map[string]string{"uplot.js": "dist/uPlot.iife.min.js", "uplot.css": "dist/uPlot.min.css", "uplot.LICENSE": "LICENSE"} {
		have, err := os.ReadFile("../internal/console/assets/" + embedded)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile("node_modules/uplot/" + of)
		if err != nil {
			t.Fatalf("%v: run npm ci in consoletest", err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("cmd/delayd/internal/console/assets/%s is not uplot's %s: copy it", embedded, of)
		}
	}
}

// TestOpenAPI checks the document, and every answer of the API against it.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(console.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	doc.Servers = nil // relative to where it is served
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--embedded", "--embedded-addr", "127.0.0.1:0", "--data", "")
	s.brokers = s.logged(t, "addr", "the embedded broker is for trying out and tests")
	sample(t, s)
	asked := make(map[string]bool)
	for _, tc := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/api/v1/levels", "", 200},
		{"GET", "/api/v1/due", "", 200},
		{"GET", "/api/v1/targets", "", 200},
		{"GET", "/api/v1/deadletters?limit=2", "", 200},
		{"GET", "/api/v1/deadletters?code=bad-level&target=orders&since=2026-01-01T00:00:00Z", "", 200},
		{"GET", "/api/v1/deadletters?code=x", "", 400},
		{"GET", "/api/v1/next?level=1h", "", 200},
		{"GET", "/api/v1/next?level=x", "", 400},
		{"GET", "/api/v1/find?id=delay.dead-0-0-1", "", 200},
		{"GET", "/api/v1/find?id=delay.inbox-0-0-1700000000000&target=orders&key=k&around=2h&within=5m", "", 200},
		{"GET", "/api/v1/find", "", 400},
		{"GET", "/api/v1/find?id=x&target=delay.dead", "", 400},
		{"GET", "/api/v1/find?id=x&around=soon", "", 400},
		{"GET", "/api/v1/record?at=delay.dead/0/0", "", 200},
		{"GET", "/api/v1/record?at=delay.level.1h/0/0", "", 200},
		{"GET", "/api/v1/record?at=delay.dead/0/9999", "", 404},
		{"GET", "/api/v1/record?at=x", "", 400},
		{"GET", "/api/v1/instances", "", 200},
		{"GET", "/api/v1/drift", "", 200},
		{"GET", "/api/v1/job", "", 404},
		{"POST", "/api/v1/pause", `{"level":"5m","reason":"a test"}`, 200},
		{"POST", "/api/v1/resume", `{"level":"5m"}`, 200},
		{"POST", "/api/v1/resume", `{}`, 400},
		{"POST", "/api/v1/resend", `{"code":["bad-level"],"level":"1s","to":"orders"}`, 200},
		{"POST", "/api/v1/resend", `{"offset":[9999]}`, 404},
		{"POST", "/api/v1/resend", `{"code":["bad-level"],"confirm":99}`, 409},
		{"GET", "/api/v1/levels", "", 200},
	} {
		req := httptest.NewRequestWithContext(t.Context(), tc.method, tc.path, strings.NewReader(tc.body))
		if tc.method == http.MethodPost {
			req.Header.Set("Authorization", "Bearer "+token)
			req.Header.Set("Content-Type", "application/json")
		}
		route, params, err := router.FindRoute(req)
		if err != nil {
			t.Errorf("%s %s: %v", tc.method, tc.path, err)
			continue
		}
		asked[route.Path+" "+route.Method] = true
		in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route,
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}}
		if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil && tc.want < 400 {
			t.Errorf("%s %s: the document refuses the request: %v", tc.method, tc.path, err)
		}
		status, head, body := s.do(t, tc.method, tc.path, tc.body)
		if status != tc.want {
			t.Errorf("%s %s: %d %s, want %d", tc.method, tc.path, status, body, tc.want)
		}
		out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: status, Header: head, Options: in.Options}
		out.SetBodyBytes(body)
		if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
			t.Errorf("%s %s: the document refuses the answer: %v\n%s", tc.method, tc.path, err, body)
		}
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			if !asked[path+" "+method] {
				t.Errorf("%s %s is not asked by this test", method, path)
			}
		}
	}
	if status, _, body := s.do(t, "GET", "/api/v1/openapi.yaml", ""); status != http.StatusOK || !bytes.Equal(body, console.OpenAPI()) {
		t.Errorf("the document is not served: %d", status)
	}
}

// do sends a request with the token where something is to be changed.
func (s *service) do(t *testing.T, method, path, body string) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, answer
}
