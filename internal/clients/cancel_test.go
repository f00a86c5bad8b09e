//go:build realkafka

package clients

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/kafkatest"
	"github.com/delayd-io/delayd/levels"
)

// cancelPrograms are those that cancel and replace what they have sent.
var cancelPrograms = map[string]program{
	"kcat": func(t *testing.T, target string) *exec.Cmd {
		kafkatest.Kcat(t)
		return exec.CommandContext(patient(t), filepath.Join(programs, "kcat-cancel.sh"), brokers(), target)
	},
	"python": func(t *testing.T, target string) *exec.Cmd { return pythonProgram(t, "cancel.py", target) },
	"java":   func(t *testing.T, target string) *exec.Cmd { return javaProgram(t, "Cancel", target) },
}

// TestCancelPrograms runs the programs that cancel one record and replace another. Neither
// is refused: there is a mark for each, and no dead letter.
func TestCancelPrograms(t *testing.T) {
	names := levels.Names{Prefix: levels.DefaultPrefix}
	marks, letters := written(t, names.Cancel()), written(t, names.Dead())
	runPrograms(t, cancelPrograms, "cancelling-", func(target string) { createTopicOf(t, target, 1) }, checkCancelled)
	if n, want := written(t, names.Cancel())-marks, int64(2*len(cancelPrograms)); n != want {
		t.Errorf("%d marks were written, want %d", n, want)
	}
	if n := written(t, names.Dead()) - letters; n != 0 {
		t.Errorf("%d records are dead letters", n)
	}
}

// written returns how many records were written to a topic so far.
func written(t *testing.T, topic string) (n int64) {
	t.Helper()
	ends, err := kadm.NewClient(newClient(t)).ListEndOffsets(t.Context(), topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

// checkCancelled looks at what a program printed, and at its target: the replacement came
// first, when it was due, and after it the record that is due behind all others.
func checkCancelled(t *testing.T, name, out string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "order-2\treplaced\t") || !strings.HasPrefix(lines[1], "order-3\tthe last\t") {
		t.Errorf("%s printed %q, want order-2 as it was replaced, and order-3", name, lines)
		return
	}
	due, err1 := strconv.ParseInt(printedHeader(lines[0], levels.HeaderDue), 10, 64)
	accepted, err2 := strconv.ParseInt(printedHeader(lines[0], levels.HeaderAccepted), 10, 64)
	if wait := due - accepted; err1 != nil || err2 != nil || wait < 4000 || wait > 4001 || printedID(lines[0]) != "cancelling-"+name+"-2" {
		t.Errorf("%s: %s: waited %d ms, want 4000, with its id", name, lines[0], wait)
	}
	var arrived []string
	readTopic(t, "cancelling-"+name, kgo.NewOffset().AtStart(), func(r *kgo.Record) bool {
		arrived = append(arrived, string(r.Key)+" "+string(r.Value))
		return string(r.Key) == "order-3"
	})
	if got, want := strings.Join(arrived, ", "), "order-2 replaced, order-3 the last"; got != want {
		t.Errorf("%s: %s arrived, want %s", name, got, want)
	}
}
