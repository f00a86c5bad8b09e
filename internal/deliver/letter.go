package deliver

import "github.com/delayd-io/delayd/internal/record"

// shrink makes a dead letter smaller that its topic refused for its size, each time by
// half. It returns false where nothing is left to leave out.
func (o *Outbox) shrink(it *item) bool {
	if it.whole == nil {
		it.whole = it.rec
	}
	before := record.BatchBytes(it.rec)
	cut := record.Fit(it.whole, min(before/2, defaultBatchBytes))
	if record.BatchBytes(cut) >= before {
		return false
	}
	it.rec = cut
	return true
}
