package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The golden file is a session at a terminal: commands behind "$ ", and below
// each what it prints.
func TestLevelsGolden(t *testing.T) {
	const file = "testdata/levels.golden"
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var session strings.Builder
	for line := range strings.Lines(string(golden)) {
		command, ok := strings.CutPrefix(line, "$ delayd ")
		if !ok {
			continue
		}
		words, err := splitWords(command)
		if err != nil {
			t.Fatal(err)
		}
		session.WriteString(line + succeed(t, "", words...) + "\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(session.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(golden), session.String()); diff != "" {
		t.Errorf("run the tests with -update if this is right (-want +got):\n%s", diff)
	}
}
