//go:build unix

package kafkatest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// Test packages run at the same time, each in a process of its own: only one may
// fetch. Here a script stands for mvn.
func TestJarsAreFetchedOnce(t *testing.T) {
	bin, calls := t.TempDir(), filepath.Join(t.TempDir(), "calls")
	script := `#!/bin/sh
echo called >>"` + calls + `"
for arg; do
	case "$arg" in -DoutputDirectory=*) out="${arg#*=}" ;; esac
done
mkdir "$out" && touch "$out/kafka_2.13-` + Version + `.jar"
`
	if err := os.WriteFile(filepath.Join(bin, "mvn"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	want := filepath.Join(t.TempDir(), "jars")
	t.Setenv(JarsEnv, want)

	var group errgroup.Group
	for range 4 {
		group.Go(func() error {
			dir, err := Jars(t.Context())
			if err == nil && dir != want {
				t.Errorf("jars in %s, want %s", dir, want)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(readFile(t, calls), "called"); got != 1 {
		t.Errorf("mvn was called %d times, want once", got)
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "photo.jpg"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	launch := func() error { _, err := Launch(t.Context(), t.TempDir(), Config{}); return err }
	jars := func() error { _, err := Jars(t.Context()); return err }
	for _, tt := range []struct {
		name, jarsDir string
		run           func() error
		want          string
	}{
		{"no java", "", launch, "install Java 17 or later"},
		{"no mvn", filepath.Join(t.TempDir(), "jars"), jars, "install maven, or set " + JarsEnv},
		{"a folder of something else", other, jars, other + " is not empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PATH", "")
			t.Setenv(JarsEnv, tt.jarsDir)
			if err := tt.run(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one that says %q", err, tt.want)
			}
		})
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
