package router

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/metrics"
)

// A request that is shortened is logged as it was written.
func TestClampedAsWritten(t *testing.T) {
	for _, asked := range []string{"20", "181m"} {
		var log bytes.Buffer
		w := &worker{policy: *defaults(), metrics: metrics.New(nil), clamps: zerolog.New(&log)}
		rec := &kgo.Record{Topic: "delay.inbox", Headers: headers("delay-level", asked, "delay-target", "orders")}
		d := w.policy.Decide(rec, acceptedAt)
		w.observe(rec, &d)
		if want := `"asked":"\"` + asked + `\"","granted":"2h"`; !strings.Contains(log.String(), want) {
			t.Errorf("%s: logged %s, want %s", asked, log.String(), want)
		}
	}
}
