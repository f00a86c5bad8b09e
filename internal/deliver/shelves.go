package deliver

import (
	"hash/fnv"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// shelves are the partitions of the parked topic, shared out among unavailable targets. A
// partition is committed in order, so that the records of two targets on one shelf wait
// for each other: as long as there are enough, each target has shelves of its own. It
// has several, so that several lanes, and instances, drain it.
type shelves struct {
	mu    sync.Mutex
	users []int // targets on each shelf; empty until the topic is known
}

// source is the partition that a record was read from. The records of one source
// keep their order.
type source struct {
	topic     string
	partition int32
}

// places says which shelf the records of each source are set aside on, for one target.
// A source keeps its shelf as long as anything is parked: what stands behind its records
// must not overtake them on another. The shelf may be one that another instance chose.
type places struct {
	shelves  []int32 // that the target uses
	bySource map[source]int32
}

// count says how many shelves there are.
func (s *shelves) count(n int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for int32(len(s.users)) < n {
		s.users = append(s.users, 0)
	}
}

// take returns the shelves for a target's records: the one where there are some already,
// or half of those without a target, in turn from where the target's name points. It
// leaves the other half to the next targets. With all in use it is one of those with the
// fewest targets; none until the shelves are known.
//
// Shelves of own, which this process drains, go first: no two instances choose the same
// there, whichever targets they find unavailable first. One alone is left to the choice
// among all, as there would be nothing to share out.
func (s *shelves) take(target string, already int32, own []int32) []int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := int32(len(s.users))
	if n == 0 {
		return nil
	}
	if already >= 0 && already < n {
		s.users[already]++
		return []int32{already}
	}
	h := fnv.New32a()
	h.Write([]byte(target))
	first := int32(h.Sum32() % uint32(n))
	fewest := slices.Min(s.users)
	var with, ours []int32 // the fewest targets
	for i := range n {
		shelf := (first + i) % n
		if s.users[shelf] != fewest {
			continue
		}
		with = append(with, shelf)
		if slices.Contains(own, shelf) {
			ours = append(ours, shelf)
		}
	}
	if fewest == 0 && len(own) > 1 && len(ours) > 0 {
		with = ours
	}
	share := 1
	if fewest == 0 {
		share = max(1, len(with)/2)
	}
	for _, shelf := range with[:share] {
		s.users[shelf]++
	}
	return with[:share]
}

// give is called when nothing is left on the shelves that take and found returned.
func (s *shelves) give(taken []int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, shelf := range taken {
		s.users[shelf]--
	}
}

// found notes in p that a record of from is on shelf.
func (s *shelves) found(p *places, from source, shelf int32) {
	p.note(from, shelf)
	s.mu.Lock()
	defer s.mu.Unlock()
	if int(shelf) < len(s.users) && !slices.Contains(p.shelves, shelf) {
		s.users[shelf]++
		p.shelves = append(p.shelves, shelf)
	}
}

// shelf is the one that src is set aside on: ByKey while the shelves are not known.
func (p *places) shelf(src *kgo.Record) int32 {
	from := source{src.Topic, src.Partition}
	shelf, ok := p.bySource[from]
	if !ok {
		shelf = ByKey
		if n := int32(len(p.shelves)); n > 0 {
			shelf = p.shelves[src.Partition%n]
		}
		p.note(from, shelf)
	}
	return shelf
}

func (p *places) note(from source, shelf int32) {
	if p.bySource == nil {
		p.bySource = make(map[source]int32)
	}
	p.bySource[from] = shelf
}
