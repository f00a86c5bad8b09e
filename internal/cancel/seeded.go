//go:build synctests

package cancel

// Mistakes are faults that a test puts into this package, to see that it finds them.
type Mistakes struct {
	ReadLate    bool // a mark counts seconds after it was read
	LostAtStart bool // a new instance does not read what was cancelled before it came
	Collide     bool // names have four bits
	PurgeEarly  bool // marks are purged after a second
	OpenGate    bool // no record waits until the recent cancels are known
}

var seeded struct{ readLate, lostAtStart, collide, purgeEarly, openGate bool }

// Seed puts mistakes in. No other test may run meanwhile.
func Seed(m Mistakes) {
	seeded.readLate, seeded.lostAtStart, seeded.collide, seeded.purgeEarly = m.ReadLate, m.LostAtStart, m.Collide, m.PurgeEarly
	seeded.openGate = m.OpenGate
}
