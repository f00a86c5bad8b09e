package find

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// settle returns the sightings of places at which the record still is, the newest first:
// those of one that it has left are left out. left is the last of those, where a record
// was that is nowhere now.
//
// A record that has left a level and is nowhere else was purged or cancelled, or delivered
// to a topic that was not searched or does not keep it: see [Sighting.conclude].
func settle(all []*Sighting) (kept []*Sighting, left *Sighting) {
	for _, s := range all {
		switch {
		case s.handled:
			if left == nil || cmp.Or(cmp.Compare(rank(s), rank(left)), s.Since.Compare(left.Since)) > 0 {
				left = s
			}
		case !slices.ContainsFunc(all, func(later *Sighting) bool { return later.follows(s) }):
			kept = append(kept, s)
		}
	}
	slices.SortStableFunc(kept, func(a, b *Sighting) int {
		return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	if len(kept) > 0 {
		left = nil
	}
	return kept, left
}

// follows reports whether l is a later place of the record that s is a sighting of, which
// its owner has left without a commit so far.
func (l *Sighting) follows(s *Sighting) bool {
	switch {
	case l == s || s.State == Delivered || s.State == Dead:
		return false
	case l.Origin != "" && l.Origin == s.place().String(): // parked, or dead
		return true
	case l.State == Delivered:
		return bytes.Equal(l.key, s.key) && sameTime(l.Accepted, s.Accepted) && (s.Due == nil || l.Due == nil || sameTime(l.Due, s.Due))
	case l.State == Dead:
		return s.State == Parked && l.Origin == s.Origin
	}
	if l.origin != s.origin || s.origin == "" {
		return false
	}
	// On a level after the inbox, on a later step, or parked after a level.
	return rank(l) > rank(s) || rank(l) == rank(s) && l.Since.After(s.Since)
}

// rank orders the topics as a record passes them.
func rank(s *Sighting) int {
	switch {
	case s.State == Parked:
		return 2
	case s.Level != "":
		return 1
	}
	return 0
}

func sameTime(a, b *time.Time) bool { return a != nil && b != nil && a.Equal(*b) }

// Searched is what was searched of one topic.
type Searched struct {
	Topic string `json:"topic"`
	// Partitions are those that were searched.
	Partitions []int32 `json:"partitions"`
	// From and To bound when what was searched got there. nil: as far back as the topic, or
	// what waits there, goes; and up to its end.
	From *time.Time `json:"from"`
	To   *time.Time `json:"to"`
	// Records is how many records were read.
	Records int64 `json:"records"`
	// Unread is how many offsets the limit has left unread.
	Unread int64 `json:"unread,omitempty"`
	// Missing says that the topic does not exist.
	Missing bool `json:"missing,omitempty"`
	// Earliest is when the oldest record that is left got there, of a target from which
	// older ones were deleted.
	Earliest *time.Time `json:"earliest,omitempty"`
}

// Result is where a record is.
type Result struct {
	ID string `json:"id"`
	// State is that of the first of Records, or NotFound.
	State State `json:"state"`
	// Records are the places at which a record with the id is, the newest first. An id of a
	// producer's can be that of several.
	Records []*Sighting `json:"records"`
	// More says that there are more, which are left out.
	More bool `json:"more,omitempty"`
	// Left is the last place at which it was seen that it has left; nil where it was found,
	// and where it was seen nowhere.
	Left *Sighting `json:"left,omitempty"`
	// Searched is the bound of the search, topic by topic, and Read how many records were
	// read for it.
	Searched []Searched `json:"searched"`
	Read     int64      `json:"read"`
	// Cut says that the search ended at its limit, with records left that could be it.
	Cut bool `json:"cut,omitempty"`
	// Notes say what an operator should know, and what would narrow the search.
	Notes []string `json:"notes,omitempty"`
}
