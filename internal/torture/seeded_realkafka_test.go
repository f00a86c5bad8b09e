//go:build realkafka

package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

// faultyEnv makes this test's program a forwarder with that fault, in place of
// delayd; see seeded.
const faultyEnv = "TORTURE_FAULTY"

// tries is how many seeds a fault gets that shows only where a kill comes between two steps.
const tries = 3

func init() {
	if fault, ok := os.LookupEnv(faultyEnv); ok {
		os.Exit(forwardWith(fault, os.Args[1:]))
	}
}

// Every fault that a forwarder can have is seen on a real Kafka, as what it is; and
// the same forwarder without one is not taken for faulty.
func TestFaultyForwarders(t *testing.T) {
	program, err := buildDelayd(t.Context(), t.TempDir()) // makes the topics
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		fault, row string
		duration   time.Duration
		want       string // among the violations; "" for none
	}{
		{sound, "kill-loop", 10 * time.Second, ""},
		{commitsSent, "kill-loop", 15 * time.Second, "lost"},
		{commitsPolled, "kill-loop", 10 * time.Second, "lost"},
		{sound, "freeze", 20 * time.Second, ""},
		{noLease, "freeze", 20 * time.Second, "delivered twice"},
		{drops, "none", 3 * time.Second, "lost"},
		{swaps, "none", 10 * time.Second, "reordered within their key"},
		{strips, "none", 3 * time.Second, "altered"},
		{flips, "none", 3 * time.Second, "altered"},
		{hurries, "none", 3 * time.Second, "early"},
		{readsUncommitted, "none", 10 * time.Second, "delivered though aborted"},
	} {
		t.Run(tc.fault+" "+tc.row, func(t *testing.T) {
			found, err := findRows([]string{tc.row})
			if err != nil {
				t.Fatal(err)
			}
			row := found[0]
			row.env = []string{faultyEnv + "=" + tc.fault}
			// How late it is says more of this machine than of the forwarder.
			row.limits.worst, row.limits.recover = 0, 0
			if tc.fault == sound { // and so does how long its commits take
				row.limits.uncommitted = 0
			}
			row.least = tc.duration
			for seed := uint64(1); ; seed++ {
				r := &runner{
					program: program, serve: []string{self}, dir: t.TempDir(), seed: seed, rate: 2000, duration: tc.duration,
					patience: 20 * time.Second,
				}
				res, err := r.run(t.Context(), &row)
				if err != nil {
					t.Fatal(err)
				}
				got := strings.Join(res.Violations, "; ")
				if got == "" && tc.want != "" && seed < tries {
					continue // no kill came between the two
				}
				if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
					t.Errorf("%d sent, violations %q, want %q\n%s", res.Sent, got, tc.want, strings.Join(res.Examples, "\n"))
				}
				return
			}
		})
	}
}
