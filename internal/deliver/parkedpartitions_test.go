package deliver

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestParkedPartitions(t *testing.T) {
	var s parkedPartitions
	if got := s.take("early", ByKey, nil); got != nil {
		t.Errorf("partitions %d before there are any", got)
	}
	s.give(nil)
	s.count(8)
	taken := make(map[int32]string)
	for _, c := range []struct {
		target string
		want   int
	}{{"a", 4}, {"b", 2}, {"c", 1}, {"d", 1}} {
		got := s.take(c.target, ByKey, nil)
		if len(got) != c.want {
			t.Errorf("%s has the partitions %d, want half of those left: %d", c.target, got, c.want)
		}
		for _, partition := range got {
			if other, ok := taken[partition]; ok {
				t.Errorf("%s shares partition %d with %s, and one is free", c.target, partition, other)
			}
			taken[partition] = c.target
		}
	}
	if got := s.take("e", 2, nil); len(got) != 1 || got[0] != 2 {
		t.Errorf("partitions %d, and there are records for it on 2", got)
	}
	s.give([]int32{2})
	s.give([]int32{2})
	if got := s.take("f", ByKey, nil); len(got) != 1 || got[0] != 2 {
		t.Errorf("partitions %d, and 2 alone is free", got)
	}
	if got := s.take("g", ByKey, nil); len(got) != 1 {
		t.Errorf("partitions %d with none free, want one", got)
	}
}

// TestParkedPartitionsApart: two instances that drain half of the partitions each choose none of the
// other's, in whichever order they find targets unavailable, until theirs are in use.
func TestParkedPartitionsApart(t *testing.T) {
	own := [][]int32{{0, 3, 4, 7}, {1, 2, 5, 6}}
	for i, targets := range [][]string{{"a", "b", "down"}, {"down", "a", "b"}} {
		var s parkedPartitions
		s.count(8)
		for _, target := range targets {
			for _, partition := range s.take(target, ByKey, own[i]) {
				if !slices.Contains(own[i], partition) {
					t.Errorf("instance %d: %s has partition %d of the other's", i, target, partition)
				}
			}
		}
		if got := s.take("more", ByKey, own[i]); len(got) == 0 || slices.Contains(own[i], got[0]) {
			t.Errorf("instance %d: the partitions %d for a target more, want free ones", i, got)
		}
	}
	var s parkedPartitions
	s.count(4)
	if got := s.take("a", ByKey, []int32{3}); len(got) != 2 {
		t.Errorf("partitions %d with one of its own, want half of all", got)
	}
}

// TestPlacement: the records of a source stay on one partition, whatever partitions are found
// meanwhile, and several sources use all partitions.
func TestPlacement(t *testing.T) {
	var s parkedPartitions
	s.count(8)
	p := placement{partitions: s.take("a", ByKey, nil)}
	at := func(partition int32) int32 {
		return p.partition(&kgo.Record{Topic: "delay.level.5s", Partition: partition})
	}
	first := make(map[int32]int32)
	used := make(map[int32]bool)
	for n := range int32(8) {
		first[n] = at(n)
		used[first[n]] = true
	}
	if len(used) != 4 {
		t.Errorf("%d partitions are used, want 4", len(used))
	}
	free := int32(0)
	for used[free] {
		free++
	}
	s.found(&p, source{"delay.level.5s", 8}, free)
	s.found(&p, source{"delay.level.5s", 9}, free)
	if got := at(8); got != free {
		t.Errorf("partition %d, and records of that source are on %d", got, free)
	}
	again := make(map[int32]int32)
	for n := range int32(8) {
		again[n] = at(n)
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("partitions of sources, after another was found (- want, + got):\n%s", diff)
	}
	s.give(p.partitions)
	if diff := cmp.Diff(make([]int, 8), s.users); diff != "" {
		t.Errorf("users left (- want, + got):\n%s", diff)
	}
}
