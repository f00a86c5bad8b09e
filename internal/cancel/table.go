package cancel

import "github.com/delayd-io/delayd/internal/record"

// Table is the marks that are outstanding, one for each name: the latest, which hits all
// that the others hit. A mark takes 40 bytes, and about 100 at most with the room that
// a map keeps free (TestMemory). The zero value is empty.
type Table struct {
	byKey, byID map[Name]cut
	most        int // marks since it was made with room for them
}

// cut is what a table keeps of a mark beside its name.
type cut struct {
	at        int64
	offset    int64
	partition int32
	replaces  bool
}

func (c cut) mark() Mark {
	return Mark{At: c.at, Offset: c.offset, Partition: c.partition, Replaces: c.replaces}
}

// Len returns how many marks there are.
func (t *Table) Len() int { return len(t.byKey) + len(t.byID) }

// Add adds a mark, unless a later one is there.
func (t *Table) Add(m Mark) {
	to := &t.byKey
	if m.AnyKey {
		to = &t.byID
	}
	if *to == nil {
		*to = make(map[Name]cut)
	}
	if old, ok := (*to)[m.Name]; ok {
		o := old.mark()
		tied := m.At == o.At && !(m.Replaces && o.Replaces) // what ties with a cancel is hit
		at := max(m.At, o.At)
		if !m.later(&o) {
			m.Partition, m.Offset, m.Replaces = o.Partition, o.Offset, o.Replaces
		}
		m.At, m.Replaces = at, m.Replaces && !tied
	}
	(*to)[m.Name] = cut{m.At, m.Offset, m.Partition, m.Replaces}
	t.most = max(t.most, t.Len())
}

// hits reports whether a mark with a name hits a record.
func hits(marks map[Name]cut, name Name, s *record.Subject) bool {
	c, ok := marks[name]
	if !ok {
		return false
	}
	m := c.mark()
	return m.Hits(s)
}

// Hit reports whether a mark hits a record.
func (t *Table) Hit(s *record.Subject) bool {
	if len(t.byKey) > 0 && s.Key != nil && hits(t.byKey, NameOf(s.ID, s.Key), s) {
		return true
	}
	return len(t.byID) > 0 && hits(t.byID, NameOf(s.ID, nil), s)
}

// Purge forgets the marks of before a time, in Unix milliseconds, and returns how many they
// were.
func (t *Table) Purge(before int64) (n int) {
	for _, marks := range []map[Name]cut{t.byKey, t.byID} {
		for name, c := range marks {
			if c.at < before {
				delete(marks, name)
				n++
			}
		}
	}
	if t.Len() < t.most/4 { // a map keeps its memory
		t.byKey, t.byID, t.most = shrunk(t.byKey), shrunk(t.byID), t.Len()
	}
	return n
}

func shrunk(marks map[Name]cut) map[Name]cut {
	if len(marks) == 0 {
		return nil
	}
	kept := make(map[Name]cut, len(marks))
	for name, c := range marks {
		kept[name] = c
	}
	return kept
}
