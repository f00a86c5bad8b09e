//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/delayd-io/delayd/internal/fakekafka"
)

// TestIdleCost measures what an idle delayd costs on a cluster with the groups and
// topics of many others. It takes two minutes: set IDLE_COST to run it.
func TestIdleCost(t *testing.T) {
	const (
		groups     = 5000
		partitions = 50 // that each has committed
		topics     = 1000
		settle     = 30 * time.Second
		watched    = 75 * time.Second
		mostMemory = 90 << 10  // KiB
		mostBytes  = 3_000_000 // a minute, read and written
	)
	if os.Getenv("IDLE_COST") == "" {
		t.Skip("IDLE_COST is not set")
	}
	cluster := fakekafka.Start(t, kfake.NumBrokers(3))
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	var names []string
	for i := range topics {
		names = append(names, fmt.Sprint("application.topic-", i))
	}
	if _, err := adm.CreateTopics(t.Context(), 3, 3, nil, names...); err != nil {
		t.Fatal(err)
	}
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(8)
	for i := range groups {
		g.Go(func() error {
			var offsets kadm.Offsets
			for p := range partitions {
				offsets.AddOffset(names[(i+p)%topics], 0, 0, -1)
			}
			return adm.CommitAllOffsets(ctx, fmt.Sprint("application.group-", i), offsets)
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "delayd")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if other := os.Getenv("IDLE_PROGRAM"); other != "" {
		program = other
	}
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, program, "serve", "--brokers", strings.Join(cluster.ListenAddrs(), ","), "--http", "off", "--instance", "one", "--log-level", "warn")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stop(); cmd.Wait() }()
	time.Sleep(settle)
	proc := func(file, format string) (n int64) {
		t.Helper()
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", cmd.Process.Pid, file))
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(content), format)
		if _, err := fmt.Sscan(after, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	read, written := proc("io", "rchar:"), proc("io", "wchar:")
	time.Sleep(watched)
	read, written = proc("io", "rchar:")-read, proc("io", "wchar:")-written
	rss, peak := proc("status", "VmRSS:"), proc("status", "VmHWM:")
	minutes := watched.Minutes()
	t.Logf("%d groups with %d commits each, %d topics: %.1f MiB, %.1f at most; %.0f kB read and %.0f kB written a minute",
		groups, partitions, topics, float64(rss)/1024, float64(peak)/1024, float64(read)/1000/minutes, float64(written)/1000/minutes)
	if peak > mostMemory || float64(read+written)/minutes > mostBytes {
		t.Error("that is too much")
	}
}
