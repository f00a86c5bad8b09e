package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args string
		code int
		want string // in what is printed
	}{
		{"--list", exitOK, "kill-loop"},
		{"run --list --row kill-*", exitOK, "kill-loop"},
		{"--help", exitOK, "random"},
		{"--row nothing", exitUsage, "--list shows all"},
		{"--rate 0", exitUsage, "--rate 0: write a number from 1 to 100000"},
		{"--backlog 0", exitUsage, "--backlog 0: write a number from 1"},
		{"--list --row upgrade", exitOK, "upgrade"},
		{"--records=-1", exitUsage, "--records -1: write a number from 1"},
		{"--timeline x.pdf", exitUsage, "only SVG and PNG are drawn"},
		{"--delivery twice", exitUsage, "--delivery"},
	} {
		var out, stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(tc.args), &out, &stderr)
		if got := out.String() + stderr.String(); code != tc.code || !strings.Contains(got, tc.want) {
			t.Errorf("%s: exit code %d, want %d, and %q in\n%s", tc.args, code, tc.code, tc.want, got)
		}
	}
}
