// Package conventions holds the tests of what the repository says about itself: the files
// for contributors and releases. It has no other code.
package conventions
