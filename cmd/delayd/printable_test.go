package main

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/levels"
)

// TestForeignTextIsPrintedAsText has every command print what others chose: neither
// bytes that a terminal acts on come out, nor lines that somebody else wrote.
func TestForeignTextIsPrintedAsText(t *testing.T) {
	t.Parallel()
	broker := kafka(t)
	const evil = "evil\x1b[2J\r\n\u202eforged: all is well"
	cl := producer(t, broker)
	var offsets kadm.Offsets
	offsets.AddOffset("delay.level.5s", 0, 0, -1)
	if err := kadm.NewClient(cl).CommitAllOffsets(t.Context(), evil, offsets); err != nil {
		t.Fatal(err)
	}
	for _, p := range []admin.Paused{{Target: "orders", Reason: evil}, {Level: "5s", Reason: evil}} {
		if err := admin.Pause(t.Context(), cl, levels.Names{Prefix: levels.DefaultPrefix}, p); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range []string{
		"status --levels=5s", "status --levels=5s -o wide", "plan --levels=5s --partitions=2", "provision --levels=5s --partitions=2",
	} {
		_, stdout, stderr := runDelayd(t, "", append(append([]string{"admin"}, strings.Fields(args)...), "--brokers", broker)...)
		if !strings.Contains(stdout, `evil\x1b[2J\r\n`) {
			t.Errorf("%s does not show what this is about:\n%s", args, stdout)
		}
		for line := range strings.Lines(stdout + stderr) {
			if strings.ContainsAny(line, "\x1b\r\u202e") || strings.HasPrefix(line, "forged") || strings.HasPrefix(line, "\u202eforged") {
				t.Errorf("%s prints %q", args, line)
			}
		}
	}
}
