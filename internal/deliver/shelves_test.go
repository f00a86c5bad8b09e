package deliver

import "testing"

func TestShelves(t *testing.T) {
	var s shelves
	if got := s.take("early", ByKey); got != ByKey {
		t.Errorf("shelf %d before there are any, want %d", got, ByKey)
	}
	s.give(ByKey)
	s.count(4)
	taken := make(map[int32]string)
	for _, target := range []string{"a", "b", "c", "d"} {
		shelf := s.take(target, ByKey)
		if other, ok := taken[shelf]; ok {
			t.Errorf("%s shares shelf %d with %s, and one is free", target, shelf, other)
		}
		taken[shelf] = target
	}
	if got := s.take("e", 2); got != 2 {
		t.Errorf("shelf %d, and there are records for it on 2", got)
	}
	s.give(2)
	s.give(2)
	if got := s.take("f", ByKey); got != 2 {
		t.Errorf("shelf %d, and 2 alone is free", got)
	}
}
