package deploy

import (
	"testing"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
)

// TestGoreleaser: goreleaser reads every key of its file. Its own check, "make release",
// also fills in defaults, and takes five minutes of a processor to compile.
func TestGoreleaser(t *testing.T) {
	read, err := config.Load("../.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(read.Builds) != 1 || len(read.NFPMs) != 1 || len(read.DockersV2) != 1 || read.Release.GitHub.Owner != "delayd-io" {
		t.Errorf("read %d builds, %d packages, %d images and the repository %v", len(read.Builds), len(read.NFPMs), len(read.DockersV2), read.Release.GitHub)
	}
}
