//go:build realkafka

package consoletest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/cmd/delayd/internal/console"
	"github.com/delayd-io/delayd/internal/kafkatest"
)

const hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b[2J\u202egnp"

// admin runs `delayd admin` and reads what it prints as JSON, line by line.
func (s *service) admin(t *testing.T, into func([]byte), args ...string) {
	t.Helper()
	out, err := exec.Command(s.binary, append([]string{"admin"}, append(args, "--brokers", s.brokers, "-o", "json")...)...).Output()
	if err != nil {
		t.Fatalf("delayd admin %v: %v", args, err)
	}
	into(out)
}

// tabTo presses Tab until the element of a selector has the focus.
func (b *browser) tabTo(t *testing.T, selector string) {
	t.Helper()
	for range 100 {
		if eval[bool](t, b, fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
			return
		}
		b.do(t, chromedp.KeyEvent(kb.Tab))
	}
	t.Fatalf("Tab does not lead to %s", selector)
}

func (b *browser) press(t *testing.T, keys string) {
	t.Helper()
	b.do(t, chromedp.KeyEvent(keys))
}

// TestConsole goes through the console as an operator does, on a real Kafka.
func TestConsole(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	brokers := cluster.Brokers()[0]
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--brokers", brokers, "--levels", "1s 5s 10m 1h", "--partitions", "2")
	s.brokers = brokers
	var records []*kgo.Record
	for i := range 300 {
		records = append(records, rec("delay.level.1h", fmt.Sprint(i), "{}", "delay-target", "orders"), rec("delay.inbox", fmt.Sprint(i), "{}", "delay-target", "orders", "delay-level", []string{"1s", "10m"}[i%2]))
	}
	records = append(records,
		rec("delay.inbox", hostile, hostile, "delay-level", hostile, "delay-target", "orders", "delay-id", hostile),
		rec("delay.inbox", "k", "v", "delay-level", "soon", "delay-target", "orders"),
		rec("delay.inbox", "k", "v", "delay-level", "1s", "delay-target", "nowhere"))
	send(t, brokers, records...)

	b := open(t)
	b.do(t, chromedp.Navigate(s.url+"/console"))
	b.await(t, "document.title.startsWith('Levels')")

	t.Run("says what status says", func(t *testing.T) {
		var status admin.Status
		var levels console.Levels
		s.await(t, "the console and status say the same", func() bool {
			s.admin(t, func(out []byte) {
				if err := json.Unmarshal(out, &struct {
					Inbox, Parked, Dead *admin.TopicStatus
					Levels              *[]admin.TopicStatus
				}{&status.Inbox, &status.Parked, &status.Dead, &status.Levels}); err != nil {
					t.Fatal(err)
				}
			}, "status")
			var raw struct {
				Status struct {
					Inbox, Parked, Dead admin.TopicStatus
					Levels              []admin.TopicStatus
				}
			}
			s.get(t, "/api/v1/levels", &raw)
			levels.Status = admin.Status{Inbox: raw.Status.Inbox, Parked: raw.Status.Parked, Dead: raw.Status.Dead, Levels: raw.Status.Levels}
			return status.Dead.Pending == 2 && status.Parked.Pending == 1 && pending(status) == pending(levels.Status) && strings.HasPrefix(pending(status), "1s 0, 5s 0, 10m 150, 1h 300")
		})
		b.await(t, `[...document.querySelectorAll("#levels tbody tr")].some(r => r.cells[0].textContent === "1h" && r.cells[1].textContent === "300")`)
	})

	t.Run("the coming hour is a count of the topics", func(t *testing.T) {
		var due struct {
			From   time.Time
			Levels []admin.ComingLevel
		}
		s.get(t, "/api/v1/due", &due)
		want := make(map[string][]int64)
		for level, length := range map[string]time.Duration{"1h": time.Hour, "10m": 10 * time.Minute} {
			want[level] = make([]int64, admin.ComingMinutes)
			for _, r := range readAll(t, brokers, "delay.level."+level) {
				if minute := int(r.Timestamp.Add(length+time.Millisecond).Sub(due.From) / time.Minute); minute < admin.ComingMinutes {
					want[level][minute]++
				}
			}
		}
		got := make(map[string][]int64)
		for _, l := range due.Levels {
			got[l.Level] = l.Records
		}
		for level := range want {
			sum := int64(0)
			for _, n := range want[level] {
				sum += n
			}
			if fmt.Sprint(got[level]) != fmt.Sprint(want[level]) && !(sum == 0 && got[level] == nil) {
				t.Errorf("level %s: %v, want %v", level, got[level], want[level])
			}
		}
		b.do(t, chromedp.Navigate(s.url+"/console/due"), chromedp.WaitVisible(chromedp.CSS("#chart canvas")), chromedp.Focus(chromedp.CSS("#chart")))
		b.press(t, kb.End)
		last := eval[string](t, b, `document.getElementById("chart").getAttribute("aria-valuetext")`)
		if at := eval[string](t, b, `document.getElementById("chart").getAttribute("aria-valuenow")`); at != "59" || !strings.Contains(last, "due") {
			t.Errorf("End leads to minute %s: %q", at, last)
		}
	})

	t.Run("a hostile dead letter is text", func(t *testing.T) {
		for _, page := range []string{"deadletters", "record?at=delay.dead/0/0", "record?at=delay.dead/0/1", "find?id=" + url.QueryEscape(hostile)} {
			b.do(t, chromedp.Navigate(s.url+"/console/"+page), chromedp.WaitVisible(chromedp.CSS("main")))
			if n := eval[int](t, b, `document.querySelectorAll("main script, main img").length`); n > 0 {
				t.Errorf("%s has %d elements of the record's", page, n)
			}
			if text := eval[string](t, b, "document.body.innerText"); strings.ContainsAny(text, "\x1b\u202e") {
				t.Errorf("%s has what a terminal or a reader acts on: %q", page, text)
			}
			if w := eval[int](t, b, "document.documentElement.scrollWidth"); w > 1280 {
				t.Errorf("%s is %d pixels wide", page, w)
			}
		}
	})

	t.Run("an unavailable target is named", func(t *testing.T) {
		b.do(t, chromedp.Navigate(s.url+"/console/targets"))
		b.await(t, `document.getElementById("parkedtargets").innerText.includes("nowhere") && document.getElementById("parkedtargets").innerText.includes("unavailable")`)
	})

	t.Run("a record is found, with the keyboard alone", func(t *testing.T) {
		waits := readAll(t, brokers, "delay.level.1h")[0]
		id := fmt.Sprintf("%s-%d-%d-%d", waits.Topic, waits.Partition, waits.Offset, waits.Timestamp.UnixMilli())
		b.do(t, chromedp.Navigate(s.url+"/console/"), chromedp.WaitVisible(chromedp.CSS("#levels")))
		b.tabTo(t, `nav a[href="find"]`)
		b.press(t, kb.Enter)
		b.await(t, `document.activeElement.id === "id"`)
		b.press(t, id+kb.Enter)
		b.await(t, `document.querySelector("#found .waiting")`)
		at := fmt.Sprintf("%s/%d/%d", waits.Topic, waits.Partition, waits.Offset)
		text := eval[string](t, b, "document.getElementById('found').innerText")
		if !strings.Contains(text, at) || !strings.Contains(text, "on level 1h") || !strings.Contains(text, "orders") {
			t.Errorf("the page says %q", text)
		}
		var found, cli struct {
			State   string
			Read    int
			Records []struct {
				Topic  string
				Offset int64
				Due    time.Time
			}
		}
		s.get(t, "/api/v1/find?id="+id, &found)
		s.admin(t, func(out []byte) {
			if err := json.Unmarshal(out, &cli); err != nil {
				t.Fatal(err)
			}
		}, "find", id)
		if found.State != "waiting" || fmt.Sprint(found) != fmt.Sprint(cli) || found.Read > 10 {
			t.Errorf("the API says %+v, the command %+v", found, cli)
		}
		// One that was delivered is found on its target, and one that died by what it says.
		sent := readAll(t, brokers, "orders")[0]
		for _, h := range sent.Headers {
			if h.Key == "delay-id" {
				s.get(t, "/api/v1/find?target=orders&id="+url.QueryEscape(string(h.Value)), &found)
			}
		}
		if found.State != "delivered" || found.Records[0].Topic != "orders" || found.Records[0].Offset != sent.Offset {
			t.Errorf("of a delivered record the API says %+v", found)
		}
		s.get(t, "/api/v1/find?id="+url.QueryEscape(hostile), &found)
		if found.State != "dead" {
			t.Errorf("of the hostile letter the API says %+v", found)
		}
	})

	t.Run("the wrong token is refused", func(t *testing.T) {
		b.do(t, chromedp.Navigate(s.url+"/console/login"), chromedp.SendKeys(chromedp.CSS("#token"), "wrong\r"))
		b.await(t, `document.body.innerText.includes("not the token")`)
	})

	t.Run("with the keyboard alone, and two viewers", func(t *testing.T) {
		other := open(t)
		other.do(t, chromedp.Navigate(s.url+"/console/"))
		b.do(t, chromedp.Navigate(s.url+"/console/"), chromedp.WaitVisible(chromedp.CSS("#levels")))
		b.tabTo(t, `a[href^="login"]`)
		b.press(t, kb.Enter)
		b.await(t, `document.getElementById("token")`)
		b.tabTo(t, "#name")
		b.press(t, "night shift")
		b.tabTo(t, "#token")
		b.press(t, token+kb.Enter)
		b.await(t, `document.querySelector("form[action=logout]")`)
		b.tabTo(t, `a[href="pause?level=1h"]`)
		b.press(t, kb.Enter)
		b.await(t, `document.getElementById("reason")`)
		if text := eval[string](t, b, "document.querySelector('main').innerText"); !strings.Contains(text, "300 records wait on level 1h") {
			t.Errorf("the preview says %q", text)
		}
		b.tabTo(t, "#reason")
		b.press(t, "ticket 8812"+kb.Enter)
		b.await(t, `document.getElementById("overview").innerText.includes("ticket 8812")`)
		// The other viewer sees it without loading the page again.
		other.await(t, `document.getElementById("overview").innerText.includes("ticket 8812")`)
		s.admin(t, func(out []byte) {
			if !strings.Contains(string(out), `"reason": "ticket 8812"`) && !strings.Contains(string(out), `"reason":"ticket 8812"`) {
				t.Errorf("status does not say that it is paused: %s", out)
			}
		}, "status")
		b.tabTo(t, `a[href="resume?level=1h"]`)
		b.press(t, kb.Enter)
		b.await(t, `document.querySelector("form[action=resume] button")`)
		b.tabTo(t, "form[action=resume] button")
		b.press(t, kb.Enter)
		other.await(t, `!document.getElementById("overview").innerText.includes("ticket 8812")`)
		s.logged(t, "by", "console action")
		other.noFaults(t)
	})

	t.Run("dead letters are sent again", func(t *testing.T) {
		b.do(t, chromedp.Navigate(s.url+"/console/deadletters"), chromedp.WaitVisible(chromedp.CSS("#letters")))
		b.do(t, chromedp.Navigate(s.url+"/console/resend?code=bad-level&level=1s"), chromedp.WaitVisible(chromedp.CSS("#confirm")))
		if text := eval[string](t, b, "document.querySelector('main').innerText"); !strings.Contains(text, "Type 2 to send") {
			t.Errorf("the preview says %q", text)
		}
		b.do(t, chromedp.SendKeys(chromedp.CSS("#confirm"), "2\r"))
		b.await(t, `document.getElementById("job")?.innerText.includes("Done")`)
		s.admin(t, func(out []byte) {
			if n := strings.Count(string(out), `"sent_again"`); n != 2 {
				t.Errorf("%d letters were sent again, want 2: %s", n, out)
			}
		}, "dead", "list")
	})

	t.Run("behind a proxy with a path", func(t *testing.T) {
		to, err := url.Parse(s.url)
		if err != nil {
			t.Fatal(err)
		}
		proxy := httptest.NewServer(http.StripPrefix("/ops/delayd", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.SetXForwarded()
			r.Out.Header.Set("X-Forwarded-Prefix", "/ops/delayd")
		}}))
		defer proxy.Close()
		p := open(t)
		p.do(t, chromedp.Navigate(proxy.URL+"/ops/delayd/console"))
		p.await(t, `document.title.startsWith('Levels')`)
		p.do(t, chromedp.Click(chromedp.CSS(`nav a[href="due"]`)), chromedp.WaitVisible(chromedp.CSS("#chart canvas")))
		p.do(t, chromedp.Navigate(proxy.URL+"/ops/delayd/console/login?back=pause%3Flevel%3D5s"), chromedp.SendKeys(chromedp.CSS("#token"), token+"\r"), chromedp.WaitVisible(chromedp.CSS("#reason")))
		p.do(t, chromedp.SendKeys(chromedp.CSS("#reason"), "by proxy\r"))
		p.await(t, `document.getElementById("overview")?.innerText.includes("by proxy") && location.pathname === "/ops/delayd/console/"`)
		p.noFaults(t)
	})

	t.Run("the broker goes and comes back", func(t *testing.T) {
		b.do(t, chromedp.Navigate(s.url+"/console/"), chromedp.WaitVisible(chromedp.CSS("#levels")))
		if err := cluster.Kill(0); err != nil {
			t.Fatal(err)
		}
		b.await(t, `document.getElementById("overview").innerText.includes("brokers cannot be asked")`)
		if text := eval[string](t, b, `document.getElementById("levels").innerText`); !strings.Contains(text, "300") {
			t.Errorf("what was seen last is gone: %s", text)
		}
		if err := cluster.Start(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		b.await(t, `!document.getElementById("overview").innerText.includes("brokers cannot be asked")`)
	})
	b.noFaults(t)
	for _, line := range s.lines() {
		if strings.Contains(line, token) {
			t.Errorf("the log has the token: %s", line)
		}
	}
}

// pending is what waits, in words.
func pending(s admin.Status) string {
	var words []string
	for _, l := range s.Levels {
		words = append(words, fmt.Sprintf("%s %d", l.Level, l.Pending))
	}
	return strings.Join(words, ", ") + fmt.Sprintf(", inbox %d, parked %d, dead %d", s.Inbox.Pending, s.Parked.Pending, s.Dead.Pending)
}

// readAll reads all records of a topic.
func readAll(t *testing.T, brokers, topic string) (records []*kgo.Record) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	for int64(len(records)) < n {
		records = append(records, cl.PollFetches(t.Context()).Records()...)
	}
	return records
}
