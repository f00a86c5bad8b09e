package conventions

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ruledOut are the words of docs/glossary.md that no name may contain.
var ruledOut = []string{"lane", "sick", "mend", "mended", "mender", "bury", "mourn", "told", "house", "guest", "room", "aside", "twice", "no-way", "no-letter"}

// TestRuledOutWords: no exported name, flag, metric or JSON key has a word that the glossary
// rules out.
func TestRuledOutWords(t *testing.T) {
	t.Parallel()
	for place, names := range names(t) {
		if len(names) == 0 {
			t.Errorf("no names found in %s", place)
		}
		for _, name := range names {
			words := strings.Join(words(name), "-")
			for _, word := range ruledOut {
				if strings.Contains("-"+words+"-", "-"+word+"-") {
					t.Errorf("%s: %s has the word %q, which docs/glossary.md rules out", place, name, word)
				}
			}
		}
	}
}

// names returns every name that users see, by where it stands.
func names(t *testing.T) map[string][]string {
	t.Helper()
	found := make(map[string][]string)
	for _, page := range []string{"admin", "deadletter", "delaydotel", "delaydprom", "delaydtest", "forwarder", "levels", "router", "telemetry"} {
		file := filepath.Join("testdata", "api", page+".txt")
		found[file] = regexp.MustCompile(`\b[A-Z]\w+|"[a-z-]+"`).FindAllString(readFile(t, file), -1)
	}
	found["flags"] = regexp.MustCompile("`--[a-z-]+`").FindAllString(readFile(t, "docs/configuration.md"), -1)
	found["metrics"] = regexp.MustCompile("`delayd_[a-z_]+`").FindAllString(readFile(t, "docs/metrics.md"), -1)
	key := regexp.MustCompile(`json:"([a-z_]+)`)
	for _, folder := range []string{"admin", "cmd", "internal/control"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			for _, match := range key.FindAllStringSubmatch(readFile(t, name), -1) {
				found["JSON of "+folder] = append(found["JSON of "+folder], match[1])
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// words splits a name as it is spelled: noLetter, no-letter and no_letter are two words.
func words(name string) []string {
	var list []string
	for _, word := range regexp.MustCompile(`[A-Z]*[a-z0-9]+|[A-Z]+`).FindAllString(name, -1) {
		list = append(list, strings.ToLower(word))
	}
	return list
}

func TestWords(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"ResendNoLetter": "resend no letter", "delayd_sick_targets": "delayd sick targets", "`--no-way`": "no way", "ID": "id",
	} {
		if got := strings.Join(words(name), " "); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestGlossary: the glossary rules out what the test does, and is sorted.
func TestGlossary(t *testing.T) {
	t.Parallel()
	page := readFile(t, "docs/glossary.md")
	head, tail, ok := strings.Cut(page, "## Ruled-out words")
	if !ok {
		t.Fatal("docs/glossary.md rules out nothing")
	}
	for _, word := range ruledOut {
		if !regexp.MustCompile(`(?m)^\| [^|]*\b`+word).MatchString(tail) && word != "mender" {
			t.Errorf("docs/glossary.md does not rule out %s", word)
		}
	}
	var terms []string
	for _, row := range regexp.MustCompile(`(?m)^\| ([a-z -]+) \|`).FindAllStringSubmatch(head, -1) {
		terms = append(terms, row[1])
	}
	terms = slices.DeleteFunc(terms, func(term string) bool { return term == "word" })
	if len(terms) < 30 {
		t.Errorf("%d words, want thirty at least", len(terms))
	}
	if !slices.IsSorted(terms) {
		t.Errorf("the words are not sorted: %v", terms)
	}
}
