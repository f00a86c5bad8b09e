package deliver

// aborted is what is known of a transaction that was aborted. It decides what that teaches,
// and has no client, clock or lock.
type aborted struct {
	silent   bool // it was aborted because no answer came in time
	answered bool // some records were answered
	foreign  bool // what failed is about no record: its producer, the group, or the end of the outbox
	certain  bool // that it has ended
	former   int  // how many transactions before it were aborted, in a row
	parked   bool // it was of parked records
}

// blame says whose fault an abort is.
type blame int

const (
	nobody     blame = iota
	failures         // of the records that failed: see afterAbort
	silentOnes       // of the topics that gave no answer: see hangs
)

// retires reports whether its producer is retired: how the transaction ended is not
// certain, or the broker may be unable to write its end, as to a topic that gives no
// answer.
func (a aborted) retires() bool { return a.silent || !a.certain }

// blames returns whose fault it is. Where nothing at all was answered it may have been the
// producer that hung, and not the topics: then these get another chance, once. What is
// parked has nobody that waits for that.
func (a aborted) blames() blame {
	switch {
	case a.silent && (a.answered || a.former > 0 || a.parked):
		return silentOnes
	case a.silent, a.foreign:
		return nobody
	}
	return failures
}
