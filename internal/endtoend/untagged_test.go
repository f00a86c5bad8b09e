//go:build !synctests && !realkafka

package endtoend

import "testing"

// TestBuildTag fails a plain "go test ./...", which would pass without having delivered a
// single record: virtual time is a build tag of kfake.
func TestBuildTag(t *testing.T) {
	t.Fatal("the delivery tests need a build tag: go test -tags synctests work")
}
