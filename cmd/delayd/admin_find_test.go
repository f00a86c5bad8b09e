package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/find"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

func TestFind(t *testing.T) {
	t.Parallel()
	broker := letterBroker(t)
	cl := producer(t, broker)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const evil = "evil\x1b[2J\nforged"
	rec := record.Hop(&kgo.Record{Key: []byte("k"), Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: levels.HeaderTarget, Value: []byte("orders")}, {Key: levels.HeaderID, Value: []byte(evil)}}},
		"delay.level.5s", levels.Facts{Due: at.Add(10*time.Second + 1).UnixMilli(), Accepted: at.UnixMilli(), Granted: levels.GrantedExact, ID: "delay.inbox-0-7-1772366400000"})
	rec.Partition, rec.Timestamp = 0, at
	write(t, cl, rec)

	code, stdout, stderr := runDelayd(t, "", "admin", "find", "delay.inbox-0-7-1772366400000", "--levels", "5s", "--brokers", broker)
	want := `STATE    WHERE               SINCE                     DUE                       TARGET  KEY  VALUE  DETAIL
waiting  delay.level.5s/0/0  2026-03-01T12:00:00.000Z  2026-03-01T12:00:10.000Z  orders  k    v      on level 5s, step 1 of 2 to an exact time, until 2026-03-01T12:00:05.000Z
`
	if code != exitOK || stdout != want || !strings.HasPrefix(stderr, "read: ") {
		t.Errorf("exit code %d\n%s\nwant\n%s\n%s", code, stdout, want, stderr)
	}
	var r find.Result
	if err := json.Unmarshal([]byte(succeed(t, "", "admin", "find", evil, "--key", "k", "-o", "json", "--brokers", broker)), &r); err != nil || r.State != find.Waiting || r.Records[0].ID != evil || r.Records[0].Key.Text != "k" {
		t.Errorf("%+v, %v", r, err)
	}
	r = find.Result{}
	out := succeed(t, "", "admin", "find", "delay.inbox-1-0-7", "-o", "json", "--brokers", broker)
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.State != find.Dead || r.Records[0].Code != levels.UnknownTopic {
		t.Errorf("%s, %v", out, err)
	}
}

// TestFindExitCodes: that there is no such record is distinguished from a cluster that cannot
// be asked.
func TestFindExitCodes(t *testing.T) {
	t.Parallel()
	broker := letterBroker(t)
	for _, tc := range []struct {
		args   []string
		out    []string // in what is printed
		stderr string
		code   int
	}{
		{[]string{"nobody's"}, []string{"SEARCHED", "delay.dead      0", "the beginning", "the end"}, "delayd: no record has the id nobody's at the places that were searched\n", exitMissing},
		{[]string{"x\x1b[2J", "-o", "json"}, []string{`"state":"not-found","records":[]`, `"searched":[{"topic":"delay.dead"`}, `no record has the id "x\x1b[2J"`, exitMissing},
		{[]string{"x", "--around", "2h", "--target", "nowhere"}, []string{"no such topic"}, "no record has the id x", exitMissing},
		{[]string{""}, nil, "delayd: the id is empty", exitUsage},
		{[]string{"x", "--target", "delay.dead"}, nil, "is one of the delay service's own topics", exitUsage},
		{[]string{"x", "--within", "0"}, nil, "--within", exitUsage},
		{[]string{"x", "--prefix", "dleay"}, nil, "topic dleay.inbox does not exist: check --prefix", exitFailure},
	} {
		code, stdout, stderr := runDelayd(t, "", append(append([]string{"admin", "find"}, tc.args...), "--brokers", broker)...)
		if code != tc.code || !strings.Contains(stderr, tc.stderr) || strings.Contains(stdout+stderr, "\x1b") {
			t.Errorf("%q: exit code %d\n%s\nwant %d\n%s", tc.args, code, stderr, tc.code, tc.stderr)
		}
		for _, part := range tc.out {
			if !strings.Contains(stdout, part) {
				t.Errorf("%q prints\n%s\nwithout %s", tc.args, stdout, part)
			}
		}
	}
}
