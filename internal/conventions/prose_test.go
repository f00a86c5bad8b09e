package conventions

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"iter"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rule is a pattern that prose does not have, and what to write.
type rule struct {
	pattern *regexp.Regexp
	write   string
}

// everywhere are the patterns that no text and no comment has: English that is translated
// word by word, or private to us.
var everywhere = []rule{
	{regexp.MustCompile(`\bit (is|was) (looked|told|tried)\b|\bit (is|was) waited (until|that|whether)\b`), "the subject first: the router retries"},
	{regexp.MustCompile(`\b(is|are|was|were|be|being) looked (up|for|at)\b`), "who does it, and how: checks, reads, searches, asks the broker"},
	{regexp.MustCompile(`\b(is|are|was|were|be|been) told( (of|in|with|at|by|from|as|what|that|once|so|where|how|when|before|the|it)\b|[.,:;)]|$)`), "reported, known, recorded, called"},
	{regexp.MustCompile(`(?i)\bmend(s|ed|ing)?\b`), "fix"},
	{regexp.MustCompile(`\bby now\b`), "the state: due and not delivered yet"},
	{regexp.MustCompile(`\bso many (a|at|of|percent|records|bytes|[a-z]+s)\b`), "the number, or at a rate of"},
	{regexp.MustCompile(`\bwhat is (on its way|aside|behind|away)\b`), "records in flight, parked records"},
	{regexp.MustCompile(`(?i)\bfor (who|whoever)\b`), "for, and who: for operators"},
	{regexp.MustCompile(`(?i)\blook(s|ed|ing)? after\b`), "manage, check"},
	{regexp.MustCompile(` (has|have) (it|franz-go|them) (be |go |wait|begin|start|stop|read|sen[dt]|ma[dk]e|abort|fix)[a-z]*`), "makes it, or the verb itself"},
	{regexp.MustCompile(`\bnot more than\b`), "at most"},
	{regexp.MustCompile(`\b(comes?|came|arrives?|arrived) twice\b`), "duplicates"},
}

// forUsers are the patterns that texts for users do not have besides: pages, the
// documentation of exported names, help, log messages and errors.
var forUsers = append([]rule{
	{regexp.MustCompile(`\b(bury|buried|buries|mourns?)\b`), "dead-letter"},
	{regexp.MustCompile(`\btold\b`), "reported, known, recorded"},
	{regexp.MustCompile(`\bso many\b`), "the number, or at a rate of"},
	{regexp.MustCompile(` has (it|franz-go|them) [a-z]+`), "makes it, or the verb itself"},
	{regexp.MustCompile(`\b[Ww]e\b`), "delayd, or the passive voice where it does not matter who"},
}, everywhere...)

// maxWords is how many words a sentence has at most, in code and in pages but their tables.
// Semicolons and colons end one.
const maxWords = 30

// longSentences reports each sentence of a text with more than maxWords words.
func longSentences(text string) (found []string) {
	for _, sentence := range regexp.MustCompile(`[.;:?!]["')*]*\s|\n\s*\n`).Split(text, -1) {
		if words := strings.Fields(sentence); len(words) > maxWords {
			found = append(found, fmt.Sprintf("%q… has %d words: write two sentences, of at most %d", strings.Join(words[:8], " "), len(words), maxWords))
		}
	}
	return found
}

// check reports each place of the text where a rule is broken.
func check(text string, rules []rule) (found []string) {
	text = strings.Join(strings.Fields(text), " ") // patterns may stand across lines
	for _, r := range rules {
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
		"What we were told comes\ntwice.": 1, "The loss is told by the log, levels are told apart.": 1, "Topics are looked\nup.": 1, "An error has it already.": 0,
	} {
		if got := check(text, everywhere); len(got) != want {
			t.Errorf("%q: found %q, want %d", text, got, want)
		}
	}
	if got := check("What we were told comes twice.", forUsers); len(got) != 3 {
		t.Errorf("found %q, want 3", got)
	}
	words := strings.Repeat("word ", maxWords)
	for text, want := range map[string]int{words + "end.": 1, words + "\n\n" + words: 0, words[5:] + "end. " + words: 0, words[5:] + "end; " + words + "end": 1} {
		if got := longSentences(text); len(got) != want {
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
	for _, page := range pages {
		name, err := filepath.Rel(root, page)
		if err != nil {
			t.Fatal(err)
		}
		text := readFile(t, name)
		if name == filepath.Join("docs", "glossary.md") {
			text, _, _ = strings.Cut(text, "## Ruled-out words")
		}
		text = withoutCode(text)
		for _, found := range append(check(text, forUsers), longSentences(items(text))...) {
			t.Errorf("%s: %s", name, found)
		}
	}
}

// items returns a page without its tables, and with each item of a list as a paragraph.
func items(page string) string {
	page = regexp.MustCompile(`(?m)^\s*\|.*$`).ReplaceAllString(page, "")
	return regexp.MustCompile(`(?m)^\s*([-*#>]+|\d+\.) `).ReplaceAllString(page, "\n\n")
}

// documented are the packages of the library, whose exported documentation users read.
var documented = []string{".", "levels", "router", "forwarder", "admin", "admin/deadletter", "delaydtest", "telemetry", "delaydotel", "delaydprom"}

// TestProseOfCode: no comment has such a pattern or too long a sentence. Nor has the
// documentation of the library, a log message, an error, or the help of the program.
func TestProseOfCode(t *testing.T) {
	t.Parallel()
	texts := make(map[string]int)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "node_modules") {
			return cmp.Or(err, fs.SkipDir)
		}
		folder, file := filepath.Split(strings.TrimPrefix(path, root+"/"))
		if filepath.Ext(file) != ".go" || file == "prose_test.go" {
			return nil
		}
		files := token.NewFileSet()
		parsed, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, comment := range parsed.Comments {
			texts["comments"]++
			for _, found := range append(check(comment.Text(), everywhere), longSentences(paragraphs(comment.Text()))...) {
				t.Errorf("%v: %s", files.Position(comment.Pos()), found)
			}
		}
		if slices.Contains(documented, filepath.Clean(folder)) && !strings.HasSuffix(file, "_test.go") {
			for _, text := range exportedDocs(parsed) {
				texts["documentation"]++
				for _, found := range check(text, forUsers) {
					t.Errorf("%s: %s", path, found)
				}
			}
		}
		for text := range textsOf(parsed) {
			texts[text.kind]++
			for _, found := range append(check(text.text, forUsers), longSentences(text.text)...) {
				t.Errorf("%v: %s: %s", files.Position(text.at), text.kind, found)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for kind, least := range map[string]int{"comments": 5000, "documentation": 400, "a log message": 90, "an error": 500, "help": 150} {
		if texts[kind] < least {
			t.Errorf("%d texts that are %s were checked, want at least %d", texts[kind], kind, least)
		}
	}
}

// paragraphs returns a comment without its drawings, lists and code, which are indented.
func paragraphs(text string) string {
	if strings.HasPrefix(text, "Output:") {
		return ""
	}
	return regexp.MustCompile(`(?m)^[\t ].*$`).ReplaceAllString(text, "")
}

// text is a string that people read.
type text struct {
	kind, text string
	at         token.Pos
}

// textsOf returns the log messages, the errors and the help of a file.
func textsOf(file *ast.File) iter.Seq[text] {
	return func(yield func(text) bool) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				kind := kindOf(n.Fun)
				if kind == "" {
					return true
				}
				for _, arg := range n.Args {
					if s, ok := literal(arg); ok && !yield(text{kind, s, arg.Pos()}) {
						return false
					}
				}
			case *ast.Field:
				if n.Tag == nil {
					return true
				}
				tag, _ := literal(n.Tag)
				if help := reflect.StructTag(tag).Get("help"); help != "" {
					return yield(text{"help", help, n.Tag.Pos()})
				}
			}
			return true
		})
	}
}

// kindOf says what the strings are that a function is called with, "" for others.
func kindOf(fun ast.Expr) string {
	called, ok := fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	of, _ := called.X.(*ast.Ident)
	switch {
	case called.Sel.Name == "Msg" || called.Sel.Name == "Msgf":
		return "a log message"
	case of != nil && (of.Name+"."+called.Sel.Name == "fmt.Errorf" || of.Name+"."+called.Sel.Name == "errors.New"):
		return "an error"
	}
	return ""
}

// literal returns the value of a string, also of several that are joined.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, a := literal(e.X)
		right, b := literal(e.Y)
		return left + right, a || b
	}
	return "", false
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
