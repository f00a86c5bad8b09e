//go:build realkafka

package clients

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/delayd-io/delayd/internal/kafkatest"
)

// kcat is the path of the program.
type kcat string

func newKcat(t *testing.T) client { return kcat(kafkatest.Kcat(t)) }

// endOfKey stands between key and value on kcat's input.
const endOfKey = "-- end of key --"

func (k kcat) demo(t *testing.T, target string) *exec.Cmd {
	return exec.CommandContext(patient(t), filepath.Join(programs, "kcat.sh"), brokers(), target)
}

// send calls kcat once for each record: its headers are for all of a call.
func (k kcat) send(t *testing.T, codec, end string, recs []record) {
	t.Helper()
	for _, r := range recs {
		args := []string{"-P", "-b", brokers(), "-X", "topic.partitioner=murmur2_random", "-t", r.Topic, "-z", codec, "-D", endOfRecord}
		for _, h := range r.Headers {
			arg := h.Key
			if h.Value != nil {
				arg += "=" + string(h.Value)
			}
			args = append(args, "-H", arg)
		}
		if end != "" {
			args = append(args, "-X", "transactional.id=kcat")
		}
		if r.Value == nil {
			args = append(args, "-Z")
		}
		var input []byte
		// It takes no message for an empty one without a key, and with -Z a key that is
		// empty is null too.
		if r.Key != nil || r.Value == nil {
			args = append(args, "-K", endOfKey)
			input = slices.Concat(r.Key, []byte(endOfKey))
		}
		input = slices.Concat(input, r.Value, []byte(endOfRecord))
		cmd := exec.CommandContext(patient(t), string(k), args...)
		if end == "abort" {
			k.abort(t, cmd, input, r)
		} else {
			run(t, cmd, input)
		}
	}
}

// stdinBlock is more than kcat waits for on its input before it looks at what came.
const stdinBlock = 8192

// abort interrupts kcat when the broker has its record. It leaves its transaction
// open then, and the next call, with the same transactional id, aborts it.
func (k kcat) abort(t *testing.T, cmd *exec.Cmd, input []byte, r record) {
	t.Helper()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	written := appended(t, r.Topic, idOf(r))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdin.Write(append(input, make([]byte, stdinBlock)...)); err != nil {
		t.Fatal(err)
	}
	written()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	stdin.Close() // it ends when it has read on
	if err := cmd.Wait(); err == nil {
		t.Errorf("%s ended as if it had not been interrupted\n%s", cmd, errs.String())
	}
}

func (k kcat) read(t *testing.T, topic string, n int) []string {
	t.Helper()
	return printed(run(t, exec.CommandContext(patient(t), string(k), "-C", "-b", brokers(), "-t", topic, "-q",
		"-o", "beginning", "-c", strconv.Itoa(n), "-f", "%K:%k %S:%s %h"+strings.ReplaceAll(endOfRecord, "\n", `\n`)), nil))
}

// print has a length of -1 for null.
func (kcat) print(r record) string {
	length := func(b []byte) int {
		if b == nil {
			return -1
		}
		return len(b)
	}
	var hs []string
	for _, h := range r.Headers {
		text := string(h.Value)
		if h.Value == nil {
			text = "NULL"
		}
		hs = append(hs, h.Key+"="+text)
	}
	return fmt.Sprintf("%d:%s %d:%s %s", length(r.Key), r.Key, length(r.Value), r.Value, strings.Join(hs, ","))
}
