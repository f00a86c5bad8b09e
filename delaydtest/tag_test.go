package delaydtest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestWithoutTheTag: a test that was built without the tag says at once what is missing.
// Without that, the bubble spins until the timeout of the test binary.
func TestWithoutTheTag(t *testing.T) {
	const again = "DELAYDTEST_UNTAGGED" // set where this test runs itself
	if os.Getenv(again) != "" {
		run(t, false, Config{}, func(t *testing.T, _ *Env) { t.Error("ran without the tag") })
		return
	}
	began := time.Now()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWithoutTheTag$", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), again+"=1")
	out, err := cmd.CombinedOutput()
	t.Logf("after %v: %s", time.Since(began), out)
	if err == nil || strings.Contains(string(out), "ran without") || !strings.Contains(string(out), "run go test -tags synctests") {
		t.Errorf("ended with %v, and %s", err, out)
	}
}
