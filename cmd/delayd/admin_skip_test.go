package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/admin/deadletter"
	"github.com/delayd-io/delayd/internal/rawbatch"
)

// putUnreadable writes a batch to delay.inbox/0 that no client can decode.
func putUnreadable(t *testing.T, broker string) {
	t.Helper()
	b := rawbatch.Corrupt(rawbatch.New(kgo.CodecLz4, &kgo.Record{Value: []byte("v")}, &kgo.Record{Value: []byte("w")}))
	if _, err := rawbatch.Produce(t.Context(), producer(t, broker), "delay.inbox", 0, rawbatch.Seal(b)); err != nil {
		t.Fatal(err)
	}
}

func TestSkip(t *testing.T) {
	t.Parallel()
	broker := startBroker(t) // the embedded one too has what the command needs
	succeed(t, "", "admin", "provision", "--brokers", broker, "--levels", "5s")
	putUnreadable(t, broker)
	write(t, producer(t, broker), &kgo.Record{Topic: "delay.inbox", Value: []byte("good")})
	const preview = `FROM  TO  RECORDS  BYTES  CODEC  CANNOT BE DECODED
   0   1        2     96  lz4    decompress: lz4: invalid frame checksum: got e2b4c506; expected e3b4c506
`
	for _, tc := range []struct {
		args      []string
		code      int
		out, errs string
	}{
		{[]string{"delay.inbox/0/1", "--dry-run"}, exitOK, preview, "would be skipped: the offsets 0 to 1 of delay.inbox/0\n"},
		{[]string{"delay.inbox/0/0"}, exitUsage, preview,
			"delayd: 2 records at delay.inbox/0/0 would be skipped and not delivered, and nobody is at a terminal to say so; write --yes, or --dry-run\n"},
		{[]string{"delay.inbox/0/0", "--yes"}, exitOK, preview,
			"skipped: the offsets 0 to 1 of delay.inbox/0; the service goes on at 2\nwritten: 1 dead letter, from delay.dead/0/0 on\n"},
		{[]string{"delay.inbox/0/0", "--yes"}, exitFailure, "",
			"delayd: delay.inbox/0/0: it is skipped already: the commit of group delay.skipped is 2\n"},
		{[]string{"delay.inbox/0/2", "--yes"}, exitFailure, "FROM  TO  RECORDS  BYTES  CODEC  CANNOT BE DECODED\n   2   2        1     72  none   -\n",
			"delayd: delay.inbox/0/2: the batch can be decoded, so the service can read it; " +
				"--force makes a dead letter of each of its records that is at this offset or after it, and goes on after them\n"},
	} {
		code, stdout, stderr := runDelayd(t, "", append([]string{"admin", "skip", "--brokers", broker}, tc.args...)...)
		if code != tc.code || stdout != tc.out || stderr != tc.errs {
			t.Errorf("%v: exit code %d\n%s%s\nwant %d\n%s%s", tc.args, code, stdout, stderr, tc.code, tc.out, tc.errs)
		}
	}

	var report struct {
		At, Codec string
		Skipped   bool
		Letters   []admin.Place
	}
	out := succeed(t, "", "admin", "skip", "delay.inbox/0/2", "--force", "--yes", "-o", "json", "--brokers", broker)
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if !report.Skipped || report.At != "delay.inbox/0/2" || !slices.Equal(report.Letters, []admin.Place{{Topic: "delay.dead", Offset: 1}}) {
		t.Errorf("report %+v\n%s", report, out)
	}
	var codes []string
	for _, l := range decode[[]deadletter.Letter](t, succeed(t, "", "admin", "dead", "list", "--oldest-first", "-o", "json", "--brokers", broker))[0] {
		codes = append(codes, string(l.Code)+" "+l.Origin)
	}
	if want := []string{"unreadable delay.inbox/0/0", "skipped delay.inbox/0/2"}; !slices.Equal(codes, want) {
		t.Errorf("dead letters %q, want %q", codes, want)
	}
}

func TestSkipIsConfirmed(t *testing.T) {
	t.Parallel()
	s := &admin.Skip{At: admin.Place{Topic: "delay.inbox", Offset: 7}, Records: 1}
	for answer, want := range map[string]string{
		"delay.inbox/0/7\n": "", "y\n": `nothing was skipped: "y" is not delay.inbox/0/7`, "": `nothing was skipped: "" is not delay.inbox/0/7`,
	} {
		var errs strings.Builder
		err := awaitSkip(t.Context(), &console{in: strings.NewReader(answer), err: &errs}, s)
		if got := errs.String(); got != "1 record will be dead letters and not delivered. Type delay.inbox/0/7 to go on:\n" {
			t.Errorf("asked: %s", got)
		}
		if err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%q: %v, want %s", answer, err, want)
		}
	}
}
