//go:build synctests

package delaydtest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// never is a service that does not become ready.
type never struct{ run error }

func (s never) Run(ctx context.Context) error {
	if s.run != nil {
		return s.run
	}
	<-ctx.Done()
	return nil
}

func (never) Ready() error { return errors.New("not joined yet") }

// failures are tests that fail, and what they say.
var failures = map[string]struct {
	test func(t *testing.T)
	want string
}{
	// Without this the bubble spins until the timeout of the test binary.
	"no tag": {
		func(t *testing.T) {
			run(t, false, Config{}, func(t *testing.T, _ *Env) { t.Error("ran without the tag") })
		},
		"delaydtest: virtual time needs the build tag synctests, which makes franz-go's mutexes visible to testing/synctest; run go test -tags synctests",
	},
	"no ladder": {
		func(t *testing.T) { Run(t, Config{Levels: "5s 1s"}, func(*testing.T, *Env) {}) },
		"delaydtest: Config.Levels: ",
	},
	"bad prefix": {
		func(t *testing.T) { Run(t, Config{Prefix: "a b"}, func(*testing.T, *Env) {}) },
		"delaydtest: create the service's topics: ",
	},
	"not ready": {
		func(t *testing.T) { Run(t, Config{}, func(_ *testing.T, env *Env) { env.Start(never{}) }) },
		"delaydtest: delaydtest.never is not ready after 2m0s: not joined yet",
	},
	"ended": {
		func(t *testing.T) {
			Run(t, Config{}, func(_ *testing.T, env *Env) { env.Start(never{errors.New("fenced")}) })
		},
		"delaydtest: Run of delaydtest.never: fenced",
	},
}

// TestFailures: a test that cannot work says at once why.
func TestFailures(t *testing.T) {
	const which = "DELAYDTEST_FAILURE" // set where this test runs itself
	if f, again := failures[os.Getenv(which)]; again {
		f.test(t)
		return
	}
	for name, f := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFailures$", "-test.timeout=1m")
			cmd.Env = append(os.Environ(), which+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), f.want) || strings.Contains(string(out), "panic") {
				t.Errorf("ended with %v, and\n%s\nwant %s", err, out, f.want)
			}
		})
	}
}
