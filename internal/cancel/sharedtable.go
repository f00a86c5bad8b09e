package cancel

import (
	"sync"
	"sync/atomic"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/series"
)

// shards is in how many parts a sharedTable is locked, so that nobody waits for a purge.
const shards = 64

// sharedTable is a [Table] that several goroutines use.
type sharedTable struct {
	gauge series.Gauge // shows n
	n     atomic.Int64 // marks
	byID  atomic.Int64 // those of them that name an id alone
	parts [shards]struct {
		sync.RWMutex
		t Table
	}
}

func (s *sharedTable) hit(subject *record.Subject) bool {
	if subject.Key != nil && s.hitBy(NameOf(subject.ID, subject.Key), subject, true) {
		return true
	}
	return s.byID.Load() > 0 && s.hitBy(NameOf(subject.ID, nil), subject, false) // a hash is most of what a record costs
}

func (s *sharedTable) hitBy(name Name, subject *record.Subject, byKey bool) bool {
	part := &s.parts[name[0]%shards]
	part.RLock()
	defer part.RUnlock()
	if byKey {
		return hits(part.t.byKey, name, subject)
	}
	return hits(part.t.byID, name, subject)
}

func (s *sharedTable) add(mark Mark) {
	part := &s.parts[mark.Name[0]%shards]
	part.Lock()
	defer part.Unlock()
	before, ids := part.t.Len(), len(part.t.byID)
	part.t.Add(mark)
	s.count(part.t.Len()-before, len(part.t.byID)-ids)
}

// purge forgets the marks of before a time, in Unix milliseconds.
func (s *sharedTable) purge(before int64) {
	if s.n.Load() == 0 {
		return
	}
	for i := range s.parts {
		part := &s.parts[i]
		part.Lock()
		ids := len(part.t.byID)
		n := part.t.Purge(before)
		s.count(-n, len(part.t.byID)-ids)
		part.Unlock()
	}
}

// count notes that there are n more marks, of which ids name an id alone.
func (s *sharedTable) count(n, ids int) {
	s.byID.Add(int64(ids))
	s.gauge.Set(float64(s.n.Add(int64(n))))
}
