package main

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/cancel"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// TestAdminCancel: the command writes a cancel to the inbox, with the key that was given or
// none, and says where. Without the topics that it needs it says that nothing is cancelled.
func TestAdminCancel(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	succeed(t, "", "admin", "provision", "--levels", "5s", "--partitions", "1", "--brokers", broker)
	if out := succeed(t, "", "admin", "cancel", "invoice-42", "--key", "a", "--brokers", broker); !strings.Contains(out, "accepted as delay.inbox/0/0") {
		t.Errorf("output %q", out)
	}
	succeed(t, "", "admin", "cancel", "invoice-43", "--brokers", broker, "-o", "json")
	if code, _, stderr := runDelayd(t, "", "admin", "cancel", "", "--brokers", broker); code != exitUsage || !strings.Contains(stderr, "the id is empty") {
		t.Errorf("an empty id: exit code %d, %s", code, stderr)
	}
	cl := producer(t, broker)
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, "shop.inbox"); err != nil { // as of a version without cancels
		t.Fatal(err)
	}
	for prefix, missing := range map[string]string{"dleay": "dleay.inbox", "shop": "shop.cancel"} {
		code, stdout, stderr := runDelayd(t, "", "admin", "cancel", "invoice-42", "--prefix", prefix, "--brokers", broker)
		want := "delayd: nothing is cancelled: topic " + missing + " does not exist: check --prefix; delayd admin provision creates it\n"
		if code != exitFailure || stdout != "" || stderr != want {
			t.Errorf("%s: exit code %d\n%s%s\nwant %s", prefix, code, stdout, stderr, want)
		}
	}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{"delay.inbox": {0: kgo.NewOffset().AtStart()}})
	var got []string
	for len(got) < 2 {
		cl.PollFetches(t.Context()).EachRecord(func(rec *kgo.Record) {
			id, _ := record.Last(rec.Headers, levels.HeaderCancel)
			key := "none"
			if rec.Key != nil {
				key = string(rec.Key)
			}
			got = append(got, string(id)+" "+key)
		})
	}
	if want := "invoice-42 a, invoice-43 none"; strings.Join(got, ", ") != want {
		t.Errorf("on the inbox: %v, want %s", got, want)
	}
}

// TestStatusShowsCancels: what is cancelled is counted, in words and as JSON.
func TestStatusShowsCancels(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	succeed(t, "", "admin", "provision", "--levels", "5s", "--brokers", broker)
	cl := producer(t, broker)
	for range 3 {
		mark := cancel.Mark{Name: cancel.NameOf([]byte("a"), []byte("k")), At: 1}
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "delay.cancel", Value: []byte(mark.String())}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if out := succeed(t, "", "admin", "status", "--levels", "5s", "--brokers", broker); !strings.Contains(out, "cancels pending: 3") {
		t.Errorf("status\n%s", out)
	}
	if out := succeed(t, "", "admin", "status", "--levels", "5s", "--brokers", broker, "-o", "json"); !strings.Contains(out, `"cancels_pending":3`) {
		t.Errorf("status\n%s", out)
	}
}
