package deliver

import "time"

const (
	// txnRecords and txnBytes bound a transaction: more would not be faster, and
	// what an abort repeats.
	txnRecords = 40_000
	txnBytes   = 16 << 20
	// suspectGroups is in how many parts suspects are sent, one after the other, until
	// one is left. With more there are fewer aborts, and more answers to wait for.
	suspectGroups = 16
	// freeAborts is how many aborts in a row have no wait behind them: enough to find a
	// record among ten thousand.
	freeAborts = 6
)

// selection decides which records a transaction takes. It has no client, clock or lock.
//
// What it does not take waits, and with it all that stands behind it in its partition.
type selection struct {
	parked bool  // it is of parked records
	light  bool  // it takes no large records
	rests  rests // of the loop

	records int
	bytes   int64
	first   candidate    // that the transaction is begun for
	tried   map[any]bool // topics that rest, and that one record of it tries
	groups  map[any]int  // by topic, of what was taken last, once there are suspects
}

// candidate is what a selection has to know of a record.
type candidate struct {
	source  any     // tells the partition that it was read from
	target  string  // the topic that it is for
	topic   any     // tells the topic that it is written to
	packing packing // how it is written
	group   int     // of suspects, 0: none
	bytes   int64
}

// full reports whether it takes no more records.
func (s *selection) full() bool { return s.records >= txnRecords || s.bytes >= txnBytes }

// keeps reports whether a record waits for its source's rest. While any source rests,
// each transaction of parked records is for one source. Where that has rested it is for
// one target too, so that it is found out which of them made it rest.
func (s *selection) keeps(source any, target string, now time.Time) bool {
	switch {
	case len(s.rests) == 0:
		return false
	case s.rests.waits(source, now):
		return true
	case !s.parked || s.records == 0:
		return false
	}
	return s.first.source != source || s.rests.active(source) && s.first.target != target
}

// suits reports whether a record may join. Large records are not mixed with others. Of a
// topic that has rested, one record of a transaction tries it.
func (s *selection) suits(c candidate, now time.Time) bool {
	switch {
	case c.packing != asUsual && s.light, s.records > 0 && c.packing != s.first.packing:
		return false
	case !s.rests.active(c.topic):
		return true
	case s.rests.waits(c.topic, now) || s.tried[c.topic]:
		return false
	}
	if s.tried == nil {
		s.tried = make(map[any]bool)
	}
	s.tried[c.topic] = true
	return true
}

// alone reports whether all that was taken has to be answered before the record is
// written. Suspects have no company but their group on their topic, so that it is known
// who is at fault. A large record has a batch of its own.
func (s *selection) alone(c candidate) bool {
	if s.records > 0 && s.first.packing != asUsual {
		return true
	}
	if c.group == 0 && s.groups == nil {
		return false
	}
	if s.groups == nil {
		s.groups = make(map[any]int)
	}
	former := s.groups[c.topic]
	s.groups[c.topic] = c.group
	return former != c.group
}

// take notes that a record has joined.
func (s *selection) take(c candidate) {
	s.records++
	s.bytes += c.bytes
}

// suspectGroup returns the group of the i-th of n suspects.
func suspectGroup(i, n int) int { return 1 + i*suspectGroups/n }

// abortBackoff returns the longest wait after n aborts in a row: none after the
// first ones, each of which shows what the next transaction has to do otherwise.
func abortBackoff(aborts int) time.Duration {
	if aborts <= freeAborts {
		return 0
	}
	return min(backoffMin<<min(aborts-freeAborts, 10), backoffMax)
}
