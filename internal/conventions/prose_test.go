package conventions

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rule is a pattern that pages and doc comments do not have, and what to write.
type rule struct {
	pattern *regexp.Regexp
	write   string
}

// prose are the patterns of English that is translated word by word, or private to us.
var prose = []rule{
	{regexp.MustCompile(`\bit is (looked|told|waited|tried)\b`), "the subject first: the router retries"},
	{regexp.MustCompile(`(?i)\bmend(s|ed|ing)?\b`), "fix"},
	{regexp.MustCompile(`\btold\b`), "reported, known, recorded"},
	{regexp.MustCompile(`\bby now\b`), "the state: due and not delivered yet"},
	{regexp.MustCompile(`\bso many\b`), "the number, or at a rate of"},
	{regexp.MustCompile(`\bwhat is (on its way|aside|behind|away)\b`), "records in flight, parked records"},
	{regexp.MustCompile(`(?i)\bfor (who|whoever)\b`), "for, and who: for operators"},
	{regexp.MustCompile(`(?i)\blook(s|ed|ing)? after\b`), "manage"},
	{regexp.MustCompile(` has (it|franz-go|them) [a-z]+`), "makes it, or the verb itself"},
	{regexp.MustCompile(`\b(bury|buried|buries|mourns?)\b`), "dead-letter"},
	{regexp.MustCompile(`\bnot more than\b`), "at most"},
}

// check reports each place of the text where a rule is broken.
func check(text string) (found []string) {
	text = strings.Join(strings.Fields(text), " ") // patterns may stand across lines
	for _, r := range prose {
		for _, at := range r.pattern.FindAllStringIndex(text, -1) {
			around := text[max(0, at[0]-40):min(len(text), at[1]+20)]
			found = append(found, `"`+strings.ToValidUTF8(around, "")+`": write `+r.write)
		}
	}
	return found
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"The router retries. A mended topic\nis what is\naside.": 2, "It has them wait for whoever asks.": 2, "Recommended, amended.": 0,
	} {
		if got := check(text); len(got) != want {
			t.Errorf("%q: found %q, want %d", text, got, want)
		}
	}
}

// TestProseOfPages: no page has a pattern that we do not write. What stands in code, and in
// the tables of old names, is not prose.
func TestProseOfPages(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) < 10 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md"} {
		pages = append(pages, filepath.Join(root, name))
	}
	code := regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	for _, page := range pages {
		name, err := filepath.Rel(root, page)
		if err != nil {
			t.Fatal(err)
		}
		text := readFile(t, name)
		if name == filepath.Join("docs", "glossary.md") {
			text, _, _ = strings.Cut(text, "## Words that we do not use")
		}
		for _, found := range check(code.ReplaceAllString(text, "…")) {
			t.Errorf("%s: %s", name, found)
		}
	}
}

// documented are the packages whose exported documentation is checked. The others follow as
// they are rewritten.
var documented = []string{".", "levels", "router", "forwarder", "admin", "delaydtest", "telemetry", "delaydotel", "delaydprom"}

// TestProseOfComments: no doc comment of an exported name has such a pattern.
func TestProseOfComments(t *testing.T) {
	t.Parallel()
	for _, folder := range documented {
		files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no files: %v", folder, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range exportedDocs(parsed) {
				for _, found := range check(text) {
					t.Errorf("%s: %s", file, found)
				}
			}
		}
	}
}

// exportedDocs returns the package's documentation and that of exported declarations and
// their fields.
func exportedDocs(file *ast.File) []string {
	docs := []string{file.Doc.Text()}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.IsExported() {
				docs = append(docs, n.Doc.Text())
			}
			return false
		case *ast.GenDecl:
			docs = append(docs, n.Doc.Text())
		case *ast.TypeSpec:
			if n.Name.IsExported() {
				docs = append(docs, n.Doc.Text())
			}
			return n.Name.IsExported()
		case *ast.ValueSpec:
			if slices.ContainsFunc(n.Names, (*ast.Ident).IsExported) {
				docs = append(docs, n.Doc.Text(), n.Comment.Text())
			}
		case *ast.Field:
			if slices.ContainsFunc(n.Names, (*ast.Ident).IsExported) {
				docs = append(docs, n.Doc.Text(), n.Comment.Text())
			}
		}
		return true
	})
	return docs
}
