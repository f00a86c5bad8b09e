package guide

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// page shows the code of this package, and a test of delaydtest's.
const page = "../../docs/go.md"

// TestPageShowsTheCode: every Go block of the page stands as it is in a file that is
// built and run. A file may be shown in part.
func TestPageShowsTheCode(t *testing.T) {
	var sources []string
	for _, pattern := range []string{"*_test.go", "*/main.go", "../../delaydtest/example_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		for _, file := range files {
			sources = append(sources, read(t, file))
		}
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read(t, page), -1)
	if len(blocks) < 8 {
		t.Errorf("the page has %d Go blocks, want at least 8", len(blocks))
	}
	for _, block := range blocks {
		if !shown(sources, block[1]) {
			t.Errorf("no file of internal/guide or delaydtest has this block of docs/go.md:\n%s", block[1])
		}
	}
}

// shown reports whether a source has the block.
func shown(sources []string, block string) bool {
	for _, source := range sources {
		if strings.Contains(source, block) {
			return true
		}
	}
	return false
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
