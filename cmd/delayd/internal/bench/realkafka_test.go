//go:build realkafka

package bench

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/kafkatest"
	"github.com/delayd-io/delayd/levels"
)

// What the embedded broker cannot show, at a size that says nothing of speed.
func TestOnKafka(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "delayd")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/delayd-io/delayd/cmd/delayd").CombinedOutput(); err != nil {
		t.Fatalf("build delayd: %v\n%s", err, out)
	}
	cfg := Config{Brokers: kafkatest.Start(t).Brokers(), Program: program, Log: zerolog.New(zerolog.NewTestWriter(t))}
	cfg.Opts = connect.Options(cfg.Brokers, "test", zerolog.Nop())
	cfg.Load = Load{Size: 50, Keys: 20, Partitions: 2}
	t.Run("scenarios", func(t *testing.T) { // ends before the broker does
		t.Run("sick", func(t *testing.T) {
			t.Parallel()
			cfg := cfg
			cfg.Sick, cfg.Contenders = true, []Kind{Delayd, Loop}
			cfg.Load.Scenario, cfg.Load.Levels, cfg.Load.Rate, cfg.Load.Duration = Steady, []levels.Level{level(time.Second)}, 40, time.Second
			report := runOnKafka(t, cfg)
			if len(report.Runs) != 3 {
				t.Fatalf("%d runs, want alone, with a sick target, and the loop", len(report.Runs))
			}
			for _, r := range report.Runs {
				// Three of four targets, in the second that is measured.
				if r.Delivered != 440 || r.Late == nil || r.Late.Histogram.TotalCount() != 30 {
					t.Errorf("%+v, late %+v", r, r.Late)
				}
			}
			if sick := report.Runs[1]; sick.Label != LabelSick || sick.Seconds <= report.Runs[0].Seconds {
				t.Errorf("the sick target's records came no later than the others: %+v", sick)
			}
		})
		t.Run("inbox", func(t *testing.T) {
			t.Parallel()
			cfg := cfg
			cfg.Load.Scenario, cfg.Load.Through = Steady, ThroughInbox
			cfg.Load.Levels, cfg.Load.Rate, cfg.Load.Duration = []levels.Level{level(time.Second), level(2 * time.Second)}, 500, 3*time.Second
			if r := runOnKafka(t, cfg).Runs[0]; r.Delivered != 2000 || r.Late == nil {
				t.Errorf("%+v, late %+v", r, r.Late)
			}
		})
		t.Run("cancels", func(t *testing.T) {
			t.Parallel()
			for name, exact := range map[string]bool{"levels": false, "exact": true} {
				cfg := cfg
				cfg.Cancel = 0.3
				cfg.Load.Scenario, cfg.Load.Exact = Steady, exact
				cfg.Load.Levels, cfg.Load.Rate, cfg.Load.Duration = []levels.Level{level(time.Second), level(5 * time.Second)}, 200, 2*time.Second
				runs := runOnKafka(t, cfg).Runs
				if r := runs[0]; r.Label != LabelAlone || r.Delivered != 600 || r.Cancelled != 0 {
					t.Errorf("%s: %+v", name, r)
				}
				if r := runs[1]; r.Label != LabelCancel || r.Cancelled == 0 || r.Delivered >= 600 || r.CancelledDelivered != 0 {
					t.Errorf("%s: %+v", name, r)
				}
			}
		})
		t.Run("kills", func(t *testing.T) {
			t.Parallel()
			cfg := cfg
			cfg.Kills = 2
			cfg.Load.Scenario, cfg.Load.Levels, cfg.Load.Records = Backlog, []levels.Level{level(time.Second)}, 100_000
			if r := runOnKafka(t, cfg).Runs[0]; r.Delivered != 100_000 || r.Kills != 2 || r.Duplicated > 2*2*consume.CommitRecords {
				t.Errorf("%+v", r)
			}
		})
		t.Run("pending", func(t *testing.T) {
			t.Parallel()
			cfg := cfg
			cfg.Load.Scenario, cfg.Load.Records, cfg.Cancels = Pending, 1000, 5000
			r := runOnKafka(t, cfg).Runs[0]
			if r.Cancelled != 5000 || r.CancelsMiB == 0 || r.Sent != 1000 || r.Delivered != 0 || r.IdleMiB == 0 || r.PendingMiB == 0 || r.PeakMiB < r.IdleMiB {
				t.Errorf("%+v", r)
			}
		})
	})
}

// runOnKafka runs cfg and looks at what it leaves behind.
func runOnKafka(t *testing.T, cfg Config) *Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	report, err := Run(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Check(); err != nil {
		t.Error(err)
	}
	if c := report.Cluster; c.Brokers != 1 || c.Version == unknown || c.Embedded || !c.Local {
		t.Errorf("cluster: %+v", c)
	}
	return report
}
