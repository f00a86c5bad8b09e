package bench

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/cmd/delayd/internal/embedded"
	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/levels"
)

// testCluster is an embedded broker with topics of two partitions. It ends with
// the test.
func testCluster(t *testing.T, topics ...string) []kgo.Opt {
	t.Helper()
	broker, err := embedded.Start(embedded.Config{Addr: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	opts := connect.Options([]string{broker.Addr()}, "test", zerolog.Nop())
	client, err := newClient(opts)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopics(t.Context(), 2, 1, nil, topics...); err != nil {
		t.Fatal(err)
	}
	return opts
}

// withoutTimes is a result with its counts alone.
func withoutTimes(r Result) Result {
	return Result{Sent: r.Sent, Delivered: r.Delivered, Lost: r.Lost, Duplicated: r.Duplicated, Early: r.Early, Disordered: r.Disordered}
}

// Each yardstick writes every record once, in order, with all that it had; those
// that delay do not write one early and say when it was accepted.
func TestYardsticks(t *testing.T) {
	t.Parallel()
	const records = 40
	for _, kind := range []Kind{Copy, Loop, Naive} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			opts := testCluster(t, "from-1s", "from-2s", "to")
			d := deck{levels: []levels.Level{level(time.Second), level(2 * time.Second)}, keys: 4, targets: 1}
			from := []string{"from-1s", "from-2s"}
			sent := []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a"}}
			m := newMaker(d, 20, func(id int64) (string, []kgo.RecordHeader) { return from[d.level(id)], sent })
			if err := fill(t.Context(), opts, m.record, records, quiet{}); err != nil {
				t.Fatal(err)
			}

			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			ready, ended := make(chan struct{}), make(chan error, 1)
			cfg := YardstickConfig{Opts: opts, From: from, To: "to", Group: "group", Ready: func() { close(ready) }}
			if kind != Copy {
				cfg.Delays = []time.Duration{time.Second, 2 * time.Second}
			}
			go func() { ended <- RunYardstick(ctx, kind, cfg) }()
			await(t, "ready", ready)

			total := newTally(d, records)
			in, err := newConsumer(opts, 2, map[string]*tally{"to": total}, quiet{})
			if err != nil {
				t.Fatal(err)
			}
			defer in.client.Close()
			in.read("to")
			if err := in.until(ctx, func() (bool, error) { return total.complete(), nil }); err != nil {
				t.Fatalf("%d of %d records: %v", total.delivered.Load(), records, err)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("it ended with %v", err)
			}
			if diff := cmp.Diff(Result{Sent: records, Delivered: records}, withoutTimes(total.result(records))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			want := 0
			if kind != Copy {
				want = records
			}
			if got := total.late.TotalCount(); got != int64(want) {
				t.Errorf("the lateness of %d records can be told, want %d", got, want)
			}
		})
	}
}

func TestYardstickFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		kind Kind
		cfg  YardstickConfig
		want string
	}{
		"service":  {Delayd, YardstickConfig{}, "there is none of that name"},
		"no delay": {Loop, YardstickConfig{From: []string{"a", "b"}, Delays: []time.Duration{time.Second}}, "2 topics and 1 delays"},
	} {
		if err := RunYardstick(t.Context(), tc.kind, tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error: %v", name, err)
		}
	}
}

func TestYardstickWithoutItsTopics(t *testing.T) {
	t.Parallel()
	opts := testCluster(t, "to")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := RunYardstick(ctx, Loop, YardstickConfig{Opts: opts, From: []string{"from"}, Delays: []time.Duration{0}, To: "to"})
	if err == nil || !strings.Contains(err.Error(), "look up [from]") {
		t.Errorf("error: %v", err)
	}
}

// A lane takes what is due off its head, and sleeps until the next is.
func TestBareLaneDue(t *testing.T) {
	t.Parallel()
	l := &bareLane{delay: time.Second, wake: make(chan struct{}, 1)}
	if due, sleep := l.due(accepted); len(due) != 0 || sleep < time.Minute {
		t.Errorf("an empty loop: %d due, sleeps %v", len(due), sleep)
	}
	for i := range 3 {
		l.push([]*kgo.Record{{Timestamp: accepted.Add(time.Duration(i) * time.Second)}})
	}
	for _, tc := range []struct {
		after time.Duration
		due   int
		sleep time.Duration
	}{
		{0, 0, time.Second},
		{2500 * time.Millisecond, 2, 500 * time.Millisecond},
		{3 * time.Second, 1, time.Hour},
	} {
		if due, sleep := l.due(accepted.Add(tc.after)); len(due) != tc.due || sleep != tc.sleep {
			t.Errorf("after %v: %d due, sleeps %v; want %d, %v", tc.after, len(due), sleep, tc.due, tc.sleep)
		}
	}
}
