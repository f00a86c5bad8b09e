package router

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/internal/record"
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

// A record without a time is due its level after it is first routed, with the same id
// each time.
func TestNoTimeIsNow(t *testing.T) {
	for _, now := range []time.Time{acceptedAt, acceptedAt.Add(time.Minute)} {
		rec := &kgo.Record{Topic: "delay.inbox", Timestamp: time.UnixMilli(-1), Headers: headers("delay-level", "10s", "delay-target", "orders")}
		d := defaults().Decide(rec, accepted(rec, now))
		id, _ := record.Last(d.Record.Headers, "delay-hop-id")
		if want := now.UnixMilli() + 10_001; d.Facts.Due != want || string(id) != "delay.inbox-0-0-0" {
			t.Errorf("routed at %v: due at %d with id %s, want %d", now, d.Facts.Due, id, want)
		}
	}
}
