// Package conventions holds the tests of what the repository says about itself: its words,
// its prose, and the files for contributors and releases. It has no other code.
package conventions
