//go:build !unix

package embedded

// keepPrivate does nothing: there is no umask.
func keepPrivate() {}
