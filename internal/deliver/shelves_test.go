package deliver

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestShelves(t *testing.T) {
	var s shelves
	if got := s.take("early", ByKey, nil); got != nil {
		t.Errorf("shelves %d before there are any", got)
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
			t.Errorf("%s has the shelves %d, want half of those left: %d", c.target, got, c.want)
		}
		for _, shelf := range got {
			if other, ok := taken[shelf]; ok {
				t.Errorf("%s shares shelf %d with %s, and one is free", c.target, shelf, other)
			}
			taken[shelf] = c.target
		}
	}
	if got := s.take("e", 2, nil); len(got) != 1 || got[0] != 2 {
		t.Errorf("shelves %d, and there are records for it on 2", got)
	}
	s.give([]int32{2})
	s.give([]int32{2})
	if got := s.take("f", ByKey, nil); len(got) != 1 || got[0] != 2 {
		t.Errorf("shelves %d, and 2 alone is free", got)
	}
	if got := s.take("g", ByKey, nil); len(got) != 1 {
		t.Errorf("shelves %d with none free, want one", got)
	}
}

// TestShelvesApart: two instances that drain half of the shelves each choose none of the
// other's, in whichever order they find targets unavailable, until theirs are in use.
func TestShelvesApart(t *testing.T) {
	own := [][]int32{{0, 3, 4, 7}, {1, 2, 5, 6}}
	for i, targets := range [][]string{{"a", "b", "down"}, {"down", "a", "b"}} {
		var s shelves
		s.count(8)
		for _, target := range targets {
			for _, shelf := range s.take(target, ByKey, own[i]) {
				if !slices.Contains(own[i], shelf) {
					t.Errorf("instance %d: %s has shelf %d of the other's", i, target, shelf)
				}
			}
		}
		if got := s.take("more", ByKey, own[i]); len(got) == 0 || slices.Contains(own[i], got[0]) {
			t.Errorf("instance %d: the shelves %d for a target more, want free ones", i, got)
		}
	}
	var s shelves
	s.count(4)
	if got := s.take("a", ByKey, []int32{3}); len(got) != 2 {
		t.Errorf("shelves %d with one of its own, want half of all", got)
	}
}

// TestPlaces: the records of a source stay on one shelf, whatever shelves are found
// meanwhile, and several sources use all shelves.
func TestPlaces(t *testing.T) {
	var s shelves
	s.count(8)
	p := places{shelves: s.take("a", ByKey, nil)}
	at := func(partition int32) int32 {
		return p.shelf(&kgo.Record{Topic: "delay.level.5s", Partition: partition})
	}
	first := make(map[int32]int32)
	used := make(map[int32]bool)
	for n := range int32(8) {
		first[n] = at(n)
		used[first[n]] = true
	}
	if len(used) != 4 {
		t.Errorf("%d shelves are used, want 4", len(used))
	}
	free := int32(0)
	for used[free] {
		free++
	}
	s.found(&p, source{"delay.level.5s", 8}, free)
	s.found(&p, source{"delay.level.5s", 9}, free)
	if got := at(8); got != free {
		t.Errorf("shelf %d, and records of that source are on %d", got, free)
	}
	again := make(map[int32]int32)
	for n := range int32(8) {
		again[n] = at(n)
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("shelves of sources, after another was found (- want, + got):\n%s", diff)
	}
	s.give(p.shelves)
	if diff := cmp.Diff(make([]int, 8), s.users); diff != "" {
		t.Errorf("users left (- want, + got):\n%s", diff)
	}
}
