package conventions

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// figure matches a measured figure: a number of at least three digits that count, with its
// unit. Rounder ones are bounds and settings.
var figure = regexp.MustCompile(`(?:^|[^\w.,:-])(\d[\d,.]*\d)(/s| (?:a second|records a second|MiB|ms|s late)\b)`)

// limits are no figures: sizes that somebody sets are powers of two.
var limits = []string{"128", "256", "512"}

// figures returns the measured figures of a page, each number as it is written.
func figures(page string) []string {
	var found []string
	for _, match := range figure.FindAllStringSubmatch(withoutCode(page), -1) {
		if digits := strings.Trim(strings.NewReplacer(",", "", ".", "").Replace(match[1]), "0"); len(digits) >= 3 && !slices.Contains(limits, match[1]) {
			found = append(found, match[1])
		}
	}
	return found
}

// withoutCode returns a page without what stands in code.
func withoutCode(page string) string {
	return regexp.MustCompile("(?s)```.*?```|`(?:[^`\n]|\n[^`\n])*`").ReplaceAllString(page, "…")
}

func TestFindsFigures(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"released 457,000 records a second, 1.66 s": "457,000", "| 10.3 ms | 2,000/s |": "10.3",
		"up to 20,000 records, 256 MiB": "", "`--rate 1234/s` in 10 ms": "", "46 to 58.4 MiB, 457,001/s": "58.4 457,001",
	} {
		if got := strings.Join(figures(text), " "); got != want {
			t.Errorf("%q: found %q, want %q", text, got, want)
		}
	}
}

// measured are the pages whose figures stand there alone.
var measured = []string{"performance.md", "reliability.md"}

// compared are the pages that show a figure of docs/performance.md beside others: theirs
// are the same.
var compared = []string{"README.md", "docs/comparison.md"}

// TestFiguresStandOnce: a figure that was measured stands in one page, so that no copy of it
// is left behind when it is measured again.
func TestFiguresStandOnce(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) < 10 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	for _, name := range measured {
		page, _, _ := strings.Cut(readFile(t, filepath.Join("docs", name)), "## A large installation, on paper")
		numbers := make(map[string]bool)
		for _, number := range figures(page) {
			numbers[number] = true
		}
		if len(numbers) < 10 {
			t.Errorf("docs/%s has %d figures, want more", name, len(numbers))
		}
		for _, other := range append(pages, filepath.Join(root, "README.md")) {
			file, err := filepath.Rel(root, other)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Base(file) == name || file == compared[0] || file == compared[1] {
				continue
			}
			for _, number := range figures(readFile(t, file)) {
				if numbers[number] {
					t.Errorf("%s has the figure %s of docs/%s: link to it", file, number, name)
				}
			}
		}
	}
}

// TestComparedFigures: what the README and the comparison say of delayd's own figures is
// what docs/performance.md says.
func TestComparedFigures(t *testing.T) {
	t.Parallel()
	page := readFile(t, "docs/performance.md")
	said := map[string]string{
		compared[0]: find(t, compared[0], `(?m)^(At 2,000 records a second the median lateness is .* ms)`),
		compared[1]: find(t, compared[1], `(?m)^\| delayd, straight to the level \| ([^\n]*?) \| [^|]* twice \|$`),
	}
	for file, text := range said {
		for _, number := range regexp.MustCompile(`\d[\d,.]*\d`).FindAllString(text, -1) {
			if !regexp.MustCompile(`(^|[^\d.,])` + regexp.QuoteMeta(number) + `([^\d]|$)`).MatchString(page) {
				t.Errorf("%s says %s of delayd, docs/performance.md does not", file, number)
			}
		}
	}
}
