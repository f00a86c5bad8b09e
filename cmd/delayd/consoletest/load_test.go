//go:build realkafka

package consoletest

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/kafkatest"
)

var load = flag.Duration("load", 0, "how long 20 consoles are open beside a load, and as long before without them; 0 is not at all")

// TestLoad prints what 20 open consoles cost beside 2,000 records a second: requests to
// the broker, and lateness by the service's own histogram.
func TestLoad(t *testing.T) {
	if *load == 0 {
		t.Skip("a measurement: set -load 5m")
	}
	cluster := kafkatest.Start(t, func(c *kafkatest.Config) { c.Proxied = true })
	brokers, route := cluster.Brokers()[0], cluster.Routes()[0]
	var requests atomic.Int64
	countRequests(t, route, &requests)
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 4, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--brokers", route.Advertised)
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			for range 20 {
				n++
				level := "1s"
				if n%20 == 0 {
					level = "1h" // for the coming hour
				}
				cl.Produce(t.Context(), rec("delay.level."+level, strconv.Itoa(n), "{}", "delay-target", "orders"), nil)
			}
		}
	}()
	defer close(done)
	time.Sleep(20 * time.Second)
	t.Logf("without a console: %s", s.measure(t, &requests, *load))
	b := open(t)
	b.do(t, chromedp.Navigate(s.url+"/console/due"))
	for i := range 19 {
		ctx, cancel := chromedp.NewContext(b.ctx)
		t.Cleanup(cancel)
		if err := chromedp.Do(ctx, chromedp.Navigate(s.url+"/console/"+[]string{"", "due", "targets", "deadletters", "instances"}[i%5])); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("with 20 consoles: %s", s.measure(t, &requests, *load))
}

// countRequests passes on what a client sends to the advertised address, and counts the
// requests in it: each begins with its length.
func countRequests(t *testing.T, route kafkatest.Route, n *atomic.Int64) {
	ln, err := net.Listen("tcp", route.Advertised)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", route.Node)
			if err != nil {
				from.Close()
				continue
			}
			go func() { io.Copy(from, to); from.Close() }()
			go func() {
				defer to.Close()
				for in := bufio.NewReader(from); ; {
					size, err := in.Peek(4)
					if err != nil {
						return
					}
					n.Add(1)
					if _, err := io.CopyN(to, in, 4+int64(binary.BigEndian.Uint32(size))); err != nil {
						return
					}
				}
			}()
		}
	}()
}

// measure is what happens in some time: requests a second, and lateness.
func (s *service) measure(t *testing.T, requests *atomic.Int64, d time.Duration) string {
	before, began := s.metrics(t), requests.Load()
	time.Sleep(d)
	after, sent := s.metrics(t), requests.Load()-began
	delivered := 0.0
	late := map[string]float64{}
	for name, v := range after {
		v -= before[name]
		switch {
		case strings.HasPrefix(name, "delayd_lateness_seconds_count") && strings.Contains(name, `level="1s"`):
			delivered += v
		case strings.HasPrefix(name, "delayd_lateness_seconds_bucket") && strings.Contains(name, `level="1s"`):
			late[name] += v
		}
	}
	within := func(bound string) float64 {
		for name, v := range late {
			if strings.Contains(name, `le="`+bound+`"`) {
				return 100 * v / delivered
			}
		}
		return -1
	}
	return fmt.Sprintf("%.1f requests a second, %.0f records delivered a second, of which within 5 ms %.1f %%, 10 ms %.1f %%, 50 ms %.2f %%",
		float64(sent)/d.Seconds(), delivered/d.Seconds(), within("0.005"), within("0.01"), within("0.05"))
}

func (s *service) metrics(t *testing.T) map[string]float64 {
	resp, err := http.Get(s.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	values := make(map[string]float64)
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if i := strings.LastIndexByte(lines.Text(), ' '); i > 0 && !strings.HasPrefix(lines.Text(), "#") {
			values[lines.Text()[:i]], _ = strconv.ParseFloat(lines.Text()[i+1:], 64)
		}
	}
	return values
}
