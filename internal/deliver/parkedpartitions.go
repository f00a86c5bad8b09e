package deliver

import (
	"hash/fnv"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// parkedPartitions are the partitions of the parked topic, shared out among unavailable
// targets. A partition is committed in order, so that the records of two targets on one
// wait for each other: as long as there are enough, each target has partitions of its own.
// It has several, so that several lanes, and instances, drain it.
type parkedPartitions struct {
	mu    sync.Mutex
	users []int // targets on each partition; empty until the topic is known
}

// source is the partition that a record was read from. The records of one source
// keep their order.
type source struct {
	topic     string
	partition int32
}

// placement says which parked partition the records of each source are set aside on, for
// one target. A source keeps it as long as anything is parked: what stands behind its
// records must not overtake them on another. It may be one that another instance chose.
type placement struct {
	partitions []int32 // that the target uses
	bySource   map[source]int32
}

// count says how many partitions there are.
func (s *parkedPartitions) count(n int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for int32(len(s.users)) < n {
		s.users = append(s.users, 0)
	}
}

// take returns the partitions for a target's records: the one where there are some already,
// or half of those without a target, in turn from where the target's name points. It
// leaves the other half to the next targets. With all in use it is one of those with the
// fewest targets; none until the partitions are known.
//
// Partitions of own, which this process drains, go first: no two instances choose the same
// there, whichever targets they find unavailable first. One alone is left to the choice
// among all, as there would be nothing to share out.
func (s *parkedPartitions) take(target string, already int32, own []int32) []int32 {
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
		partition := (first + i) % n
		if s.users[partition] != fewest {
			continue
		}
		with = append(with, partition)
		if slices.Contains(own, partition) {
			ours = append(ours, partition)
		}
	}
	if fewest == 0 && len(own) > 1 && len(ours) > 0 {
		with = ours
	}
	share := 1
	if fewest == 0 {
		share = max(1, len(with)/2)
	}
	for _, partition := range with[:share] {
		s.users[partition]++
	}
	return with[:share]
}

// give is called when nothing is left on the partitions that take and found returned.
func (s *parkedPartitions) give(taken []int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, partition := range taken {
		s.users[partition]--
	}
}

// found notes in p that a record of from is parked on partition.
func (s *parkedPartitions) found(p *placement, from source, partition int32) {
	p.note(from, partition)
	s.mu.Lock()
	defer s.mu.Unlock()
	if int(partition) < len(s.users) && !slices.Contains(p.partitions, partition) {
		s.users[partition]++
		p.partitions = append(p.partitions, partition)
	}
}

// partition is the one that src is set aside on: ByKey while the partitions are not known.
func (p *placement) partition(src *kgo.Record) int32 {
	from := source{src.Topic, src.Partition}
	partition, ok := p.bySource[from]
	if !ok {
		partition = ByKey
		if n := int32(len(p.partitions)); n > 0 {
			partition = p.partitions[src.Partition%n]
		}
		p.note(from, partition)
	}
	return partition
}

func (p *placement) note(from source, partition int32) {
	if p.bySource == nil {
		p.bySource = make(map[source]int32)
	}
	p.bySource[from] = partition
}
