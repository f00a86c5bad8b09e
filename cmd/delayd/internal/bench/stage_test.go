package bench

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

func testBench(t *testing.T, cfg Config, opts []kgo.Opt) *bench {
	t.Helper()
	cfg.Opts = opts
	cfg, ladder, err := cfg.complete()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Config: cfg, ladder: ladder, report: new(Report)}
	if opts != nil {
		if b.client, err = newClient(opts); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.client.Close)
		b.adm = kadm.NewClient(b.client)
	}
	return b
}

// A stage makes what it needs, and leaves nothing of it and all else alone.
func TestStageComesAndGoes(t *testing.T) {
	t.Parallel()
	for _, kind := range []Kind{Delayd, Loop} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			b := testBench(t, steadyConfig(), testCluster(t, "bench-mine", "other"))
			s := b.newStage(kind, 2)
			if !regexp.MustCompile("^bench-[0-9a-f]{8}$").MatchString(s.names.Prefix) {
				t.Errorf("prefix %s", s.names.Prefix)
			}
			s.sick = true
			if err := s.create(t.Context()); err != nil {
				t.Fatal(err)
			}
			topics := func() []string {
				all := *s
				all.names.Prefix = "" // of everybody
				list, err := all.topics(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				slices.Sort(list)
				return list
			}
			source := s.source(b.Load.Levels[0])
			if kind == Delayd {
				source = s.names.Level(b.Load.Levels[0])
			}
			for topic, want := range map[string]bool{source: true, s.targets[0]: false, s.targets[1]: true} {
				if slices.Contains(topics(), topic) != want {
					t.Errorf("topic %s is there: %v, want %v", topic, !want, want)
				}
			}
			if err := s.heal(t.Context()); err != nil || !slices.Contains(topics(), s.targets[0]) {
				t.Errorf("the sick target is not there after it was healed: %v", err)
			}
			s.remove(t.Context())
			if diff := cmp.Diff([]string{"bench-mine", "other"}, topics()); diff != "" {
				t.Errorf("topics that are left (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	one := steadyConfig(func(c *Config) { c.Load.Levels = []levels.Level{level(time.Second), level(time.Minute)} })
	b := testBench(t, one, nil)
	for _, tc := range []struct {
		kind    Kind
		through string
		topic   string // of record 1, which is on the second level
		headers string
	}{
		{Delayd, ThroughLevel, "P.level.1m", "delay-target=P-target-0"},
		{Delayd, ThroughInbox, "P.inbox", "delay-target=P-target-0 delay-level=1m"},
		{Loop, ThroughLevel, "P-source-1m", "delay-target=P-target-0"},
		{Naive, ThroughInbox, "P-source-1m", "delay-target=P-target-0 delay-level=1m"},
	} {
		s := b.newStage(tc.kind, 1)
		topic, headers := s.address(deck{levels: b.Load.Levels, keys: 1, targets: 1}, tc.through)(1)
		var list []string
		for _, h := range headers {
			list = append(list, h.Key+"="+string(h.Value))
		}
		plain := strings.NewReplacer(s.names.Prefix, "P")
		if got := plain.Replace(topic); got != tc.topic {
			t.Errorf("%s through the %s: topic %s, want %s", tc.kind, tc.through, got, tc.topic)
		}
		if got := plain.Replace(strings.Join(list, " ")); got != tc.headers {
			t.Errorf("%s through the %s: headers %s, want %s", tc.kind, tc.through, got, tc.headers)
		}
	}
}

// What the copy writes is as long as what the service writes.
func TestCopyHasTheServicesHeaders(t *testing.T) {
	t.Parallel()
	for through, want := range map[string][]string{
		ThroughLevel: {levels.HeaderID, levels.HeaderDue, levels.HeaderAccepted, levels.HeaderGranted},
		ThroughInbox: {levels.HeaderID, levels.HeaderDue, levels.HeaderAccepted, levels.HeaderGranted, levels.HeaderRequested},
	} {
		b := testBench(t, backlogConfig(func(c *Config) { c.Load.Through = through }), nil)
		s := b.newStage(Copy, 1)
		topic, headers := s.address(deck{levels: b.Load.Levels, keys: 1, targets: 1}, through)(40)
		if topic != s.source(b.Load.Levels[0]) {
			t.Errorf("topic %s", topic)
		}
		var keys []string
		for _, h := range headers {
			keys = append(keys, h.Key)
			if h.Key == levels.HeaderID && !strings.Contains(string(h.Value), "-10-") { // the tenth of four partitions each
				t.Errorf("id %s", h.Value)
			}
		}
		if diff := cmp.Diff(want, keys); diff != "" {
			t.Errorf("through the %s (-want +got):\n%s", through, diff)
		}
	}
}

// The contenders' command lines say all that they are to do.
func TestArguments(t *testing.T) {
	t.Parallel()
	cfg := steadyConfig(func(c *Config) {
		c.Brokers, c.ServeArgs = []string{"a:1", "b:2"}, []string{"--purge-after", "off"}
		c.Load.Levels = []levels.Level{level(time.Second), level(3 * time.Second)}
	})
	b := testBench(t, cfg, nil)
	for kind, want := range map[Kind]string{
		Delayd: "serve --brokers a:1,b:2 --prefix P --instance bench --log-level error --levels 1s 3s --partitions 4 --missing-target-wait 0 --purge-after off",
		Loop:   "bench-contender loop --brokers a:1,b:2 --to P-target-0 --group P-loop --from P-source-1s --delay 1s --from P-source-3s --delay 3s",
		Copy:   "bench-contender copy --brokers a:1,b:2 --to P-target-0 --group P-copy --from P-source-1s --from P-source-3s",
	} {
		s := b.newStage(kind, 1)
		s.sick = kind == Delayd
		got := strings.ReplaceAll(strings.Join(b.contender(s, kind).args, " "), s.names.Prefix, "P")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}
