// Package target holds what delivery decides about a target: its state, and what an
// error means. It is pure. It knows no client, clock or lock: times and counts are
// passed in, and whoever holds a [Target] guards it.
//
// [Target] is the state machine. [Decide] is the table from an error and the situation
// in which it came to what is done about it. Both are written out, with a reason for
// each line, in testdata/states.txt and testdata/failures.txt.
package target

// Kind says what a queue of records is for.
type Kind int

const (
	// Direct: records that are due. If the target makes no progress, they are parked.
	Direct Kind = iota
	// Redelivery: records of the parked topic, on their way to their target again. They
	// stay there until they are delivered or given up.
	Redelivery
	// Own: records for one of delayd's own topics, which are never parked and never
	// given up.
	Own
)

var kindNames = [...]string{Direct: "direct", Redelivery: "redelivery", Own: "own"}

// String returns the kind as the tables in testdata write it.
func (k Kind) String() string { return kindNames[k] }
