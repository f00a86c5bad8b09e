package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages are the README and all that it leads to.
func pages(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(docs) == 0 {
		t.Fatalf("no pages in docs: %v", err)
	}
	return append(docs, "../../README.md", "../../CHANGELOG.md")
}

// A link within the repository leads to a file that is there, and to a heading of it.
func TestPageLinks(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(readFile(t, page), -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			name, heading, _ := strings.Cut(link[1], "#")
			file := page
			if name != "" {
				file = filepath.Join(filepath.Dir(page), name)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %v", page, err)
			} else if heading != "" && !slices.Contains(anchors(readFile(t, file)), heading) {
				t.Errorf("%s: %s has no heading #%s", page, file, heading)
			}
		}
	}
}

// anchors are what GitHub calls the headings of a page: in lower case, without
// punctuation, with dashes for spaces.
func anchors(page string) (names []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		name := regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

func TestAnchors(t *testing.T) {
	t.Parallel()
	got := strings.Join(anchors("# One: `two`, three\n\ntext # no\n## A_b c-d\n"), " ")
	if want := "one-two-three a_b-c-d"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The tests that a page names exist: promises are tied to them by name.
func TestPagesNameTests(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z]+)`")
	defined := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(`)
	exist := make(map[string]bool)
	err := filepath.WalkDir("../..", func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			for _, name := range defined.FindAllStringSubmatch(readFile(t, path), -1) {
				exist[name[1]] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages(t) {
		for _, name := range named.FindAllStringSubmatch(readFile(t, page), -1) {
			if !exist[name[1]] {
				t.Errorf("%s names the test %s, which does not exist", page, name[1])
			}
		}
	}
}

// Each promise names a test that holds it. TestPagesNameTests sees that it exists.
func TestPromisesNameTests(t *testing.T) {
	t.Parallel()
	_, section, _ := strings.Cut(readFile(t, "../../docs/reliability.md"), "\n## The promises\n")
	section, _, _ = strings.Cut(section, "\n## ")
	promises := 0
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 5 || strings.TrimSpace(cells[1]) == "promise" || strings.HasPrefix(cells[1], "---") {
			continue
		}
		promises++
		if tests := cells[len(cells)-2]; !strings.Contains(tests, "`Test") {
			t.Errorf("no test holds the promise%s", cells[1])
		}
	}
	if promises < 10 {
		t.Errorf("%d promises were found", promises)
	}
}
