package find

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// of is what was searched of a topic.
func (s *search) of(topic string) *Searched {
	if s.searched[topic] == nil {
		s.searched[topic] = &Searched{Topic: topic, From: new(time.Time), To: new(time.Time)}
	}
	return s.searched[topic]
}

// covers notes that a partition was searched in a window.
func (s *search) covers(p *part, w window) {
	of := s.of(p.Topic)
	first := len(of.Partitions) == 0
	if !slices.Contains(of.Partitions, p.Partition.Partition) {
		of.Partitions = append(of.Partitions, p.Partition.Partition)
	}
	from, to := when(w.from), when(w.to)
	if w.from.IsZero() {
		from = nil
	}
	if w.to.IsZero() {
		to = nil
	}
	if first || of.From != nil && (from == nil || from.Before(*of.From)) {
		of.From = from
	}
	if first || of.To != nil && (to == nil || to.After(*of.To)) {
		of.To = to
	}
}

func (s *search) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(s.notes, text) {
		s.notes = append(s.notes, text)
	}
}

// result is what was found.
func (s *search) result() *Result {
	kept, left := settle(s.seen)
	if left != nil && left.conclude() {
		kept, left = []*Sighting{left}, nil
	}
	for _, k := range kept {
		k.conclude()
	}
	r := &Result{ID: s.q.ID, State: NotFound, Records: kept, Left: left, Read: s.read, Searched: []Searched{}, More: s.more}
	if len(kept) == 0 {
		r.Records = []*Sighting{}
	} else {
		r.State = kept[0].State
	}
	for _, topic := range slices.Sorted(maps.Keys(s.searched)) {
		of := s.searched[topic]
		for _, p := range s.parts[topic] {
			of.Unread += p.unread()
		}
		if of.Missing {
			of.Partitions, of.From, of.To = []int32{}, nil, nil
		}
		slices.Sort(of.Partitions)
		r.Cut = r.Cut || of.Unread > 0 && (r.State == NotFound || !s.fromID)
		r.Searched = append(r.Searched, *of)
	}
	s.advise(r)
	r.Notes = s.notes
	return r
}

// advise says what would narrow or widen the search.
func (s *search) advise(r *Result) {
	targets := slices.ContainsFunc(r.Searched, func(of Searched) bool { return !of.Missing && !s.cfg.Names.Owns(of.Topic) })
	switch {
	case r.Cut && !s.fromID && s.q.Around.IsZero():
		s.note("the search ended at its limit: say about when the record was sent (--around), or its key (--key)")
	case r.Cut:
		s.note("the search ended at its limit, and some of what could be it was not read")
	}
	if r.State == NotFound && !targets {
		s.note("no target was searched, because none is known: name it with --target")
	}
}
