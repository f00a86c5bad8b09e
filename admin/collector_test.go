package admin

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// gather scrapes a collector: one line per metric, sorted.
func gather(t *testing.T, c *Collector) []string {
	t.Helper()
	var got []string
	for _, f := range c.Gather() {
		for _, s := range f.Series {
			line := f.Name
			for i, label := range f.Labels {
				line += fmt.Sprintf("{%s=%q}", label, s.Values[i])
			}
			got = append(got, fmt.Sprint(line, " ", s.Value))
		}
	}
	slices.Sort(got)
	return got
}

// collector is one that ends with the test.
func collector(t *testing.T, cl *kgo.Client, spec Spec, log zerolog.Logger) *Collector {
	t.Helper()
	c := NewCollector(cl, spec, log)
	t.Cleanup(c.Close)
	return c
}

func TestCollector(t *testing.T) {
	t.Parallel()
	cl := writer(t, fake(t).ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	appendAt(t, cl, "delay.level.5s", 0, time.Now().Add(-time.Hour))
	appendAt(t, cl, "delay.level.1m", 0, time.Now())
	for i, topic := range []string{"delay.inbox", "delay.parked", "delay.dead"} {
		for range i + 3 {
			appendAt(t, cl, topic, 0, time.Now())
		}
	}
	spec.MaxCancels = 7
	appendAt(t, cl, "delay.cancel", 0, time.Now().Add(-40*24*time.Hour)) // counts no more
	for p := range int32(2) {
		appendAt(t, cl, "delay.cancel", p, time.Now())
	}
	want := []string{
		`delayd_cancels_max 7`,
		`delayd_cancels_outstanding 2`,
		`delayd_dead_records 5`,
		`delayd_due_within_records{level="1m"}{within="10m"} 1`,
		`delayd_due_within_records{level="1m"}{within="1h"} 1`,
		`delayd_due_within_records{level="1m"}{within="1m"} 1`,
		`delayd_due_within_records{level="5s"}{within="10m"} 0`,
		`delayd_due_within_records{level="5s"}{within="1h"} 0`,
		`delayd_due_within_records{level="5s"}{within="1m"} 0`,
		`delayd_held_records{level="1m"} 0`,
		`delayd_held_records{level="5s"} 0`,
		`delayd_held_records{level="inbox"} 0`,
		`delayd_overdue_records{level="1m"} 0`,
		`delayd_overdue_records{level="5s"} 1`,
		`delayd_pending_records{level="1m"} 1`,
		`delayd_pending_records{level="5s"} 1`,
		`delayd_pending_records{level="inbox"} 3`,
		`delayd_pending_records{level="parked"} 4`,
		`delayd_status_up 1`,
	}
	got := gather(t, collector(t, cl, spec, zerolog.Nop()))
	got = slices.DeleteFunc(got, func(line string) bool { return strings.HasPrefix(line, "delayd_status_age_seconds ") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// A transaction that its producer does not end holds up what comes behind it, and
// nothing in front of it.
func TestCollectorCountsWhatATransactionHolds(t *testing.T) {
	t.Parallel()
	broker := fake(t)
	cl := writer(t, broker.ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	const topic = "delay.level.5s"
	hung := client(t, broker.ListenAddrs(), kgo.TransactionalID("hung"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := hung.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	held := func(want string) {
		t.Helper()
		for _, line := range gather(t, collector(t, cl, spec, zerolog.Nop())) {
			if strings.HasPrefix(line, `delayd_held_records{level="5s"}`) && line != want {
				t.Errorf("%s, want %s", line, want)
			}
		}
	}
	appendAt(t, cl, topic, 0, time.Now())
	if err := hung.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: 0}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for p := range int32(2) { // behind it, and beside it
		appendAt(t, cl, topic, p, time.Now())
	}
	held(`delayd_held_records{level="5s"} 2`)
	if err := hung.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	held(`delayd_held_records{level="5s"} 0`)
}

func TestCollectorSaysThatTheBrokersDoNotAnswer(t *testing.T) {
	t.Parallel()
	broker := fake(t)
	cl := client(t, broker.ListenAddrs(), kgo.RequestRetries(0))
	broker.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		return nil, errors.New("closed"), true
	})
	var log bytes.Buffer
	c := collector(t, cl, small(t), zerolog.New(&log))
	for range 2 {
		if diff := cmp.Diff([]string{"delayd_status_up 0"}, gather(t, c)); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d log lines for two scrapes, want one:\n%s", n, &log)
	}
}
