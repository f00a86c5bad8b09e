//go:build unix

package kafkatest

import (
	"os/exec"
	"testing"
)

// Kcat returns the path of the kcat program, a Kafka client that is not ours. A
// test that needs it fails where it is not installed.
func Kcat(tb testing.TB) string {
	tb.Helper()
	path, err := exec.LookPath("kcat")
	if err != nil {
		tb.Fatalf("%v: install kcat (Debian package kcat)", err)
	}
	return path
}
