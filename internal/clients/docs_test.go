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

func TestDocsShowThePrograms(t *testing.T) {
	page := readFile(t, docs)
	for file, language := range shown {
		block := "```" + language + "\n" + readFile(t, filepath.Join(programs, file)) + "```\n"
		if !strings.Contains(page, block) {
			t.Errorf("docs/clients.md does not show testdata/clients/%s as it is", file)
		}
	}
	if n := strings.Count(page, "\n```\n"); n != len(shown) {
		t.Errorf("docs/clients.md has %d blocks, want the %d programs and nothing else", n, len(shown))
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
