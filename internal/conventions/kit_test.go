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

// TestGoVersions: the images of CI and of a release have the Go of go.work.
func TestGoVersions(t *testing.T) {
	t.Parallel()
	want := find(t, "go.work", `(?m)^go (\S+)$`)
	for _, file := range []string{".github/workflows/ci.yml", "deploy/release.Dockerfile"} {
		if got := find(t, file, `golang:([\d.]+)`); got != want {
			t.Errorf("%s has Go %s, go.work %s", file, got, want)
		}
	}
}

// TestGoreleaser: "make release" checks with the version whose types the test of the module
// deploy reads .goreleaser.yaml with.
func TestGoreleaser(t *testing.T) {
	t.Parallel()
	if got, want := find(t, "Makefile", `goreleaser/v2@(v\S+)`), find(t, "deploy/go.mod", `goreleaser/v2 (v\S+)`); got != want {
		t.Errorf("the Makefile runs goreleaser %s, deploy/go.mod requires %s", got, want)
	}
}

// ours matches a requirement on a module of ours, in a go.mod file.
var ours = regexp.MustCompile(`(?m)^\t?(?:require )?(github\.com/delayd-io/delayd\S*) (v\S+)`)

// TestModules: the modules of the workspace name one release of each other, which go.work
// replaces by their folders, and have no replacements of their own: with those nobody could
// install them.
func TestModules(t *testing.T) {
	t.Parallel()
	work := readFile(t, "go.work")
	replaced := make(map[string]bool) // "module version"
	for _, r := range regexp.MustCompile(`(?m)^\t(github\.com/delayd-io/delayd\S* v\S+) => \./`).FindAllStringSubmatch(work, -1) {
		replaced[r[1]] = true
	}
	versions := make(map[string]bool)
	for _, use := range regexp.MustCompile(`(?m)^\t(\.\S*)$`).FindAllStringSubmatch(work, -1) {
		file := filepath.Join(use[1], "go.mod")
		text := readFile(t, file)
		if strings.Contains(text, "\nreplace ") {
			t.Errorf("%s has a replacement", file)
		}
		for _, r := range ours.FindAllStringSubmatch(text, -1) {
			versions[r[2]] = true
			if !replaced[r[1]+" "+r[2]] {
				t.Errorf("%s requires %s %s, which go.work does not replace", file, r[1], r[2])
			}
		}
	}
	if len(versions) != 1 {
		t.Errorf("the modules require each other in the versions %v, want one", versions)
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
