package deliver

import (
	"hash/fnv"
	"sync"
)

// shelves are the partitions of the parked topic, shared out among sick targets. A
// partition is committed in order, so that the records of two targets on one shelf
// wait for each other: each target has one of its own as long as there are enough.
type shelves struct {
	mu    sync.Mutex
	users []int // targets on each shelf; empty until the topic is known
}

// count says how many shelves there are.
func (s *shelves) count(n int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for int32(len(s.users)) < n {
		s.users = append(s.users, 0)
	}
}

// take returns the shelf for a target's records: where there are some already, or
// of those with the fewest targets the first from where the target's name points.
// It is ByKey until the shelves are known.
func (s *shelves) take(target string, already int32) int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := int32(len(s.users))
	if n == 0 {
		return ByKey
	}
	shelf := already
	if shelf < 0 || shelf >= n {
		h := fnv.New32a()
		h.Write([]byte(target))
		first := int32(h.Sum32() % uint32(n))
		shelf = first
		for i := range n {
			if other := (first + i) % n; s.users[other] < s.users[shelf] {
				shelf = other
			}
		}
	}
	s.users[shelf]++
	return shelf
}

// give is called when nothing is left on the shelf that take returned.
func (s *shelves) give(shelf int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if shelf != ByKey {
		s.users[shelf]--
	}
}
