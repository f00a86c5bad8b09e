package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestThrottleWarning: waits that brokers ask for are warned of once they add up to a
// second, and at most once a minute.
func TestThrottleWarning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := newClientMetrics(prometheus.NewRegistry(), zerolog.New(&log))
		cl, err := kgo.NewClient(kgo.WithHooks(m))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		lines := func(wait time.Duration, times int) int {
			log.Reset()
			for range times {
				m.OnBrokerThrottle(kgo.BrokerMetadata{NodeID: 1}, wait, true)
			}
			return strings.Count(log.String(), "\n")
		}
		if n := lines(time.Millisecond, 100); n != 0 {
			t.Errorf("%d warnings of a tenth of a second", n)
		}
		if n := lines(42*time.Second, 100); n != 1 {
			t.Errorf("%d warnings of long waits, want one", n)
		}
		if !strings.Contains(log.String(), "the broker makes this client wait 42s: a quota of its user or client id") {
			t.Errorf("it says\n%s", log.String())
		}
		time.Sleep(throttledEvery)
		if n := lines(time.Millisecond, 1); n != 1 { // what was waited for since
			t.Errorf("%d warnings a minute later, want one", n)
		}
	})
}
