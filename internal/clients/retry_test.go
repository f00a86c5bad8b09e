//go:build realkafka

package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/kafkatest"
)

// retryPrograms are those that send back what they fail.
var retryPrograms = map[string]program{
	"kcat": func(t *testing.T, target string) *exec.Cmd {
		kafkatest.Kcat(t)
		return exec.CommandContext(patient(t), filepath.Join(programs, "kcat-retry.sh"), brokers(), target)
	},
	"python": func(t *testing.T, target string) *exec.Cmd {
		return pythonProgram(t, "retry.py", target)
	},
	"node": func(t *testing.T, target string) *exec.Cmd {
		modules := filepath.Join(installed(t, "node", npm, "node/package.json", "node/package-lock.json"), "node_modules")
		dir := t.TempDir()
		if err := copyFile(filepath.Join(programs, "node", "retry.mjs"), filepath.Join(dir, "retry.mjs")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal(err)
		}
		return exec.CommandContext(patient(t), filepath.Join(modules, ".bin", "node"), filepath.Join(dir, "retry.mjs"), brokers(), target)
	},
	"java": func(t *testing.T, target string) *exec.Cmd { return javaProgram(t, "Retry", target) },
	"share": func(t *testing.T, target string) *exec.Cmd {
		fromEarliest(t, target+"-share")
		return javaProgram(t, "ShareRetry", target)
	},
	"franz": func(t *testing.T, target string) *exec.Cmd {
		program := filepath.Join(t.TempDir(), "retry")
		if err := command(patient(t), filepath.Join(programs, "franz"), "go", "build", "-buildvcs=false", "-o", program, "./retry"); err != nil {
			t.Fatal(err)
		}
		return exec.CommandContext(patient(t), program, brokers(), target)
	},
}

func pythonProgram(t *testing.T, name, target string) *exec.Cmd {
	t.Helper()
	python := filepath.Join(installed(t, "python", pip, "python/requirements.txt"), "bin", "python")
	return exec.CommandContext(patient(t), python, filepath.Join(programs, "python", name), brokers(), target)
}

func javaProgram(t *testing.T, class, target string) *exec.Cmd {
	t.Helper()
	jars := kafkatest.JarsClasspath(t)
	java := append(jvm(compiled(t, "java", jars), jars), class, brokers(), target)
	return exec.CommandContext(patient(t), java[0], java[1:]...)
}

// fromEarliest has a share group read what is there before it begins.
func fromEarliest(t *testing.T, group string) {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Op, config.Value = "share.auto.offset.reset", kmsg.IncrementalAlterConfigOpSet, kmsg.StringPtr("earliest")
	resource.Configs = append(resource.Configs, config)
	req.Resources = append(req.Resources, resource)
	resp, err := req.RequestWith(t.Context(), newClient(t))
	if err != nil || resp.Resources[0].ErrorCode != 0 {
		t.Fatalf("set share.auto.offset.reset of %s: %v, %+v", group, err, resp)
	}
}

// TestRetryPrograms runs the programs that send a record back twice. The record has waits of
// one second of its own, and two headers with one key.
func TestRetryPrograms(t *testing.T) {
	runPrograms(t, retryPrograms, "failing-", func(target string) {
		createTopicOf(t, target, 1)
		first := &kgo.Record{Topic: target, Key: []byte("order-1"), Value: []byte("to be shipped"), Headers: []kgo.RecordHeader{
			{Key: "delay-retry-policy", Value: []byte("1s 1s")}, {Key: "shop", Value: []byte("Bern")}}}
		if err := newClient(t).ProduceSync(t.Context(), first).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}, checkRetries)
}

// checkRetries looks at what a program printed of its record: at first, and of its retries.
func checkRetries(t *testing.T, name, out string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 {
		t.Errorf("%s printed %d lines, want 3", name, len(lines))
		return
	}
	origin := ""
	for i, line := range lines {
		want := []string{"order-1", "to be shipped", "delay-retry-policy=1s 1s", "shop=Bern"}
		if i > 0 {
			want = append(want, "delay-attempt="+string(rune('0'+i)), "delay-retry-cause=the shop is closed",
				"delay-retry-first-cause=the shop is closed", "delay-requested=retry", "delay-granted=1s")
			if id := printedID(line); origin == "" {
				origin = id
			} else if id != origin {
				t.Errorf("%s: the id was %s, and is %s", name, origin, id)
			}
		}
		for _, w := range want {
			if !strings.Contains(line, w) || strings.Contains(line, "delay-target") || strings.Contains(line, "delay-previous-id") {
				t.Errorf("%s, delivery %d: %q is not in %s", name, i, w, line)
			}
		}
	}
	if !strings.HasPrefix(origin, "delay.inbox-") {
		t.Errorf("%s: the id is %q", name, origin)
	}
}

// printedID finds delay-id in a line.
func printedID(line string) string {
	for _, field := range strings.FieldsFunc(line, func(r rune) bool { return r == '\t' || r == ',' }) {
		if id, ok := strings.CutPrefix(field, "delay-id="); ok {
			return id
		}
	}
	return ""
}
