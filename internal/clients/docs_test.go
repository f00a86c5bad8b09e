package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// docs is the page that shows the programs.
const docs = "../../docs/clients.md"

// programs is the folder of the clients' programs, from any folder.
var programs = func() string {
	dir, err := filepath.Abs("../../testdata/clients")
	if err != nil {
		panic(err)
	}
	return dir
}()

// shown are the files that the page shows whole, with the language of the block.
var shown = map[string]string{
	"kcat.sh": "sh", "console.sh": "sh", "java/Delay.java": "java", "spring/Delay.java": "java", "connect/connect.sh": "sh",
	"python/delay.py": "python", "kafka-python/delay.py": "python", "node/delay.mjs": "js", "kafkajs/delay.mjs": "js",
	"sarama/main.go": "go", "franz/main.go": "go", "kafka-go/main.go": "go", "rust/src/bin/delay.rs": "rust",
}

// excerpts are the files of which the page shows the lines between marks.
var excerpts = map[string]struct{ mark, language string }{
	"kcat-retry.sh": {"retry", "sh"}, "java/Retry.java": {"retry", "java"}, "java/ShareRetry.java": {"retry", "java"},
	"python/retry.py": {"retry", "python"}, "node/retry.mjs": {"retry", "js"}, "franz/retry/main.go": {"retry", "go"},
	"kcat-cancel.sh": {"cancel", "sh"}, "java/Cancel.java": {"cancel", "java"}, "python/cancel.py": {"cancel", "python"},
}

// excerpt returns the lines of a program between the comments "begin" and "end" with a
// mark, without what all of them are indented by.
func excerpt(t *testing.T, file, mark string) string {
	t.Helper()
	_, rest, ok := strings.Cut(readFile(t, filepath.Join(programs, file)), " begin "+mark+"\n")
	lines, _, ends := strings.Cut(rest, " end "+mark+"\n")
	if !ok || !ends {
		t.Fatalf("testdata/clients/%s has no lines between begin %s and end %[2]s", file, mark)
	}
	lines = lines[:strings.LastIndex(lines, "\n")+1] // the comment's own line
	indent := lines[:len(lines)-len(strings.TrimLeft(lines, " \t"))]
	var text strings.Builder
	for line := range strings.Lines(lines) {
		text.WriteString(strings.TrimPrefix(line, indent))
	}
	return text.String()
}

func TestDocsShowThePrograms(t *testing.T) {
	page := readFile(t, docs)
	for file, language := range shown {
		block := "```" + language + "\n" + readFile(t, filepath.Join(programs, file)) + "```\n"
		if !strings.Contains(page, block) {
			t.Errorf("docs/clients.md does not show testdata/clients/%s as it is", file)
		}
	}
	for file, e := range excerpts {
		if !strings.Contains(page, "```"+e.language+"\n"+excerpt(t, file, e.mark)+"```\n") {
			t.Errorf("docs/clients.md does not show the lines of testdata/clients/%s as they are", file)
		}
	}
	if n := strings.Count(page, "\n```\n"); n != len(shown)+len(excerpts) {
		t.Errorf("docs/clients.md has %d blocks, want the %d programs, %d excerpts and nothing else", n, len(shown), len(excerpts))
	}
}

func TestDocsShowWhatClientsCan(t *testing.T) {
	if table := supportTable(); !strings.Contains(readFile(t, docs), table) {
		t.Errorf("docs/clients.md does not have this table:\n%s", table)
	}
}

// The README's commands for kcat are run by TestReadme, on a real Kafka.
func readmeCommands(t *testing.T) (commands []string) {
	t.Helper()
	for line := range strings.Lines(readFile(t, "../../README.md")) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "kcat ") || strings.Contains(line, "| kcat ") {
			commands = append(commands, line)
		}
	}
	return commands
}

func TestReadmeHasCommands(t *testing.T) {
	if got := readmeCommands(t); len(got) != 2 || !strings.Contains(got[0], "-P") || !strings.Contains(got[1], "-C") {
		t.Errorf("README.md's commands for kcat are %q, want one that produces and one that consumes", got)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
