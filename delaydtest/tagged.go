//go:build synctests

package delaydtest

// tagged reports whether the test binary has the build tag that virtual time needs.
const tagged = true
