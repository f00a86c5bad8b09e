package conventions

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// find returns what the pattern's group matches in a file.
func find(t *testing.T, file, pattern string) string {
	t.Helper()
	match := regexp.MustCompile(pattern).FindStringSubmatch(readFile(t, file))
	if match == nil {
		t.Fatalf("%s has nothing like %s", file, pattern)
	}
	return match[1]
}

// TestGoVersions: the images of CI and of a release have the Go of go.mod.
func TestGoVersions(t *testing.T) {
	t.Parallel()
	want := find(t, "go.mod", `(?m)^go (\S+)$`)
	for _, file := range []string{".github/workflows/ci.yml", "deploy/release.Dockerfile"} {
		if got := find(t, file, `golang:([\d.]+)`); got != want {
			t.Errorf("%s has Go %s, go.mod %s", file, got, want)
		}
	}
}

// TestReleaseImage: the image of a release starts as the one that the Dockerfile builds.
func TestReleaseImage(t *testing.T) {
	t.Parallel()
	const start = `(?s)(USER .*)$`
	if got, want := find(t, "deploy/release.Dockerfile", start), find(t, "Dockerfile", start); got != want {
		t.Errorf("deploy/release.Dockerfile ends in\n%s\nthe Dockerfile in\n%s", got, want)
	}
}

// TestPackagedUnit: the packages' unit serves with the arguments of the unit itself.
func TestPackagedUnit(t *testing.T) {
	t.Parallel()
	const start = `(?m)^ExecStart=\S+/delayd (.*)$`
	if got, want := find(t, "deploy/systemd/package.conf", start), find(t, "deploy/systemd/delayd.service", start); got != want {
		t.Errorf("deploy/systemd/package.conf starts delayd %s, the unit delayd %s", got, want)
	}
}

// TestMakeTargets: every target that a page or a workflow names exists, and "make test" is
// the README's command.
func TestMakeTargets(t *testing.T) {
	t.Parallel()
	makefile := readFile(t, "Makefile")
	for _, file := range []string{".ci/run", ".github/workflows/ci.yml", ".github/PULL_REQUEST_TEMPLATE.md", "CONTRIBUTING.md"} {
		for _, command := range regexp.MustCompile("(?m)(?:^\\s*|run: |`)make ([a-z ]+)").FindAllStringSubmatch(readFile(t, file), -1) {
			for _, target := range strings.Fields(command[1]) {
				if !strings.Contains(makefile, "\n"+target+":") {
					t.Errorf("%s names make %s, which the Makefile does not have", file, target)
				}
			}
		}
	}
	if got, want := find(t, "Makefile", `(?m)^test:.*\n\t(.*)$`), find(t, "README.md", `(?m)^(go test .*\S) +#`); got != want {
		t.Errorf("make test runs %s, the README says %s", got, want)
	}
}

// TestLinks: the files for contributors name only files that exist.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md"} {
		for _, link := range regexp.MustCompile(`\]\(([^)#:\s]+)`).FindAllStringSubmatch(readFile(t, file), -1) {
			if link[1] == "https" {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, link[1])); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}
