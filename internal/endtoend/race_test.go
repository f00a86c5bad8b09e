//go:build race && synctests

package endtoend

// lighter divides what is costly to make: the race detector makes it ten times slower.
// What is left is still above every bound.
const lighter = 8
