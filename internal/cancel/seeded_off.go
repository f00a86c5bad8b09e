//go:build !synctests

package cancel

// seeded are the mistakes of tests, of which there are none here.
var seeded = struct{ readLate, lostAtStart, collide, purgeEarly, openGate bool }{}
