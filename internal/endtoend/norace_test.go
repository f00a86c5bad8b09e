//go:build !race && synctests

package endtoend

// lighter is for the race detector.
const lighter = 1
