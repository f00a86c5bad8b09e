package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/fakekafka"
)

func TestRetryBackoffDoublesBetweenItsBounds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		tries    int
		from, to time.Duration
	}{
		{0, 10 * time.Millisecond, 20 * time.Millisecond}, // franz-go counts from 1
		{1, 10 * time.Millisecond, 20 * time.Millisecond},
		{2, 20 * time.Millisecond, 40 * time.Millisecond},
		{4, 80 * time.Millisecond, 160 * time.Millisecond},
		{8, time.Second, 2 * time.Second},
		{1000000, time.Second, 2 * time.Second},
	} {
		for range 200 {
			if got := retryBackoff(tc.tries); got < tc.from || got > tc.to {
				t.Fatalf("attempt %d: wait %v, want %v to %v", tc.tries, got, tc.from, tc.to)
			}
		}
	}
}

func TestOptionsAreTheClients(t *testing.T) {
	t.Parallel()
	cl, err := kgo.NewClient(Options([]string{"127.0.0.1:1"}, "delayd-test", zerolog.Nop())...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, tc := range []struct {
		opt  any
		want any
	}{
		{kgo.SeedBrokers, []string{"127.0.0.1:1"}},
		{kgo.MetadataMinAge, MetadataMinAge},
		{kgo.MetadataMaxAge, MetadataMaxAge},
		{kgo.ConnIdleTimeout, ConnIdleTimeout},
	} {
		if diff := cmp.Diff(tc.want, cl.OptValue(tc.opt)); diff != "" {
			t.Errorf("option (-want +got):\n%s", diff)
		}
	}
}

func TestIsEmbeddedGoesByTheClusterID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{EmbeddedClusterID: true, "MkU3OEVBNTcwNTJENDM2Qk": false} {
		broker := fakekafka.Start(t, kfake.ClusterID(id))
		cl, err := kgo.NewClient(Options(broker.ListenAddrs(), "delayd-test", zerolog.Nop())...)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		got, err := IsEmbedded(t.Context(), cl)
		if err != nil || got != want {
			t.Errorf("cluster id %q: embedded %v, %v; want %v", id, got, err, want)
		}
	}
}

func TestIsEmbeddedWithoutAnAnswerIsAnError(t *testing.T) {
	t.Parallel()
	cl, err := kgo.NewClient(Options([]string{"127.0.0.1:1"}, "delayd-test", zerolog.Nop())...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := IsEmbedded(ctx, cl); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want one that wraps context.Canceled", err)
	}
}

// logged is what a Logger at level writes while fn runs, one map a line.
func logged(t *testing.T, level zerolog.Level, fn func(*Logger)) []map[string]any {
	t.Helper()
	var out bytes.Buffer
	fn(NewLogger(zerolog.New(&out).Level(level)))
	var lines []map[string]any
	for line := range strings.Lines(out.String()) {
		fields := make(map[string]any)
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		lines = append(lines, fields)
	}
	return lines
}

func TestLogLevelsAreOneLower(t *testing.T) {
	t.Parallel()
	lines := logged(t, zerolog.TraceLevel, func(l *Logger) {
		l.Log(kgo.LogLevelError, "e", "err", errors.New("boom"), "broker", "seed_0")
		l.Log(kgo.LogLevelWarn, "w", "n", 7)
		l.Log(kgo.LogLevelWarn, "produce partition load error, bumping error count on first stored batch", "can_fail", true)
		l.Log(kgo.LogLevelWarn, "an id", "topic_id", [16]byte{15: 1})
		l.Log(kgo.LogLevelInfo, "i", "assigned", map[string][]int32{"t": {0, 1}})
		l.Log(kgo.LogLevelDebug, "d", "err", nil, "odd")
	})
	want := []map[string]any{
		{"level": "error", "message": "e", "error": "boom", "broker": "seed_0"},
		{"level": "warn", "message": "w", "n": 7.0},
		{"level": "debug", "message": "produce partition load error, bumping error count on first stored batch", "can_fail": true},
		{"level": "warn", "message": "an id", "topic_id": "AAAAAAAAAAAAAAAAAAAAAQ"},
		{"level": "debug", "message": "i", "assigned": map[string]any{"t": []any{0.0, 1.0}}},
		{"level": "trace", "message": "d"},
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestLogLevelAsksForNoMoreThanIsWritten(t *testing.T) {
	t.Parallel()
	for level, want := range map[zerolog.Level]kgo.LogLevel{
		zerolog.TraceLevel: kgo.LogLevelDebug,
		zerolog.DebugLevel: kgo.LogLevelInfo,
		zerolog.InfoLevel:  kgo.LogLevelWarn,
		zerolog.WarnLevel:  kgo.LogLevelWarn,
		zerolog.ErrorLevel: kgo.LogLevelError,
		zerolog.FatalLevel: kgo.LogLevelNone,
		zerolog.Disabled:   kgo.LogLevelNone,
	} {
		if got := NewLogger(zerolog.New(nil).Level(level)).Level(); got != want {
			t.Errorf("zerolog %v: franz-go %v, want %v", level, got, want)
		}
	}
	lines := logged(t, zerolog.InfoLevel, func(l *Logger) { l.Log(kgo.LogLevelInfo, "quiet") })
	if len(lines) != 0 {
		t.Errorf("franz-go's info at info: %v, want nothing", lines)
	}
}

func TestLogHoldsBackWhatRepeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lines := logged(t, zerolog.InfoLevel, func(l *Logger) {
			for range 50 {
				l.Log(kgo.LogLevelWarn, "unable to open connection to broker")
			}
			l.Log(kgo.LogLevelWarn, "something else")
			time.Sleep(logPeriod)
			l.Log(kgo.LogLevelWarn, "unable to open connection to broker")
		})
		var got []string
		for _, line := range lines {
			got = append(got, fmt.Sprint(line["message"], " ", line["suppressed"]))
		}
		want := []string{
			"unable to open connection to broker <nil>",
			"unable to open connection to broker <nil>",
			"unable to open connection to broker <nil>",
			"something else <nil>",
			"unable to open connection to broker 47",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})
}

func TestLogRemembersABoundedNumberOfMessages(t *testing.T) {
	t.Parallel()
	l := NewLogger(zerolog.Nop().Level(zerolog.WarnLevel))
	for i := range 3 * logMessages {
		l.admit(fmt.Sprint("message ", i))
	}
	if len(l.seen) > logMessages {
		t.Errorf("%d messages remembered, want at most %d", len(l.seen), logMessages)
	}
}
