package consoletest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	screenshots = flag.Bool("screenshots", false, "write the pictures of the README and of docs/console.md")
	allShots    = flag.String("shots", "", "folder for pictures of every page, at both widths and in both themes")
)

const (
	pictures = "../../../docs/console"
	// maxPicture bounds the file of a picture.
	maxPicture = 150 << 10
)

// sample fills an embedded broker, which keeps the times that records come with, with
// what an operator may see on a busy day.
func sample(t *testing.T, s *service) {
	t.Helper()
	random := rand.New(rand.NewPCG(17, 0))
	now := time.Now()
	var records []*kgo.Record
	wait := func(level string, length time.Duration, in func(minute int) int) {
		for minute := range 60 {
			for i := range in(minute) {
				at := now.Add(time.Duration(minute)*time.Minute + time.Duration(i)*time.Millisecond - length)
				if at.After(now) {
					continue
				}
				r := rec("delay.level."+level, fmt.Sprint(random.IntN(1000)), "{}", "delay-target", "orders")
				r.Timestamp = at
				records = append(records, r)
			}
		}
	}
	flat := func(n int) func(int) int {
		return func(minute int) int {
			if minute == 0 {
				return 0
			}
			return n/2 + random.IntN(n)
		}
	}
	wait("2h", 2*time.Hour, func(m int) int {
		if m == 22 {
			return 9000 // everybody's reminder at the full hour
		}
		return flat(500)(m)
	})
	wait("1h", time.Hour, flat(700))
	wait("30m", 30*time.Minute, flat(400))
	wait("10m", 10*time.Minute, flat(600))
	wait("5m", 5*time.Minute, flat(300))
	// Alone, so that it is the first dead letter, which has a picture.
	send(t, s.brokers, rec("delay.inbox", "order-4711", `{"order":4711,"remind":"payment","amount":129.9,"currency":"EUR"}`, "delay-level", "45 minutes", "delay-target", "orders", "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
	s.await(t, "the first letter is dead", func() bool {
		var l struct {
			Status struct{ Dead struct{ Pending int } }
		}
		s.get(t, "/api/v1/levels", &l)
		return l.Status.Dead.Pending == 1
	})
	records = append(records,
		rec("delay.inbox", "order-4711", `{"order":4711,"remind":"survey","locale":"de-AT"}`, "delay-for", "47m", "delay-target", "orders", "delay-id", "survey-4711"),
		rec("delay.inbox", "order-4712", `{"order":4712}`, "delay-level", "10s"),
		rec("delay.inbox", "user-9", `{"user":9,"mail":"welcome"}`, "delay-level", "1m", "delay-target", "delay.inbox"),
		rec("delay.inbox", "order-4713", `{"order":4713}`, "delay-level", "5m", "delay-target", "orders", "delay-partition", "first"),
		rec("delay.inbox", "x", "<script>alert(1)</script>\x1b[2J\u202e", "delay-level", "<img src=x onerror=alert(2)>", "delay-target", "orders"),
		rec("delay.inbox", "user-12", `{"user":12}`, "Delay-Level", "5m", "delay-target", "mails"),
	)
	s.call(t, "pause", map[string]string{"target": "mails", "reason": "provider is down, ticket 8812"})
	for i := range 240 {
		records = append(records, rec("delay.inbox", fmt.Sprint("user-", i), "{}", "delay-level", "1s", "delay-target", "mails"))
	}
	for i := range 3000 {
		records = append(records, rec("delay.inbox", fmt.Sprint("order-", i), "{}", "delay-level", "1s", "delay-target", "orders"))
	}
	send(t, s.brokers, records...)
	s.await(t, "mails are parked", func() bool {
		var targets struct{ Parked int }
		s.get(t, "/api/v1/targets", &targets)
		return targets.Parked >= 240
	})
}

// call sends an action with the token.
func (s *service) call(t *testing.T, action string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/v1/"+action, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("POST %s: %s", action, resp.Status)
	}
}

// shownPages are the pages, and what is there when one is complete.
var shownPages = []struct{ name, path, ready string }{
	{"levels", "./", "#levels tbody tr"},
	{"due", "due", "#chart canvas"},
	{"targets", "targets", "#lateness"},
	{"deadletters", "deadletters", "#letters tbody tr"},
	{"find", "find?id=survey-4711&key=order-4711&around=10m", "#found .waiting"},
	{"record", "record?at=delay.dead/0/0", ".facts"},
	{"level", "level?level=1h", "main tbody tr"},
	{"instances", "instances", "#instances h2"},
	{"drift", "drift", "#drift"},
	{"login", "login", "#token"},
	{"pause", "pause?level=5m", "#reason"},
	{"resend", "resend", "table"},
}

// TestLooks looks at every page at both widths and in both themes: nothing is wider than
// the screen, axe finds nothing serious, and no page does anything wrong. With
// -screenshots it writes the pictures of the docs.
func TestLooks(t *testing.T) {
	t.Parallel()
	s := serve(t, "--embedded", "--embedded-addr", "127.0.0.1:0", "--data", "")
	s.brokers = s.logged(t, "addr", "the embedded broker is for trying out and tests")
	sample(t, s)
	b := open(t)
	b.signIn(t, s)
	axe, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("%v: run npm ci in consoletest", err)
	}
	shooting := *screenshots || *allShots != ""
	if shooting {
		time.Sleep(10 * time.Second) // until rates are over their whole window
	}
	for _, l := range everyLook {
		b.look(t, l)
		for _, p := range shownPages {
			t.Run(p.name+"-"+l.name, func(t *testing.T) {
				b.do(t, chromedp.Navigate(s.url+"/console/"+p.path), chromedp.WaitVisible(chromedp.CSS(p.ready)))
				if p.name == "due" {
					b.await(t, "document.getElementById('readout').textContent.length > 10 && !document.getElementById('duehead').textContent.includes('Counting')")
					b.do(t, chromedp.Focus(chromedp.CSS("#chart")))
					for range map[bool]int{true: 22, false: 2}[shooting] {
						b.do(t, chromedp.KeyEvent(kb.ArrowRight)) // ArrowRight
					}
				}
				if w := eval[int](t, b, "document.documentElement.scrollWidth"); w > int(l.width) {
					t.Errorf("the page is %d pixels wide, the screen %d", w, l.width)
				}
				b.noFaults(t)
				if l == everyLook[0] || l == everyLook[3] { // both widths, both themes
					b.accessible(t, string(axe))
				}
				b.picture(t, p.name, l)
			})
		}
	}
}

// accessible fails where axe finds something serious against WCAG 2.1 A or AA.
func (b *browser) accessible(t *testing.T, axe string) {
	t.Helper()
	b.do(t, chromedp.Evaluate[chromedp.Void](axe))
	found := eval[[]struct {
		ID, Impact, Help string
		Nodes            []struct{ HTML, FailureSummary string }
	}](t, b, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}).then(r => r.violations.map(v => ({ID: v.id, Impact: v.impact, Help: v.help, Nodes: v.nodes.map(n => ({HTML: n.html, FailureSummary: n.failureSummary}))})))`)
	for _, v := range found {
		if v.Impact != "serious" && v.Impact != "critical" {
			t.Logf("axe: %s (%s) %s", v.ID, v.Impact, v.Help)
			continue
		}
		t.Errorf("axe: %s (%s) %s", v.ID, v.Impact, v.Help)
		for _, n := range v.Nodes[:min(3, len(v.Nodes))] {
			t.Errorf("  %s\n  %s", n.HTML, n.FailureSummary)
		}
	}
}

// picture writes what the page looks like, where a flag asks for it.
func (b *browser) picture(t *testing.T, name string, l looks) {
	t.Helper()
	docs := *screenshots && (l.name == "wide-light" && name != "login" || l.name == "narrow-dark" && name == "due")
	if !docs && *allShots == "" {
		return
	}
	shot := run(t, b, chromedp.CaptureScreenshot())
	if *allShots != "" {
		write(t, filepath.Join(*allShots, name+"-"+l.name+".png"), shot)
	}
	if docs {
		if l.dark {
			name += "-narrow"
		}
		small := fewColours(t, shot)
		if len(small) > maxPicture {
			t.Errorf("the picture of %s has %d bytes, more than %d", name, len(small), maxPicture)
		}
		write(t, filepath.Join(pictures, name+".png"), small)
	}
}

func write(t *testing.T, path string, body []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, body, 0o644); err != nil {
		t.Fatal(err)
	}
}

// fewColours is a picture with the 256 colours that it has the most of, which is all of
// them but some of the edges of letters: a third of the size.
func fewColours(t *testing.T, shot []byte) []byte {
	t.Helper()
	full, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[color.RGBA]int)
	for y := full.Bounds().Min.Y; y < full.Bounds().Max.Y; y++ {
		for x := full.Bounds().Min.X; x < full.Bounds().Max.X; x++ {
			r, g, b, _ := full.At(x, y).RGBA()
			counts[color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 255}]++
		}
	}
	var palette color.Palette
	for len(palette) < 256 && len(counts) > 0 {
		var most color.RGBA
		n := 0
		for c, m := range counts {
			if m > n || m == n && less(c, most) {
				most, n = c, m
			}
		}
		delete(counts, most)
		palette = append(palette, most)
	}
	out := image.NewPaletted(full.Bounds(), palette)
	draw.Draw(out, out.Bounds(), full, full.Bounds().Min, draw.Src)
	var buf bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&buf, out); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func less(a, b color.RGBA) bool {
	return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) < 0
}
