package api

import (
	"flag"
	"go/types"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/api")

// golden has a file for each package whose API docs/go.md promises to keep.
const golden = "../../testdata/api"

// public are those packages.
var public = []string{"./levels", "./router", "./forwarder", "./admin", "./admin/deadletter", "./delaydtest", "./telemetry", "./delaydotel", "./delaydprom"}

// TestAPI: the exported API is what testdata/api says. To write it after a change that
// is wanted:
//
//	go test ./internal/api -update
func TestAPI(t *testing.T) {
	for _, pkg := range load(t, "../..", public...) {
		compare(t, filepath.Join(golden, pkg.Name()+".txt"), Text(pkg))
	}
}

// TestText: all that a program can depend on is in the text, and nothing else is.
func TestText(t *testing.T) {
	compare(t, "testdata/sample.txt", Text(load(t, "testdata/sample", ".")[0]))
}

func load(t *testing.T, dir string, patterns ...string) []*types.Package {
	t.Helper()
	pkgs, err := Load(dir, patterns...)
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) != len(patterns) {
		t.Fatalf("%d packages, want %d", len(pkgs), len(patterns))
	}
	return pkgs
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the API is not that of %s (-file +code):\n%s\nif that is wanted: go test ./internal/api -update", file, diff)
	}
}
