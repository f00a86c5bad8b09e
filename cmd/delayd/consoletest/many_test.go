package consoletest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestManyLevels looks at the pages of a service with 64 levels and more bad targets than
// a page shows: nothing is wider than the screen, and the chart names the level that has
// most of the hour, however many shorter ones there are.
func TestManyLevels(t *testing.T) {
	t.Parallel()
	words := []string{"1s"}
	for minute := range 59 {
		words = append(words, fmt.Sprintf("%dm", minute+1))
	}
	words = append(words, "1h", "2h", "6h", "12h")
	s := serve(t, "--embedded", "--embedded-addr", "127.0.0.1:0", "--data", "", "--levels", strings.Join(words, " "))
	s.brokers = s.logged(t, "addr", "the embedded broker is for trying out and tests")
	now := time.Now()
	var records []*kgo.Record
	wait := func(level string, minute, n int) {
		length, err := time.ParseDuration(level)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			at := now.Add(time.Duration(minute)*time.Minute + time.Duration(i)*time.Millisecond - length)
			if at.After(now) {
				return
			}
			r := rec("delay.level."+level, fmt.Sprint(i), "{}", "delay-target", "orders")
			r.Timestamp = at
			records = append(records, r)
		}
	}
	for _, level := range words[11:] {
		for minute := 11; minute < 60; minute += 4 {
			n := 20
			if level == "12h" && minute == 23 {
				n = 2000
			}
			wait(level, minute, n)
		}
	}
	const bad = 60
	for i := range bad {
		target := fmt.Sprintf("team-%02d.mails", i)
		s.call(t, "pause", map[string]string{"target": target, "reason": "provider is down, ticket 8812"})
		records = append(records, rec("delay.inbox", "user", "{}", "delay-level", "1s", "delay-target", target))
	}
	send(t, s.brokers, records...)
	s.await(t, "mails are parked", func() bool {
		var targets struct{ Parked int }
		s.get(t, "/api/v1/targets", &targets)
		return targets.Parked == bad
	})
	b := open(t)
	b.signIn(t, s)
	for _, l := range []looks{everyLook[0], everyLook[3]} {
		b.look(t, l)
		for _, p := range shownPages {
			if p.name != "levels" && p.name != "due" && p.name != "targets" && p.name != "instances" {
				continue
			}
			t.Run(p.name+"-"+l.name, func(t *testing.T) {
				b.do(t, chromedp.Navigate(s.url+"/console/"+p.path), chromedp.WaitVisible(chromedp.CSS(p.ready)))
				if p.name == "due" {
					b.await(t, "document.getElementById('readout').textContent.length > 10 && !document.getElementById('duehead').textContent.includes('Counting')")
					names := strings.Split(eval[string](t, b, "[...document.querySelectorAll('#legend li')].map((e) => e.textContent).join()"), ",")
					if len(names) != 8 || names[6] != "12h" || !strings.HasSuffix(names[7], " others") {
						t.Errorf("the legend is %v; want 12h, which has the most, and the others in one", names)
					}
				}
				if w := eval[int](t, b, "document.documentElement.scrollWidth"); w > int(l.width) {
					t.Errorf("the page is %d pixels wide, the screen %d", w, l.width)
				}
				b.noFaults(t)
				if *allShots != "" {
					eval[bool](t, b, "[...document.querySelectorAll('main > details')].map((d) => d.open = true).length >= 0")
					write(t, filepath.Join(*allShots, "many-"+p.name+"-"+l.name+".png"), run(t, b, chromedp.FullScreenshot(100)))
				}
			})
		}
	}
}
