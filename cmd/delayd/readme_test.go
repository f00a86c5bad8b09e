package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// Every command that a page shows is one that delayd takes.
func TestReadmeCommandsParse(t *testing.T) {
	shown := map[string][]string{}
	for _, page := range pages(t) {
		shown[page] = readmeCommands(readFile(t, page))
	}
	t.Chdir("../..") // the files that commands name are named from there
	for page, commands := range shown {
		if len(commands) == 0 && filepath.Base(page) == "README.md" {
			t.Errorf("%s shows no delayd command in its code blocks", page)
		}
		for _, line := range commands {
			words, err := splitWords(line)
			if err != nil {
				t.Errorf("%s: delayd %s: %v", page, line, err)
				continue
			}
			helped := false
			con := &console{in: strings.NewReader(""), out: io.Discard, err: io.Discard}
			parser, err := newParser(con, func(int) { helped = true })
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parser.Parse(words); err != nil && !helped {
				t.Errorf("%s: delayd %s: %v", page, line, err)
			}
		}
	}
}

// readmeCommands are the arguments of each delayd command in the code blocks of
// a page: whatever stands behind "delayd" or "go run ./cmd/delayd" up to the end
// of the command. A backslash continues a line.
func readmeCommands(page string) []string {
	var commands []string
	inBlock := false
	for line := range strings.Lines(strings.ReplaceAll(page, "\\\n", " ")) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			inBlock = !inBlock
			continue
		}
		if !inBlock {
			continue
		}
		for _, part := range splitCommands(line) {
			if args, ok := delaydArgs(part); ok {
				commands = append(commands, args)
			}
		}
	}
	return commands
}

// splitCommands splits a line of a shell at "|", "&", ";" and ">" outside of quotes.
func splitCommands(line string) []string {
	var quote rune
	return strings.FieldsFunc(line, func(r rune) bool {
		switch {
		case quote == r:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		}
		return quote == 0 && strings.ContainsRune("|&;>", r)
	})
}

// delaydArgs takes what comes before the arguments off a command: a prompt, the
// environment, and the program's name.
func delaydArgs(command string) (args string, ok bool) {
	command = strings.TrimPrefix(strings.TrimSpace(command), "$ ")
	for {
		word, rest, _ := strings.Cut(command, " ")
		if name, _, assigns := strings.Cut(word, "="); !assigns || strings.ToUpper(name) != name {
			break
		}
		command = strings.TrimSpace(rest)
	}
	for _, program := range []string{"go run ./cmd/delayd", "./delayd", "delayd"} {
		if rest, found := strings.CutPrefix(command, program); found && (rest == "" || rest[0] == ' ') {
			return rest, true
		}
	}
	return "", false
}

func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	page := "delayd not in a block\n```sh\n$ delayd serve &\n  DELAYD_BROKERS=a:1 delayd tail orders  # watch\ndelayd levels 45m >/dev/null\n" +
		"echo 'a|b' | go run ./cmd/delayd send \\\n  --to orders\nkcat -t delayd\n```\ndelayd outside\n"
	got := strings.Join(readmeCommands(page), "\n")
	want := " serve\n tail orders  # watch\n levels 45m\n send    --to orders"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
