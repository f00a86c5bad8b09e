package main

import (
	"os"
	"regexp"
	"runtime/debug"
	"testing"
)

func TestVersionOf(t *testing.T) {
	t.Parallel()
	built := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: version}, Settings: settings}
	}
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef"}
	for _, c := range []struct {
		release string
		info    *debug.BuildInfo
		want    string
	}{
		{"", built("v1.2.3"), "v1.2.3 (go1.26.8)"}, // go install …@v1.2.3
		{"", built("(devel)"), "devel (go1.26.8)"}, // no repository
		{"", built("", commit), "devel 0123456789ab (go1.26.8)"},
		{"v1.2.4", built("(devel)", commit), "v1.2.4 (go1.26.8)"}, // set by the linker
		{"v1.2.4", built("v1.2.3"), "v1.2.4 (go1.26.8)"},
	} {
		if got := versionOf(c.release, c.info); got != c.want {
			t.Errorf("release %q, module %q: %s, want %s", c.release, c.info.Main.Version, got, c.want)
		}
	}
}

// The linker ignores a variable that is not there, so that a wrong name in the
// Dockerfile would only be noticed by who asks an image for its version.
func TestDockerfileSetsTheRelease(t *testing.T) {
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_ = &release // the variable that is meant
	if !regexp.MustCompile(`(?m)^ARG VERSION\b[\s\S]*-ldflags="[^"]*-X main\.release=\$VERSION"`).Match(text) {
		t.Error(`Dockerfile does not build with ARG VERSION and -X main.release=$VERSION`)
	}
}
