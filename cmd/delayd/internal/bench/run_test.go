package bench

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/levels"
)

func TestTurns(t *testing.T) {
	t.Parallel()
	names := func(turns []turn) string {
		var all []string
		for _, t := range turns {
			all = append(all, t.String())
		}
		return strings.Join(all, " | ")
	}
	for name, tc := range map[string]struct {
		cfg       Config
		odd, even string
	}{
		"alone":      {Config{Contenders: []Kind{Delayd}}, "delayd", "delayd"},
		"yardsticks": {Config{Contenders: []Kind{Delayd, Loop, Naive}}, "delayd | loop | naive", "naive | loop | delayd"},
		"flood": {Config{Contenders: []Kind{Delayd, Loop}, Flood: 1},
			"delayd, alone | delayd, beside a flood | loop", "loop | delayd, beside a flood | delayd, alone"},
		"sick":    {Config{Contenders: []Kind{Delayd}, Sick: true}, "delayd, alone | delayd, one unavailable target", "delayd, one unavailable target | delayd, alone"},
		"cancels": {Config{Contenders: []Kind{Delayd}, Cancel: 0.2}, "delayd, alone | delayd, with cancels", "delayd, with cancels | delayd, alone"},
		"kills":   {Config{Contenders: []Kind{Delayd, Copy}, Kills: 2}, "delayd, killed on the way | copy", "copy | delayd, killed on the way"},
	} {
		b := &bench{Config: tc.cfg}
		if got := names(b.turns(1)); got != tc.odd {
			t.Errorf("%s, round 1: %s", name, got)
		}
		if got := names(b.turns(2)); got != tc.even {
			t.Errorf("%s, round 2: %s", name, got)
		}
	}
}

func TestRunWhereNobodyAnswers(t *testing.T) {
	t.Parallel()
	cfg := steadyConfig()
	cfg.Brokers = []string{"127.0.0.1:1"}
	cfg.Opts = connect.Options(cfg.Brokers, "test", zerolog.Nop())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	report, err := Run(ctx, cfg)
	if report != nil || err == nil || !strings.HasPrefix(err.Error(), "ask the brokers what they are: ") {
		t.Errorf("report %v, error: %v", report, err)
	}
}

func TestLoadAsJSON(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(Load{
		Scenario: Steady, Through: ThroughInbox, Levels: []levels.Level{level(time.Second), level(time.Minute)},
		Rate: 2000, Duration: 1500 * time.Millisecond, Size: 200, Keys: 500, Partitions: 4,
	})
	want := `{"scenario":"steady","through":"inbox","levels":["1s","1m"],"rate":2000,"seconds":1.5,"size_bytes":200,"keys":500,"partitions":4}`
	if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// Where a record is measured has to be known as well as what was measured.
func TestMachine(t *testing.T) {
	t.Parallel()
	if m := describeMachine(); m.Cores < 1 || m.CPU == "" || m.OS == "" || m.Arch == "" || m.Go == "" {
		t.Errorf("%+v", m)
	}
	if version() == "" {
		t.Error("no version")
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		cluster Cluster
		want    []string
	}{
		{Cluster{Local: true}, []string{"the broker's clock", "one machine"}},
		{Cluster{}, []string{"the broker's clock", "different clocks"}},
		{Cluster{Local: true, Embedded: true}, []string{"the sender's clock", "one machine"}},
	} {
		for _, want := range tc.want {
			if got := clock(tc.cluster); !strings.Contains(got, want) {
				t.Errorf("%+v: %q is not in %q", tc.cluster, want, got)
			}
		}
	}
}
