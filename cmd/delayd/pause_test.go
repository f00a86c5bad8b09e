package main

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestPauseStatusAndResume(t *testing.T) {
	t.Parallel()
	flags := []string{"--brokers", startBroker(t)}
	with := func(args ...string) []string { return append(append([]string{"admin"}, args...), flags...) }
	succeed(t, "", with("provision", "--levels", "5s 1m")...)
	for _, args := range [][]string{{"--level", "60s"}, {"--target", "orders", "--reason", "it is moved"}} {
		if out := succeed(t, "", with(append([]string{"pause"}, args...)...)...); !strings.Contains(out, "is paused, until delayd admin resume") {
			t.Errorf("%v: %s", args, out)
		}
	}
	out := succeed(t, "", with("status", "--levels", "5s 1m")...)
	for _, want := range []string{"paused: level 1m, for ", "paused: target orders, for ", ": it is moved\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("status\n%s\nwant %q", out, want)
		}
	}
	succeed(t, "", with("resume", "--level", "1m")...)
	if out := succeed(t, "", with("resume", "--level", "1m")...); out != "level 1m was not paused; paused: target orders\n" {
		t.Errorf("resuming what is not paused says %q", out)
	}
	succeed(t, "", with("resume", "--target", "orders")...)
	if out := succeed(t, "", with("status", "--levels", "5s 1m")...); strings.Contains(out, "paused") {
		t.Errorf("status after all was resumed:\n%s", out)
	}
}

// TestPausingAMissingTarget hints that the name may be misspelt.
func TestPausingAMissingTarget(t *testing.T) {
	t.Parallel()
	broker := kafka(t)
	for _, target := range []string{"delay-typo", "orders"} {
		if target == "orders" {
			if _, err := kadm.NewClient(producer(t, broker)).CreateTopics(t.Context(), 1, 1, nil, target); err != nil {
				t.Fatal(err)
			}
		}
		code, stdout, stderr := runDelayd(t, "", "admin", "pause", "--target", target, "--brokers", broker)
		if hinted := strings.HasPrefix(stderr, "there is no topic delay-typo: is that its name?"); code != exitOK || hinted != (target == "delay-typo") || !strings.Contains(stdout, "is paused") {
			t.Errorf("%s: exit code %d\n%s%s", target, code, stdout, stderr)
		}
	}
}

// TestPauseWithoutItsTopic: under a prefix that nobody has nothing is paused or resumed.
func TestPauseWithoutItsTopic(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	for _, command := range []string{"pause", "resume"} {
		code, stdout, stderr := runDelayd(t, "", "admin", command, "--target", "orders", "--prefix", "dleay", "--brokers", broker)
		want := "delayd: topic dleay.control does not exist: check --prefix; delayd admin provision creates it\n"
		if code != exitFailure || stdout != "" || stderr != want {
			t.Errorf("%s: exit code %d\n%s%s\nwant %s", command, code, stdout, stderr, want)
		}
	}
}

// TestPauseThatIsForgotten: somebody has made the topic as one whose records are deleted.
func TestPauseThatIsForgotten(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]string{
		"compact": "",
		"delete":  "topic delay.control has cleanup.policy=delete: this is forgotten when the brokers delete its record; delayd admin plan says what to set\n",
	} {
		broker := kafka(t)
		cl := producer(t, broker)
		alter := []kadm.AlterConfig{{Name: "cleanup.policy", Value: &policy}}
		if _, err := kadm.NewClient(cl).AlterTopicConfigs(t.Context(), alter, "delay.control"); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := runDelayd(t, "", "admin", "pause", "--level", "5s", "--brokers", broker)
		if code != exitOK || !strings.Contains(stdout, "level 5s is paused") || stderr != want {
			t.Errorf("%s: exit code %d\n%s%s\nwant %s", policy, code, stdout, stderr, want)
		}
	}
}

func TestPauseRefuses(t *testing.T) {
	t.Parallel()
	broker := kafka(t)
	for _, tc := range []struct{ args, want string }{
		{"--level 7s", "level 7s: there is no topic delay.level.7s"},
		{"", "--level"},
		{"--level 5s --target orders", "--level"},
		{"--level never", "--level"},
		{"--target or/ders", "--target"},
	} {
		args := append([]string{"admin", "pause", "--brokers", broker}, strings.Fields(tc.args)...)
		if code, _, stderr := runDelayd(t, "", args...); code == 0 || !strings.Contains(stderr, tc.want) {
			t.Errorf("%q: exit code %d\n%s\nwant %s", tc.args, code, stderr, tc.want)
		}
	}
}

func TestMaxLateFlag(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"off": "0s", "90m": "1h30m0s"} {
		if d, err := parseMaxLate(text); err != nil || d.String() != want {
			t.Errorf("%s: %v, %v, want %s", text, d, err, want)
		}
	}
	for _, text := range []string{"0", "-1m", "soon", ""} {
		if _, err := parseMaxLate(text); err == nil || !strings.Contains(err.Error(), "or off to deliver however late it is") {
			t.Errorf("%q: error %v", text, err)
		}
	}
}
